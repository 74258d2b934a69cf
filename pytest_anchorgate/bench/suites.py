"""What can be measured: the suites, each a fixed choice of tasks from the user's copy of a published file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors import Anchor, AnchorsError, parse_anchors
from pytest_anchorgate.anchors_import import select_tasks
from pytest_anchorgate.anchors_official import (
    OfficialFile,
    installed_humaneval,
    read_humaneval,
    read_mbpp,
)
from pytest_anchorgate.bench.evaluate import Judge
from pytest_anchorgate.bench.livecodebench import read_livecodebench
from pytest_anchorgate.evidence import judge

__all__ = ["SUITES", "Files", "Suite", "SuiteKind", "load_suite"]


@dataclass(frozen=True, slots=True)
class SuiteKind:
    """A suite by name, before any file is read.

    Attributes:
        label: as scores are reported, "MBPP B = 13/100": B is the mode of one greedy answer, judged as it is.
        selection: which tasks of the file, for people.
        limit: how many tasks, from the first on, if the user does not say; None for all.
    """

    name: str
    label: str
    selection: str
    limit: int | None = None


SUITES: Mapping[str, SuiteKind] = {
    kind.name: kind
    for kind in (
        SuiteKind("humaneval", "HumanEval", "all tasks"),
        # MBPP 11 to 510 is its official test split; the BD6 report's MBPP/100 is the first hundred of it.
        SuiteKind("mbpp100", "MBPP", "MBPP/11 to MBPP/110, the first 100 of the official test split"),
        SuiteKind("mbpp", "MBPP test split", "MBPP/11 to MBPP/510, the official test split"),
        # The report has 50 tasks and does not say which.
        SuiteKind("livecodebench", "LCB", "tasks in the order of the file", limit=50),
    )
}
_IDS = {"humaneval": "all", "mbpp100": "MBPP/11-110", "mbpp": "MBPP/11-510"}


@dataclass(frozen=True, slots=True)
class Files:
    """The user's copies; None where there is none."""

    humaneval: Path | None = None
    mbpp: Path | None = None
    livecodebench: Path | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite that is ready to be asked.

    Attributes:
        tasks: at least one, ids unique, in the order of the file.
        digest: sha256 hex of what is asked and what counts as right.
        records: the same tasks as lines of an anchor file; none where they cannot be anchors.
        known: whether the file is byte for byte the published one; None where there are many.
        judge: verifies an answer.
        groups: task id -> a part of the suite that is also counted by itself, such as a difficulty.
        notes: what a reader of the score should know, name -> words.
    """

    kind: SuiteKind
    tasks: tuple[Anchor, ...]
    digest: str
    path: Path
    known: bool | None
    judge: Judge = judge
    records: tuple[Mapping[str, Any], ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def load_suite(name: str, files: Files, limit: int | None = None) -> Suite:
    """Reads a suite.

    Args:
        name: a key of SUITES.
        files: the user's copies; without one for HumanEval, that of an installed package is taken.
        limit: how many tasks, from the first on; None for the suite's own number.

    Raises:
        AnchorsError: one line; the file is missing, or is not what it should be.
    """
    kind = SUITES[name]
    wanted = limit if limit is not None else kind.limit
    return _livecodebench(kind, files, wanted) if name == "livecodebench" else _official(kind, files, wanted)


def _official(kind: SuiteKind, files: Files, limit: int | None) -> Suite:
    if kind.name == "humaneval":
        path = files.humaneval or installed_humaneval()
        file = read_humaneval(_given(path, kind, "--humaneval", "ANCHORGATE_HUMANEVAL"))
    else:
        file = read_mbpp(_given(files.mbpp, kind, "--mbpp", "ANCHORGATE_MBPP"))
    return _chosen(kind, file, limit)


def _chosen(kind: SuiteKind, file: OfficialFile, limit: int | None) -> Suite:
    records = select_tasks(_IDS[kind.name], {file.suite: file})[:limit]
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    anchors = parse_anchors(text.encode("utf-8", "surrogatepass"), file.path)
    return Suite(kind, anchors.anchors, anchors.digest, file.path, file.known, records=tuple(records))


def _livecodebench(kind: SuiteKind, files: Files, limit: int | None) -> Suite:
    path = _given(files.livecodebench, kind, "--livecodebench", "ANCHORGATE_LIVECODEBENCH")
    file = read_livecodebench(path, limit)
    content = [[task.anchor.task_id, task.sha256, task.anchor.prompt] for task in file.tasks]
    digest = hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()
    dates = sorted(task.date for task in file.tasks)
    functional = sum(task.functional for task in file.tasks)
    return Suite(
        kind=kind,
        tasks=tuple(task.anchor for task in file.tasks),
        digest=digest,
        path=file.path,
        known=None,
        judge=file.judge,
        groups={task.anchor.task_id: f"{task.platform}, {task.difficulty}" for task in file.tasks},
        notes={
            "contests": f"{dates[0]} to {dates[-1]}",
            "tests": f"{len(file.tasks) - functional} tasks by standard input, {functional} by function",
        },
    )


def _given(path: Path | None, kind: SuiteKind, option: str, variable: str) -> Path:
    if path is None:
        raise AnchorsError(f"{kind.name}: no file given; give {option} FILE or set {variable}")
    return path
