"""What a sweep found, and which scale is best: held anchors first, then sentinels, then gains, then caution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

ANCHORS, SENTINELS, HELDOUT = GROUPS = ("anchors", "sentinels", "heldout")


@dataclass(frozen=True, slots=True)
class Point:
    """One scale.

    Attributes:
        identity: of the child; `sha256`: of its file.
        changed: elements whose bits differ from the parent's, of `elements` in the weights that the adapter targets.
        seconds: for merging, generating and verifying.
        held: group -> task id -> whether the answer is right; None where that could not be found out.
        tokens: task id -> the answer.
        failure: why there are no answers at all, "" if there are.
    """

    scale: str
    identity: str
    sha256: str
    changed: int
    elements: int
    seconds: float
    held: Mapping[str, Mapping[str, bool | None]]
    tokens: Mapping[str, tuple[int, ...]]
    failure: str = ""

    def holds(self, group: str) -> frozenset[str]:
        """The tasks of a group that are known to be solved."""
        return frozenset(task_id for task_id, held in self.held[group].items() if held)

    @property
    def undecided(self) -> int:
        """How many tasks could not be verified."""
        return sum(held is None for group in self.held.values() for held in group.values())

    def at_scale(self, scale: str, seconds: float) -> Point:
        """The same child under another scale."""
        return replace(self, scale=scale, seconds=seconds)


@dataclass(slots=True)
class Sweep:
    """The points of one adapter on one parent; the first one added is the parent itself, scale 0.

    Attributes:
        parent: its identity.
        adapter: digest of the adapter.
        required: ids of the anchors that the gate demands; None for those that the parent holds.
    """

    parent: str
    adapter: str
    required: frozenset[str] | None
    points: list[Point] = field(default_factory=list)

    def add(self, point: Point) -> None:
        """Takes a point."""
        self.points.append(point)

    def with_identity(self, identity: str) -> Point | None:
        """The point whose child is this pack."""
        return next((p for p in self.points if p.identity == identity and not p.failure), None)

    def last_tokens(self) -> Mapping[str, tuple[int, ...]]:
        """The answers of the last point."""
        return self.points[-1].tokens if self.points else {}

    def summary(self, point: Point) -> Summary:
        """The counts by which a point is judged."""
        parent = self.points[0]
        required = parent.holds(ANCHORS) if self.required is None else self.required
        kept, kept_before = point.holds(SENTINELS), parent.holds(SENTINELS)
        return Summary(
            lost_anchors=tuple(sorted(required - point.holds(ANCHORS))),
            anchors=len(point.holds(ANCHORS)),
            lost_sentinels=tuple(sorted(kept_before - kept)),
            gained_sentinels=tuple(sorted(kept - kept_before)),
            gains=tuple(sorted(point.holds(HELDOUT) - parent.holds(HELDOUT))),
            losses=tuple(sorted(parent.holds(HELDOUT) - point.holds(HELDOUT))),
        )

    @property
    def choice(self) -> Point:
        """The best point by, in this order: required anchors lost, anchors held, net sentinels, gains, caution."""

        def rank(point: Point) -> tuple[Any, ...]:
            counts = self.summary(point)
            return (
                -len(counts.lost_anchors),
                counts.anchors,
                counts.net_sentinels >= 0,
                len(counts.gains) - len(counts.losses),
                -abs(Decimal(point.scale)),
            )

        return max((point for point in self.points if not point.failure), key=rank)

    def to_json(self) -> dict[str, Any]:
        """Plain data: the table and the choice."""
        return {
            "schema": 1,
            "parent": self.parent,
            "adapter": self.adapter,
            "required": None if self.required is None else sorted(self.required),
            "tasks": {group: len(tasks) for group, tasks in self.points[0].held.items()},
            "choice": {
                "scale": self.choice.scale,
                "identity": self.choice.identity,
                "sha256": self.choice.sha256,
            },
            "points": [
                {
                    "scale": point.scale,
                    "identity": point.identity,
                    "sha256": point.sha256,
                    "changed": point.changed,
                    "elements": point.elements,
                    "failure": point.failure,
                    "undecided": point.undecided,
                    "held": {group: sorted(point.holds(group)) for group in point.held},
                    **self.summary(point).to_json(),
                }
                for point in self.points
            ],
        }


@dataclass(frozen=True, slots=True)
class Summary:
    """A point beside the parent.

    Attributes:
        lost_anchors: required ones that are not held; any blocks a merge.
        anchors: how many are held in all.
        lost_sentinels: held by the parent, not by this one; `gained_sentinels`: the other way round.
        gains: held-out tasks that this one solves and the parent does not; `losses`: the other way round.
    """

    lost_anchors: tuple[str, ...]
    anchors: int
    lost_sentinels: tuple[str, ...]
    gained_sentinels: tuple[str, ...]
    gains: tuple[str, ...]
    losses: tuple[str, ...]

    @property
    def net_sentinels(self) -> int:
        """Gained minus lost."""
        return len(self.gained_sentinels) - len(self.lost_sentinels)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {name: list(getattr(self, name)) for name in Summary.__slots__ if name != "anchors"}


def render(sweep: Sweep) -> str:
    """The table as Markdown, and the choice in words."""
    rows = [_row(sweep, point) for point in sweep.points]
    header = ["scale", "anchors held", "sentinels", "held-out", "bits changed", "pack"]
    lines = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
    return "\n".join([*lines, "", _choice_line(sweep), *_losses(sweep)]) + "\n"


def _row(sweep: Sweep, point: Point) -> Sequence[str]:
    mark = " **←**" if point is sweep.choice else ""
    changed = f"{100 * point.changed / point.elements:.1f} %" if point.elements else "0"
    if point.failure:
        return [
            point.scale,
            "no answers",
            "",
            point.failure.replace("|", "\\|"),
            changed,
            point.identity[:12],
        ]
    counts = sweep.summary(point)
    sizes = {group: len(tasks) for group, tasks in point.held.items()}
    sentinels = f"{len(point.holds(SENTINELS))} of {sizes[SENTINELS]}"
    if counts.lost_sentinels or counts.gained_sentinels:
        sentinels += f" (+{len(counts.gained_sentinels)} -{len(counts.lost_sentinels)})"
    heldout = f"{len(point.holds(HELDOUT))} of {sizes[HELDOUT]}"
    if counts.gains or counts.losses:
        heldout += f" (+{len(counts.gains)} -{len(counts.losses)})"
    anchors = f"{counts.anchors} of {sizes[ANCHORS]}"
    if counts.lost_anchors:
        anchors += f" (lost {len(counts.lost_anchors)})"
    if point.undecided:
        anchors += f", {point.undecided} tasks undecided"
    return [f"{point.scale}{mark}", anchors, sentinels, heldout, changed, point.identity[:12]]


def _choice_line(sweep: Sweep) -> str:
    choice = sweep.choice
    counts = sweep.summary(choice)
    if counts.lost_anchors:
        return f"No scale holds all required anchors; {choice.scale} loses the fewest ({len(counts.lost_anchors)})."
    if choice.scale == "0":
        return "Chosen: 0, the parent itself. No scale of this adapter is better without a loss."
    words = f"net sentinels {counts.net_sentinels:+d}, held-out {len(counts.gains) - len(counts.losses):+d}"
    return f"Chosen: {choice.scale}, pack {choice.identity}: no required anchor lost, {words}."


def _losses(sweep: Sweep) -> list[str]:
    lines = []
    for point in sweep.points:
        counts = sweep.summary(point)
        if point.failure:
            continue
        for what, ids in (("anchors", counts.lost_anchors), ("sentinels", counts.lost_sentinels)):
            if ids:
                lines.append(f"- scale {point.scale} loses the {what} {', '.join(ids)}")
    return ["", *lines] if lines else []
