"""The verdict as a pure function: only complete, agreeing, confirmed evidence is a PASS."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_anchorgate.verdict import (
    NO_COMPLETION,
    Decision,
    Evidence,
    Incident,
    Manifest,
    Observation,
    Outcome,
    Standing,
    compare,
    decide,
    exit_status,
    flip_rate_bound,
)

IDS = ("A/1", "A/2", "A/10")
MANIFEST = Manifest("nonce", "pack", "base", "set", {task_id: f"digest of {task_id}" for task_id in IDS})
HELD = {"A/1": True, "A/2": True, "A/10": False}


def seen(task_id: str, status: str = "passed", **changes: object) -> Observation:
    observation = Observation(
        session="nonce",
        pack_sha256="pack",
        baseline_digest="base",
        anchors_digest="set",
        anchor_digest=f"digest of {task_id}",
        task_id=task_id,
        status=status,
        reason=f"it {status}",
        token_ids=(1, 2),
        margins=(1.0, 0.5),
    )
    return dataclasses.replace(observation, **changes)  # type: ignore[arg-type]


def shown(observation: Observation) -> Evidence:
    standing = compare(HELD[observation.task_id], observation.held)
    return Evidence(observation, "failed" if standing in (Standing.LOST, Standing.UNDECIDED) else "passed")


def everything(**statuses: str) -> list[Evidence]:
    return [shown(seen(task_id, statuses.get(task_id.replace("/", "_"), "passed"))) for task_id in IDS]


def test_complete_evidence_is_a_pass() -> None:
    decision = decide(MANIFEST, HELD, everything(A_10="failed"))
    assert decision.outcome is Outcome.PASS
    assert [j.standing for j in decision.judgements] == [Standing.HELD, Standing.HELD, Standing.STILL_FAILING]
    assert decision.protected == 2


def test_a_gain_is_a_pass() -> None:
    decision = decide(MANIFEST, HELD, everything())
    assert decision.outcome is Outcome.PASS
    assert [j.task_id for j in decision.of(Standing.GAINED)] == ["A/10"]


@pytest.mark.parametrize("status", ["failed", "timeout", "killed"])
def test_a_loss_blocks_even_where_the_rest_is_missing_or_unsound(status: str) -> None:
    evidence = [shown(seen("A/1", status))]
    incidents = [Incident("a worker went down", fatal=True)]
    assert decide(MANIFEST, HELD, evidence, incidents).outcome is Outcome.BLOCKED


@pytest.mark.parametrize("status", ["error", "refused", NO_COMPLETION, "something new"])
def test_what_could_not_be_found_out_is_undecided(status: str) -> None:
    decision = decide(MANIFEST, HELD, everything(A_2=status))
    assert decision.outcome is Outcome.UNDECIDED
    assert decision.of(Standing.UNDECIDED)[0].reason == f"it {status}"


def test_nothing_is_never_a_pass() -> None:
    empty = dataclasses.replace(MANIFEST, anchors={})
    assert decide(empty, {}, []).outcome is Outcome.UNDECIDED
    assert decide(MANIFEST, HELD, []).outcome is Outcome.UNDECIDED


def test_an_engine_that_never_said_what_it_loaded_gives_no_evidence() -> None:
    unknown = dataclasses.replace(MANIFEST, pack_sha256="")
    evidence = [shown(seen(task_id, pack_sha256="")) for task_id in IDS]
    assert decide(unknown, HELD, evidence).outcome is Outcome.UNDECIDED


FIELDS = {
    "session": "session",
    "pack_sha256": "pack",
    "baseline_digest": "baseline",
    "anchors_digest": "anchor set",
    "anchor_digest": "anchor",
}


@pytest.mark.parametrize(("field", "word"), FIELDS.items())
def test_evidence_of_something_else_is_undecided_and_named(field: str, word: str) -> None:
    evidence = [*everything()[1:], shown(seen("A/1", **{field: "other"}))]
    decision = decide(MANIFEST, HELD, evidence)
    assert decision.outcome is Outcome.UNDECIDED
    (judgement,) = decision.of(Standing.UNDECIDED)
    assert judgement.reason.startswith(f"the evidence belongs to another {word} (other, expected ")


@pytest.mark.parametrize("how", ["failed", "skipped", "xfail", "rerun", "error"])
def test_what_pytest_does_not_show_as_passed_is_no_pass(how: str) -> None:
    evidence = [*everything()[1:], Evidence(seen("A/1"), how)]
    decision = decide(MANIFEST, HELD, evidence)
    assert decision.outcome is Outcome.UNDECIDED
    assert decision.of(Standing.UNDECIDED)[0].reason == f"pytest shows the test as {how}"


def test_a_loss_counts_however_pytest_shows_it() -> None:
    for how in ("passed", "skipped", "xfail", "rerun"):
        evidence = [*everything()[1:], Evidence(seen("A/1", "failed"), how)]
        assert decide(MANIFEST, HELD, evidence).outcome is Outcome.BLOCKED


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (seen("A/1", "failed"), "repeated runs were judged differently (passed, then failed)"),
        (seen("A/1", "error"), "repeated runs were judged differently (passed, then error)"),
        (seen("A/1", token_ids=(1, 3)), "repeated runs gave different tokens"),
    ],
)
def test_repeated_runs_have_to_agree(other: Observation, words: str) -> None:
    for pair in ([seen("A/1"), other], [other, seen("A/1")]):
        decision = decide(MANIFEST, HELD, [*everything()[1:], *map(shown, pair)])
        assert decision.outcome is Outcome.UNDECIDED
    decision = decide(MANIFEST, HELD, [*everything(), shown(other)])
    assert decision.of(Standing.UNDECIDED)[0].reason == words


def test_repeated_runs_that_agree_are_fine() -> None:
    assert decide(MANIFEST, HELD, everything() * 2).outcome is Outcome.PASS


def test_missing_evidence_is_explained() -> None:
    incidents = [Incident("the session stopped early"), Incident("deselected by -k 'x'", "A/2")]
    decision = decide(MANIFEST, HELD, everything()[:1], incidents)
    assert [j.reason for j in decision.of(Standing.UNDECIDED)] == [
        "not run: deselected by -k 'x'",
        "not run: the session stopped early",
    ]


def test_a_strange_task_or_an_anchor_unknown_to_the_baseline_is_undecided() -> None:
    strange = Evidence(seen("A/99"), "passed")
    assert decide(MANIFEST, HELD, [*everything(), strange]).outcome is Outcome.UNDECIDED
    assert decide(MANIFEST, {"A/1": True, "A/2": True}, everything()).outcome is Outcome.UNDECIDED


def test_a_fatal_incident_forbids_a_pass_and_another_does_not() -> None:
    assert decide(MANIFEST, HELD, everything(), [Incident("x", fatal=True)]).outcome is Outcome.UNDECIDED
    assert decide(MANIFEST, HELD, everything(), [Incident("x")]).outcome is Outcome.PASS


def test_partial_is_always_undecided() -> None:
    for evidence in (everything(), everything(A_1="failed")):
        assert decide(MANIFEST, HELD, evidence, partial=True).outcome is Outcome.UNDECIDED


STATUSES = ("passed", "failed", "timeout", "killed", "error", "refused", NO_COMPLETION)
OBSERVATIONS = st.builds(
    lambda task_id, status, field, other: seen(task_id, status, **({field: "other"} if other else {})),
    st.sampled_from(IDS),
    st.sampled_from(STATUSES),
    st.sampled_from(sorted(FIELDS)),
    st.sampled_from([False, False, False, True]),
)
EVIDENCE = st.builds(
    Evidence, OBSERVATIONS, st.sampled_from(["passed", "failed", "skipped", "xfail", "rerun"])
)


@given(st.lists(EVIDENCE, max_size=8))
def test_a_pass_needs_proof_for_every_anchor(evidence: list[Evidence]) -> None:
    if decide(MANIFEST, HELD, evidence).outcome is not Outcome.PASS:
        return
    for task_id in IDS:
        pieces = [e for e in evidence if e.observation.task_id == task_id]
        assert pieces
        for piece in pieces:
            assert piece.shown == "passed"
            assert piece.observation.status in ("passed", "failed", "timeout", "killed")
            assert piece.observation.status == "passed" or not HELD[task_id]
            assert dataclasses.replace(piece.observation, status="", reason="") == seen(
                task_id, "", reason=""
            )


@given(st.lists(EVIDENCE, max_size=8), st.permutations(range(8)))
def test_the_order_of_evidence_does_not_matter(evidence: list[Evidence], order: list[int]) -> None:
    shuffled = [evidence[i] for i in order if i < len(evidence)]
    assert decide(MANIFEST, HELD, evidence).outcome is decide(MANIFEST, HELD, shuffled).outcome


def made(outcome: Outcome) -> Decision:
    return Decision(outcome, (), (), 1)


@pytest.mark.parametrize(
    ("of_pytest", "outcome", "others_failed", "expected"),
    [
        (0, Outcome.PASS, False, 0),
        (1, Outcome.PASS, True, 1),
        (6, Outcome.PASS, False, 6),
        (0, Outcome.BLOCKED, False, 1),
        (1, Outcome.BLOCKED, False, 1),
        (5, Outcome.BLOCKED, False, 1),
        (77, Outcome.BLOCKED, False, 1),
        (0, Outcome.UNDECIDED, False, 11),
        (1, Outcome.UNDECIDED, False, 11),
        (1, Outcome.UNDECIDED, True, 1),
        (5, Outcome.UNDECIDED, False, 11),
        (77, Outcome.UNDECIDED, False, 77),
        *((status, outcome, False, status) for status in (2, 3, 4) for outcome in Outcome),
    ],
)
def test_the_exit_status(of_pytest: int, outcome: Outcome, others_failed: bool, expected: int) -> None:
    assert exit_status(of_pytest, made(outcome), others_failed=others_failed) == expected


@given(st.integers() | st.sampled_from([256, -256, 512]), st.booleans())
def test_no_status_of_pytest_makes_a_green_one(of_pytest: int, others_failed: bool) -> None:
    for outcome in Outcome:
        status = exit_status(of_pytest, made(outcome), others_failed=others_failed)
        # A process ends with the last eight bits.
        assert (status % 256 == 0) == (outcome is Outcome.PASS and of_pytest == 0)


def test_the_bound_is_the_exact_one() -> None:
    assert f"{100 * flip_rate_bound(19):.1f}" == "14.6"
    assert f"{100 * flip_rate_bound(59):.1f}" == "5.0"
    assert f"{100 * flip_rate_bound(299):.1f}" == "1.0"
    assert flip_rate_bound(0) == 1.0
