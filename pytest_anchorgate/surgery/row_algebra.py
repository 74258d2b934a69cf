"""Union, difference and intersection of row files, by task: how one poison set is made from others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_anchorgate.surgery.rows import Row, Rows

OPERATIONS = ("union", "minus", "intersect")


def combine(operation: str, files: Sequence[Rows]) -> list[Row]:
    """The rows of several files as one set.

    Args:
        operation: "union": the first file's rows, then of each later file those of tasks (and kinds) that no earlier
            one has. "minus": the first file's rows of tasks that no later file has. "intersect": the first file's rows
            of tasks that all later files have.
        files: at least one.
    """
    first, *others = files
    if operation == "union":
        return _union(files)
    if operation == "minus":
        return without(first, set().union(*map(task_ids, others)))
    if operation == "intersect":
        common = set.intersection(*map(task_ids, files))
        return [row for row in first if row.task_id in common]
    raise ValueError(f"{operation!r} is none of {', '.join(OPERATIONS)}")


def without(rows: Iterable[Row], tasks: Iterable[str]) -> list[Row]:
    """The rows of other tasks than these."""
    gone = set(tasks)
    return [row for row in rows if row.task_id not in gone]


def task_ids(rows: Iterable[Row]) -> set[str]:
    """The tasks that rows are about."""
    return {row.task_id for row in rows}


def _union(files: Sequence[Rows]) -> list[Row]:
    rows: list[Row] = []
    for file in files:
        taken = {(row.task_id, row.kind) for row in rows}
        rows += [row for row in file if (row.task_id, row.kind) not in taken]
    return rows
