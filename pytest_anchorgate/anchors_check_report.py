"""What `anchorgate anchors check` prints: progress while it works, the result when it is done."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pytest_anchorgate.anchors import AnchorSet
from pytest_anchorgate.anchors_check import Mutation, Report, total
from pytest_anchorgate.anchors_line import shown

__all__ = ["failed", "result_lines", "showing_progress"]


@contextlib.contextmanager
def showing_progress(count: int) -> Iterator[Callable[[Report], None]]:
    """Show on stderr how many of `count` anchors are done; the block calls what it gets with each report."""
    if sys.stderr.isatty():
        columns = (TextColumn("checking anchors"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=count)
            yield lambda _: bar.advance(task)
        return
    finished = 0

    def say(report: Report) -> None:
        nonlocal finished
        finished += 1
        print(f"anchorgate: checked {report.anchor.task_id} ({finished} of {count})", file=sys.stderr)

    yield say


def result_lines(anchors: AnchorSet, reports: list[Report], min_score: float, verbose: bool) -> Iterator[str]:
    """The result, line by line: every anchor, every problem with its place, and the sum."""
    width = max(len(report.anchor.task_id) for report in reports)
    for report in reports:
        word = "problem" if report.problems else "ok"
        yield f"{report.anchor.task_id:<{width}}  {word:<7}  {_mutants(report.mutation)}"
        place = f"{shown(anchors.path)}:{report.anchor.line}: {report.anchor.task_id}"
        for problem in report.problems:
            yield f"{place}: {problem}"
        if report.mutation is not None:
            for mutant in report.mutation.survived:
                yield f"  survived: {mutant.what} in line {mutant.line} of the reference"
            for mutant in report.mutation.equivalent if verbose else ():
                yield f"  equivalent: {mutant.what} in line {mutant.line} of the reference"
    problems = sum(len(report.problems) for report in reports)
    yield f"{anchors.path}: {len(reports)} anchors, {problems} problems; {_sum(reports, min_score)}"


def failed(reports: list[Report], min_score: float) -> bool:
    """Whether anything is to be mended."""
    return any(report.problems for report in reports) or total(reports).score < min_score


def _mutants(mutation: Mutation | None) -> str:
    if mutation is None:
        return "no mutants without a reference that passes"
    left_out = f", {len(mutation.equivalent)} equivalent" if mutation.equivalent else ""
    score = f"{mutation.score:5.1f} %"
    return f"{score}  {mutation.killed} of {mutation.counted} mutants killed{left_out}"


def _sum(reports: list[Report], min_score: float) -> str:
    without = sum(report.anchor.reference is None for report in reports)
    note = f"; {without} without a reference, which a table of their tests can pass" if without else ""
    mutation = total(reports)
    if not mutation.counted:
        return f"no mutation score{note}"
    below = f", below {min_score:g} %" if mutation.score < min_score else ""
    left_out = f", {len(mutation.equivalent)} equivalent left out" if mutation.equivalent else ""
    killed = f"{mutation.killed} of {mutation.counted} killed"
    return f"mutation score {mutation.score:.1f} % ({killed}{left_out}){below}{note}"
