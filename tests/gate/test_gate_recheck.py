"""The determinism check: a second answer from a fresh engine, which can take a verdict away but never give one."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable

import pytest
from gate_house import Gate, House
from hypothesis import given
from hypothesis import strategies as st
from test_gate_decide import HELD, IDS, MANIFEST, everything, seen, shown
from traps import said, spring

from pytest_anchorgate import recheck
from pytest_anchorgate.engine import (
    EngineCrashed,
    EngineRefused,
    EngineTimeout,
    Generation,
    Request,
    generate,
)
from pytest_anchorgate.engine_process import HostProcess
from pytest_anchorgate.repeats import Repeat, sample
from pytest_anchorgate.verdict import Incident, Outcome, Standing, decide

CHECKED = dataclasses.replace(MANIFEST, recheck=1)
(SAMPLED,) = sample("pack", "set", HELD, 1)
(OTHER,) = (task_id for task_id, held in HELD.items() if held and task_id != SAMPLED)


def again(task_id: str, token_ids: tuple[int, ...] = (1, 2), pack: str = "pack") -> Repeat:
    return Repeat(task_id, pack, token_ids)


def test_the_sample_depends_on_pack_and_anchors_alone() -> None:
    held = {f"T/{i}": i % 3 > 0 for i in range(30)}
    samples = {sample(pack, anchors, held, 4) for pack in ("p", "q") for anchors in ("a", "b")}
    assert len(samples) == 4
    for chosen in samples:
        assert len(chosen) == 4
        assert all(held[task_id] for task_id in chosen)
        assert list(chosen) == [task_id for task_id in held if task_id in chosen]
    shuffled = dict(reversed(held.items()))
    assert set(sample("p", "a", shuffled, 4)) == set(sample("p", "a", held, 4))
    assert len(sample("p", "a", held, 99)) == 20
    assert len(sample("p", "a", dict.fromkeys(held, False), 3)) == 3


def test_a_pass_needs_the_second_answer_of_the_sample() -> None:
    missing = decide(CHECKED, HELD, everything())
    assert missing.outcome is Outcome.UNDECIDED
    assert [(j.task_id, j.reason) for j in missing.of(Standing.UNDECIDED)] == [
        (SAMPLED, "it was not generated again")
    ]
    assert decide(CHECKED, HELD, everything(), repeats=[again(OTHER)]).outcome is Outcome.UNDECIDED
    assert decide(CHECKED, HELD, everything(), repeats=[again(SAMPLED)]).outcome is Outcome.PASS


def test_other_tokens_take_every_verdict_away() -> None:
    lost = everything(**{OTHER.replace("/", "_"): "failed"})
    repeats = [again(SAMPLED, (1, 3)), again(OTHER)]
    for evidence in (everything(), lost):
        decision = decide(CHECKED, HELD, evidence, repeats=repeats)
        assert decision.outcome is Outcome.UNDECIDED
        assert decision.nondeterministic == (SAMPLED,)
        assert decision.of(Standing.UNDECIDED)[0].reason == (
            "NONDETERMINISTIC: a fresh engine wrote other tokens for the same prompt"
        )


def test_a_loss_is_blamed_on_the_pack_only_if_it_repeats() -> None:
    lost = everything(**{OTHER.replace("/", "_"): "failed"})
    assert decide(CHECKED, HELD, lost, repeats=[again(SAMPLED), again(OTHER)]).outcome is Outcome.BLOCKED
    for repeats, words in (
        ([again(SAMPLED)], "it was not generated again (it was lost: it failed)"),
        (
            [again(SAMPLED), again(OTHER, (9,))],
            "NONDETERMINISTIC: a fresh engine wrote other tokens for the same prompt (it was lost: it failed)",
        ),
        (
            [again(SAMPLED), again(OTHER, pack="mule")],
            "it was generated again from another pack (mule, expected pack) (it was lost: it failed)",
        ),
    ):
        decision = decide(CHECKED, HELD, lost, repeats=repeats)
        assert decision.outcome is Outcome.UNDECIDED
        assert [j.reason for j in decision.of(Standing.UNDECIDED)] == [words]


def test_why_there_is_no_second_answer_is_told() -> None:
    incidents = [Incident("it was not generated again: the engine was killed", SAMPLED)]
    decision = decide(CHECKED, HELD, everything(), incidents)
    assert decision.of(Standing.UNDECIDED)[0].reason == "it was not generated again: the engine was killed"


@given(
    st.lists(
        st.builds(
            again, st.sampled_from(IDS), st.sampled_from([(1, 2), (1, 3)]), st.sampled_from(["pack", "x"])
        )
    ),
    st.integers(0, 4),
    st.lists(st.sampled_from(["passed", "failed"]), min_size=3, max_size=3),
)
def test_second_answers_never_turn_anything_green(
    repeats: list[Repeat], size: int, statuses: list[str]
) -> None:
    evidence = [shown(seen(task_id, status)) for task_id, status in zip(IDS, statuses, strict=True)]
    without = decide(MANIFEST, HELD, evidence).outcome
    outcome = decide(dataclasses.replace(MANIFEST, recheck=size), HELD, evidence, repeats=repeats).outcome
    if outcome is Outcome.PASS:
        assert without is Outcome.PASS
        answered = {repeat.task_id for repeat in repeats}
        assert answered >= set(sample("pack", "set", HELD, size))
        assert all(repeat in (again(repeat.task_id),) for repeat in repeats)


Change = Callable[[Request, Generation], Generation]


def second(monkeypatch: pytest.MonkeyPatch, change: Change) -> list[Request]:
    """Changes what the second engine gives, and notes what it is asked."""
    asked: list[Request] = []

    def fake(request: Request, **how: object) -> Generation:
        asked.append(request)
        return change(request, generate(request, **how))  # type: ignore[arg-type]

    monkeypatch.setattr(recheck, "generate", fake)
    return asked


def as_it_is(request: Request, done: Generation) -> Generation:
    return done


def other_tokens(request: Request, done: Generation) -> Generation:
    changed = [dataclasses.replace(answer, token_ids=(*answer.token_ids, 0)) for answer in done.completions]
    return dataclasses.replace(done, completions=tuple(changed))


def test_the_second_engine_works_in_another_way(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    asked = second(monkeypatch, as_it_is)
    result = gate.run("--anchorgate-threads=4", *workers, pack="loses")
    assert result.ret == 1
    lines = result.outlines
    (line,) = [line for line in lines if "a second time by a fresh engine in" in line]
    assert line.endswith(": the same tokens")
    assert "BLOCKED: 1 anchor that production holds is lost (exit status 1)" in lines
    prompts = [prompt for request in asked for prompt in request.prompts]
    assert len(prompts) == len(set(prompts)) == int(line.split()[0])
    assert any("`add`" in prompt for prompt in prompts)
    for request in asked:
        assert set(request.expected) == {None}
        assert (request.threads, request.prefill_chunk, request.nice) == (2, 64, 10)


def test_the_second_batch_is_in_reverse_order(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = second(monkeypatch, as_it_is)
    assert gate.run("--anchorgate-recheck=99", pack="solves-all").ret == 0
    assert [prompt.split("`")[1] for prompt in asked[0].prompts] == ["mul", "add"]


def test_other_tokens_of_a_held_anchor_are_named(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    second(monkeypatch, other_tokens)
    result = spring(gate, *workers)
    assert result.ret == 11
    lines = result.outlines
    at = lines.index("0 held, 0 lost, 0 gained, 2 still failing, 2 undecided")
    assert lines[at + 2] == (
        "undecided: T/1, T/17: NONDETERMINISTIC: a fresh engine wrote other tokens for the same prompt"
    )
    assert lines[at + 4].startswith("2 answers generated a second time by a fresh engine in ")
    assert lines[at + 4].endswith(": 2 with other tokens")
    assert lines[at + 5] == (
        "UNDECIDED: NONDETERMINISTIC: 2 answers changed when generated again, so no answer can be trusted "
        "(exit status 11)"
    )


def test_other_tokens_of_a_lost_anchor_are_no_verdict_on_the_pack(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    second(monkeypatch, other_tokens)
    result = spring(gate, pack="solves-none")
    assert result.ret == 11
    assert "NONDETERMINISTIC" in said(result)


def crash(*_: object) -> Generation:
    raise EngineCrashed("the engine ended with exit status 3")


def late(*_: object) -> Generation:
    raise EngineTimeout("the engine was not done within 900 s and was killed")


def refuse(*_: object) -> Generation:
    raise EngineRefused("no pack")


def other_pack(request: Request, done: Generation) -> Generation:
    return dataclasses.replace(done, info={**done.info, "pack_sha256": "f" * 64})


FAILURES = {
    "crash": (crash, "it was not generated again: the engine ended with exit status 3"),
    "timeout": (late, "it was not generated again: the engine was not done within 900 s and was killed"),
    "refused": (refuse, "it was not generated again: the engine refused the pack: no pack"),
    "another pack": (other_pack, "it was generated again from another pack (ffffffffffff, expected "),
}


@pytest.mark.parametrize("pack", ["production", "loses"])
@pytest.mark.parametrize("how", FAILURES)
def test_without_a_second_answer_nothing_is_decided(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, how: str, pack: str
) -> None:
    change, words = FAILURES[how]
    second(monkeypatch, change)
    result = spring(gate, pack=pack)
    assert result.ret == 11
    assert words in said(result)


def test_a_second_engine_that_is_killed_is_named(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    hosts: list[HostProcess] = []

    def request(self: HostProcess, frame: bytes, really: Callable[..., None] = HostProcess.request) -> None:
        hosts.append(self)
        if len(hosts) == 2:
            os.kill(self._process.pid, signal.SIGKILL)
        really(self, frame)

    monkeypatch.setattr(HostProcess, "request", request)
    result = spring(gate, *workers)
    assert result.ret == 11
    assert (
        "undecided: T/1, T/17: it was not generated again: the engine was killed by signal 9 (SIGKILL), "
        "which is what the kernel does when memory runs out"
    ) in result.outlines


def test_a_session_that_is_interrupted_does_not_wait(gate: Gate) -> None:
    gate.pytester.makeconftest(
        """
        from pytest_anchorgate import recheck

        recheck.Recheck.finish = None  # calling it would be an internal error

        def pytest_runtest_call(item):
            raise KeyboardInterrupt
        """
    )
    assert spring(gate, subprocess=True).ret == 2


def test_a_loss_is_checked_also_where_the_session_stops_early(gate: Gate, workers: tuple[str, ...]) -> None:
    result = spring(gate, "-x", *workers, pack="loses")
    assert result.ret == (2 if workers else 1)
    assert "BLOCKED: 1 anchor that production holds is lost" in said(result)


@pytest.mark.parametrize(("text", "least"), [("0", 1), ("-1", 1), ("", 1), ("some", 1), ("1.5", 1)])
def test_the_sample_has_a_floor(gate: Gate, text: str, least: int) -> None:
    result = spring(gate, f"--anchorgate-recheck={text}")
    assert result.ret == 4
    assert (
        f"ERROR: --anchorgate-recheck is {text!r}, not a number from {least}: "
        "without a second answer nothing is proven"
    ) in result.errlines


def test_in_a_partial_run_there_may_be_none(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = second(monkeypatch, as_it_is)
    assert spring(gate, "--anchorgate-partial", "--anchorgate-recheck=0", pack="loses").ret == 11
    assert not asked
    assert spring(gate, "--anchorgate-partial", "--anchorgate-recheck=-1").ret == 4


def test_one_is_enough_if_it_is_asked_for(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = second(monkeypatch, as_it_is)
    result = gate.run("--anchorgate-recheck=1")
    assert result.ret == 0
    assert [len(request.prompts) for request in asked] == [1]
    assert any(line.startswith("1 answer generated a second time") for line in result.outlines)


def test_the_same_pack_gives_the_same_answer_again(house: House) -> None:
    from test_gate_engine import Recorder

    from pytest_anchorgate.anchors import read_anchors
    from pytest_anchorgate.gate import Gate as Session
    from pytest_anchorgate.gate import open_pack

    anchors = read_anchors(house.anchors)
    pack = open_pack(str(house.pack("production")), progress=False)
    session = Session("n", pack, anchors, house.baseline, house.baseline.digest, timeout=60.0, threads=1)
    session.run_engine(house.baseline.anchors, Recorder())
    repeated = recheck.generate_again(session, house.baseline.anchors)
    assert not repeated.failures
    assert repeated.tokens == sum(len(repeat.token_ids) for repeat in repeated.repeats)
    assert {r.task_id: r.token_ids for r in repeated.repeats} == {
        task_id: entry.token_ids for task_id, entry in house.baseline.anchors.items()
    }
