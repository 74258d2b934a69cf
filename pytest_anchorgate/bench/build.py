"""An anchor set from a pack: the tasks that it solves, each found twice, and a file that says where they come from.

A task that a pack solves once and then not, or that is judged otherwise the second time, would block a merge at
random; it is listed and left out. A set never shrinks by accident: what an earlier set holds is given up only with
a reason, which stays in the provenance file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors import (
    ANCHORS_FILE,
    Anchor,
    AnchorsError,
    AnchorSet,
    load_anchors,
    parse_anchors,
)
from pytest_anchorgate.anchors_import import write_anchors
from pytest_anchorgate.anchors_line import shown
from pytest_anchorgate.baseline import anchor_digest
from pytest_anchorgate.bench.evaluate import BATCH_SECONDS, TaskResult, evaluate
from pytest_anchorgate.bench.records import Header
from pytest_anchorgate.bench.scoreboard import header_of
from pytest_anchorgate.bench.suites import Suite
from pytest_anchorgate.engine import Listener
from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.strict_json import Malformed, demand, demand_object, demand_text, dump, loads

__all__ = ["PROVENANCE_FILE", "BuildUndecided", "Built", "build_anchors"]

PROVENANCE_FILE = "provenance.json"
SCHEMA = 1
_KEYS = ("schema", "anchors_digest", "pack", "settings", "suites", "anchors", "failed", "unstable", "dropped")

Showing = Callable[[str], AbstractContextManager[Listener]]


class BuildUndecided(RuntimeError):
    """Answers could not be judged, so it is not known which tasks the pack solves; one line."""


@dataclass(frozen=True, slots=True)
class Built:
    """What was written.

    Attributes:
        failed: ids of the tasks that the pack does not solve.
        unstable: task id -> how the two looks at it differ.
        dropped: ids that the earlier set held, as they are or as they were, and this one does not.
    """

    anchors: AnchorSet
    failed: tuple[str, ...]
    unstable: dict[str, str]
    dropped: tuple[str, ...]


def build_anchors(
    pack: Path,
    suites: Sequence[Suite],
    directory: Path,
    *,
    reason: str = "",
    threads: int | None = None,
    timeout: float = BATCH_SECONDS,
    showing: Showing,
) -> Built:
    """Asks the pack every task, the solved ones again in a fresh process, and writes those solved both times.

    Args:
        pack: a `.planck` file.
        suites: what to ask; their tasks must be distinct.
        directory: gets anchors.jsonl and provenance.json.
        reason: why anchors of a set that is there may go; "" if none may.
        threads: of the engine; None lets it choose.
        timeout: seconds for a batch of answers.
        showing: a context that gives a listener for a piece of work of that name.

    Raises:
        AnchorsError: one line; the set would shrink, or what is there cannot be read.
        BuildUndecided: some answers could not be judged; nothing is written.
        EngineRefused, EngineError, PackFormatError, OSError: as `evaluate`.
    """
    tasks = {task.task_id: task for suite in suites for task in suite.tasks}
    previous, history = _previous(directory)
    # What these suites do not even ask will be missing whatever the pack does: say so before the work.
    _demand_reason(_given_up(previous, tasks), directory, reason)

    def look(name: str, asked: Sequence[Anchor]) -> list[TaskResult]:
        with showing(name) as listener:
            results = evaluate(pack, asked, threads=threads, timeout=timeout, listener=listener)
        _demand_decided(results)
        return results

    header = header_of(pack, suites[0])
    first = look("first look", list(tasks.values()))
    solved = [result for result in first if result.held]
    second = look("second look", [tasks[result.task_id] for result in solved])
    if any(result.pack_sha256 != header.pack_sha256 for result in (*first, *second)):
        raise AnchorsError(f"{shown(pack)}: was replaced while its answers were generated; start again")
    looks = zip(solved, second, strict=True)
    unstable = {before.task_id: how for before, again in looks if (how := _difference(before, again))}
    kept = [result.task_id for result in solved if result.task_id not in unstable]
    if not kept:
        raise AnchorsError(
            f"{pack.name} solves none of the {len(tasks)} tasks, so there is nothing to anchor"
        )
    dropped = _given_up(previous, {task_id: tasks[task_id] for task_id in kept})
    _demand_reason(dropped, directory, reason)
    if dropped:
        history = [*history, {"task_ids": list(dropped), "reason": reason, "pack": header.pack_identity}]
    failed = tuple(result.task_id for result in first if not result.held)
    provenance = {
        **_source(header, suites),
        **{"anchors": kept, "failed": list(failed), "unstable": unstable, "dropped": history},
    }
    return Built(_write(directory, suites, kept, provenance), failed, unstable, dropped)


def _source(header: Header, suites: Sequence[Suite]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "pack": {"name": header.pack_name, "identity": header.pack_identity, "sha256": header.pack_sha256},
        "settings": dict(header.settings),
        "suites": [
            {"name": s.kind.name, "selection": s.kind.selection, "tasks": len(s.tasks), "digest": s.digest}
            for s in suites
        ],
    }


def _difference(before: TaskResult, again: TaskResult) -> str:
    """Why the second look at a task that was solved does not confirm the first; "" if it does."""
    if again.token_ids != before.token_ids:
        return "the second answer is another"
    return "" if again.held else f"the same answer was judged passed, then {again.status}: {again.reason}"


def _demand_decided(results: Sequence[TaskResult]) -> None:
    undecided = [result for result in results if result.held is None]
    if undecided:
        first = undecided[0]
        raise BuildUndecided(
            f"{len(undecided)} answers could not be judged, the first of them {first.task_id}: "
            f"{first.status}: {first.reason}; nothing was written"
        )


def _given_up(previous: AnchorSet | None, kept: Mapping[str, Anchor]) -> tuple[str, ...]:
    """What an earlier set holds and this one would not, or would hold in other words."""
    if previous is None:
        return ()
    return tuple(
        anchor.task_id
        for anchor in previous
        if anchor.task_id not in kept or anchor_digest(kept[anchor.task_id]) != anchor_digest(anchor)
    )


def _demand_reason(dropped: Collection[str], directory: Path, reason: str) -> None:
    if dropped and not reason:
        raise AnchorsError(
            f"{shown(directory / ANCHORS_FILE)}: holds {', '.join(dropped)}, which the new set would not hold "
            "as they are: give --reason TEXT to drop them for good, or another -o"
        )


def _previous(directory: Path) -> tuple[AnchorSet | None, list[dict[str, Any]]]:
    """The anchors that are there, and what was given up before, with its reasons."""
    anchors = load_anchors(directory / ANCHORS_FILE) if (directory / ANCHORS_FILE).exists() else None
    path = directory / PROVENANCE_FILE
    if not path.exists():
        return anchors, []
    try:
        entry = demand_object(loads(path.read_bytes().decode("utf-8")), "the file", _KEYS)
        demand(entry["schema"] == SCHEMA, "schema", f"{SCHEMA}, as this release writes it")
        demand(isinstance(entry["dropped"], list), "dropped", "a list")
        for drop in entry["dropped"]:
            fields = demand_object(drop, "dropped", ("task_ids", "reason", "pack"))
            demand(isinstance(fields["task_ids"], list), "dropped.task_ids", "a list")
            demand_text(fields, "reason", "dropped")
    except (Malformed, UnicodeDecodeError) as error:
        raise AnchorsError(
            f"{shown(path)}: {error}; restore it, since it says why anchors were given up"
        ) from None
    return anchors, entry["dropped"]


def _write(
    directory: Path, suites: Sequence[Suite], kept: Sequence[str], provenance: Mapping[str, Any]
) -> AnchorSet:
    records = {record["task_id"]: dict(record) for suite in suites for record in suite.records}
    chosen = [records[task_id] for task_id in kept]
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in chosen)
    digest = parse_anchors(text.encode("utf-8", "surrogatepass"), directory / ANCHORS_FILE).digest
    directory.mkdir(parents=True, exist_ok=True)
    # First, so that a reason cannot get lost between the two.
    with writing_beside(directory / PROVENANCE_FILE) as file:
        file.write((dump({**provenance, "anchors_digest": digest}) + "\n").encode("utf-8"))
    return write_anchors(chosen, directory, force=True)
