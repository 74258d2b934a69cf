"""The decision as lines for a terminal or a log. Pure: nothing here writes, and nothing is coloured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_anchorgate.progress import duration
from pytest_anchorgate.ratchet import render_gains
from pytest_anchorgate.verdict import Decision, Judgement, Outcome, Standing, flip_rate_bound

if TYPE_CHECKING:
    from pytest_anchorgate.gate import Gate

_DIGEST = 12
_NAMES_IN_A_LINE = 6


@dataclass(frozen=True, slots=True)
class Run:
    """What else the summary tells about a run.

    Attributes:
        seconds: of the whole session; `generation_seconds`: of the engine without loading; `tokens`: written
            in that time.
        pack: file name of the candidate; `production`: of the pack that the baseline was recorded on.
        repeated: answers that a fresh engine gave a second time; `repeat_seconds`: generating them.
    """

    seconds: float
    generation_seconds: float
    tokens: int
    pack: str
    production: str
    repeated: int = 0
    repeat_seconds: float = 0.0


def render_header(gate: Gate) -> list[str]:
    """What is gated by what, before anything runs."""
    base = gate.baseline
    held = sum(base.held.values())
    return [
        f"anchorgate: {gate.pack.name} identity {gate.pack.identity[:_DIGEST]} · "
        f"{_count(len(gate.anchors), 'anchor')} {gate.anchors.digest[:_DIGEST]}",
        f"anchorgate: baseline {gate.baseline_digest[:_DIGEST]} from {base.pack.name} identity "
        f"{base.pack.identity[:_DIGEST]}, which held {held} · numerics {base.numerics}",
        f"anchorgate: sandbox {gate.sandbox.answer().describe() if gate.sandbox else ''}",
    ]


def render_summary(decision: Decision, run: Run) -> list[str]:
    """The section "anchorgate" without its last line."""
    lines = [", ".join(f"{len(decision.of(standing))} {standing.value}" for standing in Standing)]
    for standing in (Standing.LOST, Standing.GAINED, Standing.STILL_FAILING):
        lines += _named(decision.of(standing), standing.value, with_reasons=standing is Standing.LOST)
        if standing is Standing.GAINED:
            lines += render_gains(tuple(j.task_id for j in decision.of(standing)), run.pack)
    lines += _undecided(decision.of(Standing.UNDECIDED))
    lines += [f"note: {text}" for text in _unsaid(decision)]
    lines.append(_speed(run))
    lines.append(_repeats(decision, run))
    lines.append(_proof(decision, run))
    return [line for line in lines if line]


def render_verdict(decision: Decision, exit_status: int) -> str:
    """The last line: the verdict in one word, why, and the exit status."""
    return f"{decision.outcome.name}: {_why(decision)} (exit status {exit_status})"


def render_waiting(answers: int) -> str:
    """What the end of the session waits for."""
    return f"anchorgate: a fresh engine generates {_count(answers, 'answer')} a second time"


def render_no_session(flag: str, exit_status: int) -> str:
    """The last line where pytest never came to the end of a session."""
    why = f": {flag} runs no tests" if flag else ""
    return f"UNDECIDED: the gate did not run{why} (exit status {exit_status})"


def _why(decision: Decision) -> str:
    lost, undecided = decision.of(Standing.LOST), decision.of(Standing.UNDECIDED)
    if decision.partial:
        return "partial: proves nothing"
    if decision.outcome is Outcome.BLOCKED:
        return f"{_count(len(lost), 'anchor')} that production holds {_be(len(lost))} lost"
    if decision.outcome is Outcome.PASS:
        if not decision.protected:
            return "nothing was lost, but nothing is protected: production holds no anchor"
        return f"{_all(decision.protected)} that production holds {_be(decision.protected)} held"
    if decision.nondeterministic:
        number = _count(len(decision.nondeterministic), "answer")
        return f"NONDETERMINISTIC: {number} changed when generated again, so no answer can be trusted"
    if len(undecided) == len(decision.judgements):
        return "no anchor was decided"
    if undecided:
        return f"{len(undecided)} of {_count(len(decision.judgements), 'anchor')} undecided"
    return "the evidence looks complete, but the session was not sound"


def _named(judgements: tuple[Judgement, ...], word: str, *, with_reasons: bool) -> list[str]:
    if with_reasons:
        return [f"{word}: {j.task_id}: {j.reason}" for j in judgements]
    names = [j.task_id for j in judgements]
    rows = [names[i : i + _NAMES_IN_A_LINE] for i in range(0, len(names), _NAMES_IN_A_LINE)]
    return [f"{word}: {', '.join(row)}" for row in rows]


def _undecided(judgements: tuple[Judgement, ...]) -> list[str]:
    """One line a reason: nineteen anchors that share one are not nineteen problems."""
    by_reason: dict[str, list[str]] = {}
    for judgement in judgements:
        by_reason.setdefault(judgement.reason, []).append(judgement.task_id)
    return [f"undecided: {_some(names)}: {reason}" for reason, names in by_reason.items()]


def _unsaid(decision: Decision) -> Iterable[str]:
    """Trouble of the whole session that no anchor's reason tells already."""
    reasons = " ".join(j.reason for j in decision.judgements)
    return list(dict.fromkeys(i.text for i in decision.incidents if i.fatal and i.text not in reasons))


def _speed(run: Run) -> str:
    if not run.tokens or run.generation_seconds <= 0:
        return f"{duration(run.seconds)} in all"
    rate = run.tokens / run.generation_seconds
    return (
        f"{duration(run.seconds)} in all; {run.tokens:,} tokens generated "
        f"in {duration(run.generation_seconds)}, {rate:,.0f} tokens/s"
    )


def _repeats(decision: Decision, run: Run) -> str:
    if not run.repeated:
        return ""
    differ = len(decision.nondeterministic)
    found = f"{differ} with other tokens" if differ else "the same tokens"
    return (
        f"{_count(run.repeated, 'answer')} generated a second time by a fresh engine "
        f"in {duration(run.repeat_seconds)}: {found}"
    )


def _proof(decision: Decision, run: Run) -> str:
    """What this many anchors can and cannot prove."""
    if not decision.protected:
        return (
            f"nothing is protected: {run.production} held none of the anchors when the baseline was recorded"
        )
    if decision.outcome is not Outcome.PASS:
        return ""
    bound = 100 * flip_rate_bound(decision.protected)
    return (
        f"{_count(decision.protected, 'protected anchor')} and 0 flips: the true flip rate can still be "
        f"up to {bound:.1f} % (one-sided 95 %): a tripwire, not a quality estimate"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def _all(number: int) -> str:
    return "the one anchor" if number == 1 else f"all {number} anchors"


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMES_IN_A_LINE])
    rest = len(names) - _NAMES_IN_A_LINE
    return f"{shown} and {rest} more" if rest > 0 else shown
