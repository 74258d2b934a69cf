"""The two-way ratchet: what one baseline holds and another does not, one line an anchor. Pure.

What is gained is offered as a new anchor; what is lost needs a reason, which stays in the file (record.py).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pytest_anchorgate.baseline import Baseline, Recorded
from pytest_anchorgate.wire import MAX_LINE, printable


class Step(enum.Enum):
    """What became of one anchor from one baseline to the next, worst first."""

    LOST = "held -> lost"
    GONE = "held -> gone"
    CHANGED = "anchor changed"
    FORGOTTEN = "not held -> gone"
    GAINED = "lost -> held"
    NEW = "new -> held"
    ADDED = "new -> not held"
    REWRITTEN = "text changed"
    SURER = "margin changed"


GIVEN_UP = (Step.LOST, Step.GONE)


@dataclass(frozen=True, slots=True)
class Change:
    """One anchor that differs between two baselines.

    Attributes:
        held: whether either side holds it, for a change of the anchor itself.
        why: what else there is to say, in one line.
    """

    task_id: str
    step: Step
    why: str = ""

    def __str__(self) -> str:
        return f"{self.step.value}: {self.task_id}{': ' if self.why else ''}{self.why}"


def compare_baselines(old: Baseline, new: Baseline) -> list[Change]:
    """The anchors that differ, worst first, each kind in the order of the files."""
    names = [*old.anchors, *(task_id for task_id in new.anchors if task_id not in old.anchors)]
    reasons = {dropped.task_id: dropped.reason for dropped in new.dropped[len(old.dropped) :]}
    changes = [
        change
        for task_id in names
        if (change := _change(task_id, old.anchors.get(task_id), new.anchors.get(task_id), reasons))
    ]
    order = list(Step)
    return sorted(changes, key=lambda change: order.index(change.step))


def gives_up(changes: list[Change]) -> bool:
    """Whether something that the old baseline holds is not held by the new one."""
    return any(change.step in GIVEN_UP for change in changes)


def render_changes(old: Baseline, new: Baseline, changes: list[Change]) -> list[str]:
    """Lines for a person: what each side is, one line an anchor, and a sum."""
    lines = [
        f"{sign} {side.pack.name} identity {side.pack.identity[:12]}, holds {sum(side.held.values())} of "
        f"{len(side.anchors)}, numerics {side.numerics}"
        for sign, side in (("-", old), ("+", new))
    ]
    lines += map(str, changes)
    same = len(old.anchors.keys() & new.anchors.keys()) - sum(
        change.task_id in old.anchors and change.task_id in new.anchors for change in changes
    )
    return [*lines, f"{same} unchanged, {len(changes)} changed"]


def render_gains(gained: tuple[str, ...], pack: str) -> list[str]:
    """How to make what the candidate gained an anchor; nothing where it gained nothing."""
    if not gained:
        return []
    what = "it is" if len(gained) == 1 else "they are"
    return [f"{what} protected once this pack is in production and recorded: anchorgate record --pack {pack}"]


def _change(
    task_id: str, was: Recorded | None, now: Recorded | None, reasons: dict[str, str]
) -> Change | None:
    why_dropped = f"dropped: {printable(reasons[task_id], MAX_LINE)}" if task_id in reasons else ""
    if was is None:
        assert now is not None  # a name comes from one of the two
        return Change(task_id, Step.NEW if now.held else Step.ADDED, "" if now.held else _failure(now))
    if now is None:
        return Change(task_id, Step.GONE if was.held else Step.FORGOTTEN, why_dropped)
    if was.held and not now.held:
        return Change(task_id, Step.LOST, "; ".join(filter(None, (_failure(now), why_dropped))))
    if was.anchor_digest != now.anchor_digest:
        held = "held" if now.held else "not held"
        return Change(task_id, Step.CHANGED, f"what is asked or what counts as right differs; {held}")
    if now.held and not was.held:
        return Change(task_id, Step.GAINED)
    if was.token_ids != now.token_ids:
        return Change(
            task_id, Step.REWRITTEN, f"from token {_parting(was, now) + 1} on; {_margins(was, now)}"
        )
    return Change(task_id, Step.SURER, _margins(was, now)) if was.margins != now.margins else None


def _failure(recorded: Recorded) -> str:
    return printable(f"{recorded.status}: {recorded.reason}", MAX_LINE)


def _parting(was: Recorded, now: Recorded) -> int:
    pairs = enumerate(zip(was.token_ids, now.token_ids, strict=False))
    shorter = min(len(was.token_ids), len(now.token_ids))
    return next((i for i, (a, b) in pairs if a != b), shorter)


def _margins(was: Recorded, now: Recorded) -> str:
    """The smallest lead over the runner-up: how near the answer was to being another."""
    then, since = (min(side.margins, default=0.0) for side in (was, now))
    return f"smallest margin {then:.3g}, then {since:.3g}"
