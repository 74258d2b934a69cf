"""Which official tasks a user asked for, and the anchor file that is written from them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors import ANCHORS_FILE, AnchorsError, AnchorSet, parse_anchors
from pytest_anchorgate.anchors_line import shown
from pytest_anchorgate.anchors_official import OfficialFile
from pytest_anchorgate.packs.atomic import writing_beside

__all__ = ["REPORT_IDS", "select_tasks", "write_anchors"]

# The tasks of the BD6 report: what its production pack held and BD6.3 lost.
REPORT_IDS = (
    *(f"MBPP/{number}" for number in (17, 19, 20, 41, 51, 52, 53, 64, 90, 93, 96, 99, 105)),
    *(f"HumanEval/{number}" for number in (23, 27, 34, 45, 53, 85)),
)
SUITES = {"HumanEval": "--humaneval", "MBPP": "--mbpp"}

_ID_OR_RANGE = re.compile(r"(HumanEval|MBPP)/(0|[1-9][0-9]{0,8})(?:-(0|[1-9][0-9]{0,8}))?")


def select_tasks(ids: str | None, files: dict[str, OfficialFile]) -> list[dict[str, Any]]:
    """Return the records asked for, in the order asked, each once.

    Args:
        ids: "MBPP/17,HumanEval/0-9", "all" (every task of the files at hand), or None for the report's 19.
        files: suite -> file.

    Raises:
        AnchorsError: for an id that is malformed, in no file, or of a suite whose file is not at hand.
    """
    if not files:
        raise AnchorsError("no official file given; give --humaneval FILE or --mbpp FILE, or both")
    if ids == "all":
        return [record for file in files.values() for record in file.tasks.values()]
    chosen: dict[str, dict[str, Any]] = {}
    for item in REPORT_IDS if ids is None else ids.split(","):
        for record in _tasks_of(item.strip(), files):
            chosen[record["task_id"]] = record
    return list(chosen.values())


def _tasks_of(item: str, files: dict[str, OfficialFile]) -> list[dict[str, Any]]:
    match = _ID_OR_RANGE.fullmatch(item)
    if match is None:
        raise AnchorsError(
            f"--ids: {shown(item)!r} is no task; write MBPP/17, MBPP/11-110, HumanEval/23 or all"
        )
    suite, first, last = match[1], int(match[2]), int(match[3] or match[2])
    if suite not in files:
        variable = f"ANCHORGATE_{suite.upper()}"
        raise AnchorsError(
            f"{item}: no {suite} file given; give {SUITES[suite]} FILE, set {variable}, or choose other --ids"
        )
    if last < first:
        raise AnchorsError(f"--ids: {item} runs backwards; write {suite}/{last}-{first}")
    tasks = files[suite].tasks
    for number in range(first, last + 1):
        if number not in tasks:
            raise _unknown(suite, number, files[suite])
    return [tasks[number] for number in range(first, last + 1)]


def _unknown(suite: str, number: int, file: OfficialFile) -> AnchorsError:
    nearest = sorted(file.tasks, key=lambda task: (abs(task - number), task))[:3]
    names = ", ".join(f"{suite}/{task}" for task in sorted(nearest))
    return AnchorsError(f"{shown(file.path)}: holds no {suite}/{number}; the nearest are {names}")


def write_anchors(records: list[dict[str, Any]], directory: Path, *, force: bool) -> AnchorSet:
    """Write DIRECTORY/anchors.jsonl, whole or not at all, and return what a later run will read from it.

    Raises:
        AnchorsError: when the file exists and `force` is off, when the folder cannot be written, or when the
            records are not valid anchors.
    """
    target = directory / ANCHORS_FILE
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    anchors = parse_anchors(text.encode("utf-8", "surrogatepass"), target)
    try:
        if target.exists() and not force:
            raise AnchorsError(f"{shown(target)}: exists already; give --force to replace it, or another -o")
        directory.mkdir(parents=True, exist_ok=True)
        with writing_beside(target) as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        raise AnchorsError(f"{shown(target)}: {error.strerror or error}; give another -o") from None
    return anchors
