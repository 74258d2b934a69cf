"""Two scoreboards side by side: what was lost, what was won, what changed without anybody noticing. Pure.

A negative flip is a task that the parent solves and the child does not; two packs of the same score can differ in
many of them (Yan et al., CVPR 2021, arXiv 2011.09161; "Accuracy is not all you need", arXiv 2407.09141).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb
from typing import Any, Protocol


class Outcome(Protocol):
    """What is compared of a task; `bench.evaluate.TaskResult` is one."""

    @property
    def held(self) -> bool | None:
        """Whether the answer is right; None where that could not be found out."""

    @property
    def token_ids(self) -> Sequence[int]:
        """The answer."""

    @property
    def margins(self) -> Sequence[float]:
        """For each token its logit minus the second largest."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two packs on the same tasks.

    Attributes:
        tasks: how many were compared.
        before: how many the parent solves; `after`: the child.
        lost: negative flips; `won`: positive flips.
        both_wrong_changed: neither solves it, and the answers differ; `both_right_changed` likewise.
        undecided: tasks left out because one side could not be judged, or was not run.
    """

    tasks: int
    before: int
    after: int
    lost: tuple[str, ...]
    won: tuple[str, ...]
    both_wrong_changed: int
    both_right_changed: int
    undecided: tuple[str, ...]

    @property
    def mcnemar(self) -> Fraction:
        """Exact two-sided p of McNemar's test: how likely such a split of the flips is if both are as good."""
        return mcnemar_exact(len(self.lost), len(self.won))

    def to_json(self) -> dict[str, Any]:
        """Plain data; rates and p as decimals."""
        return {
            "tasks": self.tasks,
            "before": self.before,
            "after": self.after,
            "lost": list(self.lost),
            "won": list(self.won),
            "both_wrong_changed": self.both_wrong_changed,
            "both_right_changed": self.both_right_changed,
            "undecided": list(self.undecided),
            "nfr": rate(len(self.lost), self.tasks),
            "nfr_of_held": rate(len(self.lost), self.before),
            "mcnemar_p": significant(self.mcnemar),
        }


@dataclass(frozen=True, slots=True)
class Parting:
    """Where the child's answer first differs from the parent's.

    Attributes:
        index: of the token, counted from 0.
        margin: the parent's lead there, in logits: small where it was nearly undecided itself. None at its end.
    """

    task_id: str
    index: int
    margin: float | None


def compare(
    parent: Mapping[str, Outcome], child: Mapping[str, Outcome], tasks: Collection[str] | None = None
) -> Comparison:
    """Compares two packs.

    Args:
        parent: results by task.
        child: results by task.
        tasks: the tasks that count; None for all that the parent was asked.
    """
    wanted = sorted(parent if tasks is None else tasks)
    undecided = tuple(task for task in wanted if _held(parent, task) is None or _held(child, task) is None)
    counted = [task for task in wanted if task not in set(undecided)]
    groups: dict[tuple[bool, bool], list[str]] = {(a, b): [] for a in (True, False) for b in (True, False)}
    for task in counted:
        groups[bool(_held(parent, task)), bool(_held(child, task))].append(task)
    return Comparison(
        tasks=len(counted),
        before=len(groups[True, True]) + len(groups[True, False]),
        after=len(groups[True, True]) + len(groups[False, True]),
        lost=tuple(groups[True, False]),
        won=tuple(groups[False, True]),
        both_wrong_changed=sum(_changed(parent[task], child[task]) for task in groups[False, False]),
        both_right_changed=sum(_changed(parent[task], child[task]) for task in groups[True, True]),
        undecided=undecided,
    )


def partings(
    parent: Mapping[str, Outcome], child: Mapping[str, Outcome], tasks: Collection[str]
) -> list[Parting]:
    """For each task whose answers differ, where they first do; in the order of `tasks`."""
    found = []
    for task in tasks:
        if task not in parent or task not in child:
            continue
        old, new = list(parent[task].token_ids), list(child[task].token_ids)
        if old != new:
            pairs = enumerate(zip(old, new, strict=False))
            index = next((i for i, (a, b) in pairs if a != b), min(len(old), len(new)))
            margins = parent[task].margins
            found.append(Parting(task, index, margins[index] if index < len(margins) else None))
    return found


def mcnemar_exact(lost: int, won: int) -> Fraction:
    """Exact two-sided p of McNemar's test on the flips: twice the smaller binomial tail at 1/2, at most 1."""
    flips = lost + won
    tail = sum(comb(flips, k) for k in range(min(lost, won) + 1))
    return min(Fraction(1), Fraction(2 * tail, 2**flips))


def loss_bound(held: int, confidence: float = 0.95) -> float:
    """The loss rate that `held` tasks, none of them lost, rule out: above it, one would have been lost.

    19 tasks rule out 14.6 % at a one-sided confidence of 95 %, 59 rule out 5 %, 299 rule out 1 %.
    """
    return float(1 - (1 - confidence) ** (1 / held)) if held else 1.0


def significant(value: Fraction, digits: int = 3) -> str:
    """A number as a decimal of so many significant digits."""
    return f"{float(value):.{digits}g}"


def rate(part: int, whole: int) -> str | None:
    """A share, part of whole, as a decimal, None where there is no whole."""
    return significant(Fraction(part, whole)) if whole else None


def _held(results: Mapping[str, Outcome], task: str) -> bool | None:
    return results[task].held if task in results else None


def _changed(a: Outcome, b: Outcome) -> bool:
    return list(a.token_ids) != list(b.token_ids)
