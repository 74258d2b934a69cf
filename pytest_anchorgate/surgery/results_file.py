"""What a pack answered, kept in a file: one JSON line a task."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pytest_anchorgate.bench.evaluate import TaskResult
from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.strict_json import Malformed, loads
from pytest_anchorgate.surgery.errors import SurgeryError

_TUPLES = ("token_ids", "margins")
_NAMES = {field.name for field in fields(TaskResult)}


def write_results(path: Path, results: Iterable[TaskResult]) -> None:
    """Writes results, all or none. Raises OSError."""
    with writing_beside(path) as file:
        for result in results:
            # ASCII: a text may hold line ends that splitlines knows and JSON does not escape.
            file.write((json.dumps(asdict(result)) + "\n").encode())


def read_results(path: Path) -> dict[str, TaskResult]:
    """Reads what `write_results` wrote, by task.

    Raises:
        SurgeryError: one line `file:line: ...`.
        OSError: the file cannot be read.
    """
    found: dict[str, TaskResult] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            result = _result(loads(line))
        except (Malformed, TypeError, KeyError):
            raise SurgeryError(
                f"{path}:{number}: not the result of a task; evaluate the pack again"
            ) from None
        if result.task_id in found:
            raise SurgeryError(
                f"{path}:{number}: {result.task_id} stands there twice; evaluate the pack again"
            )
        found[result.task_id] = result
    return found


def drafts_of(results: Mapping[str, TaskResult]) -> dict[str, tuple[int, ...]]:
    """The answers as guesses for another pack's, which make it quicker and change nothing."""
    return {task_id: result.token_ids for task_id, result in results.items()}


def _result(value: object) -> TaskResult:
    if not isinstance(value, dict) or not isinstance(value["task_id"], str) or value.keys() - _NAMES:
        raise Malformed("not a result")
    fields_of: dict[str, Any] = {key: tuple(v) if key in _TUPLES else v for key, v in value.items()}
    return TaskResult(**fields_of)
