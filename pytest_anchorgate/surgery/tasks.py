"""What an organ is asked in surgery: official tasks and anchor sets, each with a right solution where there is one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors import Anchor, parse_anchors, read_anchors
from pytest_anchorgate.anchors_official import OfficialFile, read_humaneval, read_mbpp
from pytest_anchorgate.surgery.errors import SurgeryError

# MBPP's own parting by number: 11-510 test, of which the report's B score takes the first hundred; 511-974 are its
# validation and training tasks. https://github.com/google-research/google-research/tree/master/mbpp
SUITES = {
    "humaneval": ("HumanEval", range(164)),
    "mbpp100": ("MBPP", range(11, 111)),
    "mbpp": ("MBPP", range(11, 511)),
    "mbpp-extra": ("MBPP", range(511, 975)),
}
_OPTIONS = {"HumanEval": "--humaneval", "MBPP": "--mbpp"}


@dataclass(frozen=True, slots=True)
class Task:
    """One task.

    Attributes:
        anchor: what is asked and what counts as right. Its task_id is unique over all sets at hand: that of an
            anchor set's task has the set's name before it, since BD6's MBPP/17 is not the official MBPP/17.
        suite: name of the suite or of the anchor set.
        reference: source of a right solution, or None.
        gate: whether it belongs to an anchor set, so that losing it blocks a merge.
    """

    anchor: Anchor
    suite: str
    reference: str | None
    gate: bool = False

    @property
    def task_id(self) -> str:
        """The id under which rows and results know it."""
        return self.anchor.task_id


@dataclass(frozen=True, slots=True)
class Sources:
    """Where tasks come from.

    Attributes:
        suites: names of `SUITES`; suites that share tasks give each once.
        anchor_sets: files or folders of anchors.
        gate_ids: official tasks that the gate asks for too.
        humaneval: the official file, needed for its suites; likewise `mbpp`.
    """

    suites: tuple[str, ...] = ()
    anchor_sets: tuple[Path, ...] = ()
    gate_ids: tuple[str, ...] = ()
    humaneval: Path | None = None
    mbpp: Path | None = None


def gather(sources: Sources) -> list[Task]:
    """All tasks, anchor sets first, each id once.

    Raises:
        SurgeryError: nothing was asked for, or a suite whose official file is not given.
        AnchorsError: a file is not what it should be.
    """
    tasks: dict[str, Task] = {}
    for place in sources.anchor_sets:
        for task in _anchor_set(place):
            if task.task_id in tasks:
                raise SurgeryError(
                    f"{place}: another anchor set of this name was given; rename one of the folders"
                )
            tasks[task.task_id] = task
    for name in sources.suites:
        for task in _suite(name, sources):
            tasks.setdefault(task.task_id, task)
    if not tasks:
        raise SurgeryError("no tasks: give --suites, --anchors, or both")
    missing = [task_id for task_id in sources.gate_ids if task_id not in tasks]
    if missing:
        raise SurgeryError(f"{missing[0]} is no task of the suites at hand; add its suite, or leave it out")
    return [replace(task, gate=True) if task.task_id in sources.gate_ids else task for task in tasks.values()]


def _anchor_set(place: Path) -> Iterator[Task]:
    anchors = read_anchors(place)
    name = anchors.path.absolute().parent.name
    for anchor in anchors:
        yield Task(replace(anchor, task_id=f"{name}/{anchor.task_id}"), name, anchor.reference, gate=True)


def _suite(name: str, sources: Sources) -> Iterator[Task]:
    if name not in SUITES:
        raise SurgeryError(f"--suites: {name!r:.40} is none of {', '.join(SUITES)}")
    family, numbers = SUITES[name]
    path = sources.humaneval if family == "HumanEval" else sources.mbpp
    if path is None:
        raise SurgeryError(
            f"{name} needs the official {family} file: give {_OPTIONS[family]} FILE or set ANCHORGATE_{family.upper()}"
        )
    file = read_humaneval(path) if family == "HumanEval" else read_mbpp(path)
    references = _references(file)
    wanted = [file.tasks[number] for number in numbers if number in file.tasks]
    if len(wanted) < len(numbers):
        raise SurgeryError(
            f"{path}: holds {len(wanted)} of the {len(numbers)} tasks of {name}; get the official file"
        )
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in wanted)
    for anchor in parse_anchors(lines.encode("utf-8"), path):
        yield Task(anchor, family, references[anchor.task_id])


def _references(file: OfficialFile) -> dict[str, str]:
    """The official solutions, which anchors leave out. The file has been checked by its reader."""
    data = file.path.read_bytes()
    text = (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data).decode("utf-8")
    records: Sequence[dict[str, Any]] = [json.loads(line) for line in text.splitlines() if line.strip()]
    if file.suite == "HumanEval":
        pairs = {r["task_id"]: str(r["prompt"]) + str(r["canonical_solution"]) for r in records}
    else:
        pairs = {f"MBPP/{r['task_id']}": str(r["code"]) for r in records}
    return {task_id: code.replace("\r\n", "\n") for task_id, code in pairs.items()}
