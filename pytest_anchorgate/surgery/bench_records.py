"""What `anchorgate bench` has already found out about a pack, so that it need not be asked again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_anchorgate.bench.evaluate import TaskResult
from pytest_anchorgate.bench.records import Record, read_records
from pytest_anchorgate.packs.reader import open_pack
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.tasks import Task


def recorded(place: Path, pack: Path, tasks: Sequence[Task]) -> dict[str, TaskResult]:
    """The results of a pack for these tasks, by task, from record files.

    Args:
        place: a record file, or a folder in which all *.jsonl are.
        pack: the pack that they have to be about.
        tasks: what is wanted; records of other tasks, and undecided ones, are left out.

    Raises:
        SurgeryError: there are no records, or they are about another pack.
        PackFormatError, RecordsError, OSError: a file cannot be used.
    """
    files = sorted(place.rglob("*.jsonl")) if place.is_dir() else [place]
    if not files:
        raise SurgeryError(
            f"{place}: holds no records; make some with `anchorgate bench`, or leave --records out"
        )
    identity = open_pack(pack).metadata["planck.identity"]
    wanted = {task.task_id for task in tasks}
    found: dict[str, TaskResult] = {}
    for path in files:
        header, records = read_records(path)
        if header.pack_identity != identity:
            raise SurgeryError(
                f"{path}: records of {header.pack_name} ({header.pack_identity[:12]}), the parent is {identity[:12]}; "
                "name records of the parent"
            )
        known = {task_id: _result(record) for task_id, record in records.items() if record.held is not None}
        found |= {task_id: result for task_id, result in known.items() if task_id in wanted}
    return found


def _result(record: Record) -> TaskResult:
    return TaskResult(
        task_id=record.task_id,
        status=record.status,
        reason=record.reason,
        text=record.text,
        token_ids=record.token_ids,
        margins=(),
        finish_reason=record.finish_reason,
        seconds=record.seconds,
        level=record.level,
        pack_sha256=record.pack_sha256,
    )
