"""From evidence to a verdict. Pure: knows neither pytest nor the runtime.

A PASS is computed, never inferred: every id of the manifest needs evidence of its own, from this session,
this pack, this baseline and these anchors, which pytest also shows as passed. What is missing or contradicts
itself is undecided.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_anchorgate.repeats import NONDETERMINISTIC, Repeat, differing, sample, unconfirmed

SCHEMA = 1
NOT_RUN = "not run"
# The sandbox's own words, and one of ours: the engine gave no completion to verify.
NO_COMPLETION = "no completion"
_HELD_AS = {"passed": True, "failed": False, "timeout": False, "killed": False}


class Outcome(enum.IntEnum):
    """The gate's verdict; the value is the exit status."""

    PASS = 0
    BLOCKED = 1
    UNDECIDED = 11


class Standing(enum.Enum):
    """What became of one anchor, compared with the baseline."""

    HELD = "held"
    LOST = "lost"
    GAINED = "gained"
    STILL_FAILING = "still failing"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Observation:
    """What one run of one anchor showed; travels as evidence in pytest's report of the item.

    Attributes:
        session: nonce of the gate's session; evidence from another session does not count.
        pack_sha256: digest of the bytes the engine has mapped, as the engine computed it.
        baseline_digest: digest of the baseline's content.
        anchors_digest: digest of the whole anchor set.
        anchor_digest: digest of this anchor alone.
        status: the sandbox's status, or `NO_COMPLETION`.
        reason: one line; `detail`: more of it. Both are printable.
        text: the completion, printable and capped; the tokens are exact.
        margins: top-1 minus top-2 logit, one for each token.
        seconds: time the verification took.
        worker: the xdist worker, "" without xdist.
        level: how the sandbox confined the code (one of its LEVELS), "" if the code was not started.
    """

    session: str
    pack_sha256: str
    baseline_digest: str
    anchors_digest: str
    anchor_digest: str
    task_id: str
    status: str
    reason: str
    detail: str = ""
    text: str = ""
    token_ids: tuple[int, ...] = ()
    margins: tuple[float, ...] = ()
    finish_reason: str = ""
    seconds: float = 0.0
    worker: str = ""
    level: str = ""
    schema: int = SCHEMA

    @property
    def held(self) -> bool | None:
        """Whether the answer is right; None where that could not be found out."""
        return _HELD_AS.get(self.status)


@dataclass(frozen=True, slots=True)
class Evidence:
    """An observation and how pytest shows the test that made it.

    Attributes:
        shown: outcome of the `call` report ("passed", "failed", "skipped", "rerun", ...), "xfail" where a
            mark decided it.
    """

    observation: Observation
    shown: str


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that went wrong, or that explains why evidence is missing.

    Attributes:
        task_id: the anchor it concerns, None for the session.
        fatal: whether it forbids a PASS even if the evidence looks complete.
    """

    text: str
    task_id: str | None = None
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """What must be shown, and on what: the pinned identity of one gate session.

    Attributes:
        anchors: task id to the anchor's own digest, in the order of the anchors file.
        pack_sha256: "" if the engine never said what it loaded; then nothing can be evidence.
        recheck: how many of the anchors that production holds must have been generated a second time, besides
            every lost one; 0 asks for no second time at all.
    """

    session: str
    pack_sha256: str
    baseline_digest: str
    anchors_digest: str
    anchors: Mapping[str, str]
    recheck: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """One anchor's part of the decision."""

    task_id: str
    standing: Standing
    reason: str
    observation: Observation | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's answer.

    Attributes:
        judgements: one for each anchor of the manifest, in its order.
        incidents: those that concern the session as a whole.
        protected: how many anchors the baseline holds, so how many could have been lost.
        partial: a run for debugging, which proves nothing.
        nondeterministic: the anchors that were answered differently the second time; one is enough to
            prove nothing, neither a PASS nor that the pack is to blame for a loss.
    """

    outcome: Outcome
    judgements: tuple[Judgement, ...]
    incidents: tuple[Incident, ...]
    protected: int
    partial: bool = False
    nondeterministic: tuple[str, ...] = ()

    def of(self, standing: Standing) -> tuple[Judgement, ...]:
        """The anchors that stand so, in the manifest's order."""
        return tuple(j for j in self.judgements if j.standing is standing)


def compare(was_held: bool, held: bool | None) -> Standing:
    """How an anchor stands, given whether production solved it and whether the candidate does."""
    if held is None:
        return Standing.UNDECIDED
    if held:
        return Standing.HELD if was_held else Standing.GAINED
    return Standing.LOST if was_held else Standing.STILL_FAILING


def decide(
    manifest: Manifest,
    baseline_held: Mapping[str, bool],
    evidence: Sequence[Evidence],
    incidents: Sequence[Incident] = (),
    *,
    partial: bool = False,
    repeats: Sequence[Repeat] = (),
) -> Decision:
    """Computes the verdict over the whole manifest.

    Args:
        manifest: every anchor that must have evidence. An empty one is never a PASS.
        baseline_held: for each task id whether production held it.
        evidence: every observation of the session, repeated attempts included.
        incidents: what went wrong; those with a task id explain missing evidence.
        partial: never PASS, never BLOCKED.
        repeats: second answers from a fresh engine, by the rule in repeats.py.

    Returns:
        UNDECIDED if an answer was not the same the second time; else BLOCKED if an anchor is lost; else
        UNDECIDED if anything is missing, contradictory or broken; else PASS.
    """
    of_task: dict[str, list[Evidence]] = {task_id: [] for task_id in manifest.anchors}
    general = [i for i in incidents if i.task_id is None]
    for piece in evidence:
        task_id = piece.observation.task_id
        if task_id in of_task:
            of_task[task_id].append(piece)
        else:
            general.append(Incident(f"evidence for {task_id!r}, which is no anchor of this set", fatal=True))
    known = {task_id: baseline_held.get(task_id, False) for task_id in manifest.anchors}
    demanded = sample(manifest.pack_sha256, manifest.anchors_digest, known, manifest.recheck)
    judgements = tuple(
        _confirmed(
            manifest,
            _judge(manifest, task_id, baseline_held.get(task_id), pieces, incidents),
            [repeat for repeat in repeats if repeat.task_id == task_id],
            demanded=task_id in demanded,
            trouble=next((i.text for i in incidents if i.task_id == task_id), ""),
        )
        for task_id, pieces in of_task.items()
    )
    nondeterministic = tuple(j.task_id for j in judgements if j.reason.startswith(NONDETERMINISTIC))
    standings = {j.standing for j in judgements}
    undermined = not judgements or any(i.fatal for i in incidents) or any(i.fatal for i in general)
    outcome = Outcome.PASS
    if partial or undermined or Standing.UNDECIDED in standings:
        outcome = Outcome.UNDECIDED
    if Standing.LOST in standings and not (partial or nondeterministic):
        outcome = Outcome.BLOCKED
    protected = sum(known.values())
    return Decision(outcome, judgements, tuple(general), protected, partial, nondeterministic)


def flip_rate_bound(anchors: int) -> float:
    """One-sided 95 % upper bound on the true rate of losses after `anchors` tasks without one; exact."""
    return 1.0 - 0.05 ** (1.0 / anchors) if anchors else 1.0


def exit_status(of_pytest: int, decision: Decision, *, others_failed: bool) -> int:
    """The session's exit status: pytest's own trouble first, then the gate's verdict.

    Args:
        of_pytest: what pytest would return, or a plugin made of it.
        decision: the gate's answer.
        others_failed: whether tests other than the anchors failed.
    """
    if of_pytest and of_pytest % 256 == 0:
        of_pytest = 1  # a process ends with the last eight bits, so this one would look green
        others_failed = True
    if of_pytest in (2, 3, 4):  # interrupted, internal error, usage error
        return of_pytest
    if decision.outcome is Outcome.PASS:
        return of_pytest
    if decision.outcome is Outcome.BLOCKED:
        return int(Outcome.BLOCKED)
    if of_pytest == 1:
        return 1 if others_failed else int(Outcome.UNDECIDED)
    return of_pytest if of_pytest not in (0, 5) else int(Outcome.UNDECIDED)


def _judge(
    manifest: Manifest,
    task_id: str,
    was_held: bool | None,
    pieces: Sequence[Evidence],
    incidents: Sequence[Incident],
) -> Judgement:
    trouble = [i.text for i in incidents if i.task_id == task_id]
    if not pieces:
        reasons = trouble or [i.text for i in incidents if i.task_id is None]
        return Judgement(task_id, Standing.UNDECIDED, f"{NOT_RUN}: {reasons[0]}" if reasons else NOT_RUN)
    observation = pieces[-1].observation
    problem = _mismatch(manifest, pieces) or _disagreement(pieces)
    if was_held is None:
        problem = "the baseline does not know this anchor"
    if problem:
        return Judgement(task_id, Standing.UNDECIDED, problem, observation)
    standing = compare(bool(was_held), observation.held)
    if standing not in (Standing.LOST, Standing.UNDECIDED):
        problem = _not_shown(pieces) or next(iter(trouble), "")
        if problem:
            return Judgement(task_id, Standing.UNDECIDED, problem, observation)
    return Judgement(task_id, standing, observation.reason, observation)


def _confirmed(
    manifest: Manifest, judgement: Judgement, again: Sequence[Repeat], *, demanded: bool, trouble: str
) -> Judgement:
    """The judgement after the determinism check."""
    seen = judgement.observation
    if seen is None or judgement.standing is Standing.UNDECIDED:
        return judgement
    lost = judgement.standing is Standing.LOST
    problem = ""
    if again:
        problem = unconfirmed(manifest.pack_sha256, again) or differing(seen.token_ids, again)
    elif manifest.recheck and (lost or demanded):
        problem = trouble or unconfirmed(manifest.pack_sha256, again)
    if not problem:
        return judgement
    reason = f"{problem} (it was lost: {judgement.reason})" if lost else problem
    return replace(judgement, standing=Standing.UNDECIDED, reason=reason)


def _mismatch(manifest: Manifest, pieces: Sequence[Evidence]) -> str:
    for piece in pieces:
        seen = piece.observation
        pairs = (
            ("session", seen.session, manifest.session),
            ("pack", seen.pack_sha256, manifest.pack_sha256),
            ("baseline", seen.baseline_digest, manifest.baseline_digest),
            ("anchor set", seen.anchors_digest, manifest.anchors_digest),
            ("anchor", seen.anchor_digest, manifest.anchors[seen.task_id]),
        )
        for what, got, expected in pairs:
            # Without a completion there is nothing that a pack could be blamed or trusted for.
            if got != expected or not (expected or seen.status == NO_COMPLETION):
                digests = f"{got[:12] or 'none'}, expected {expected[:12] or 'none'}"
                return f"the evidence belongs to another {what} ({digests})"
    return ""


def _disagreement(pieces: Sequence[Evidence]) -> str:
    first = pieces[0].observation
    for piece in pieces[1:]:
        seen = piece.observation
        if seen.token_ids != first.token_ids:
            return "repeated runs gave different tokens"
        if seen.held is not first.held:
            return f"repeated runs were judged differently ({first.status}, then {seen.status})"
    return ""


def _not_shown(pieces: Sequence[Evidence]) -> str:
    """Why pytest's own view does not confirm evidence that is not a loss; "" if it does."""
    shown = {piece.shown for piece in pieces}
    return "" if shown == {"passed"} else f"pytest shows the test as {', '.join(sorted(shown - {'passed'}))}"
