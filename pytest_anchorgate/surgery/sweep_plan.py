"""From what a user names on the command line to a sweep's plan, and the tables that it leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_anchorgate.anchors import Anchor, AnchorSet, read_anchors
from pytest_anchorgate.baseline import Baseline, read_baseline, require_same_anchors
from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.rows import load_rows
from pytest_anchorgate.surgery.sweep import SweepPlan
from pytest_anchorgate.surgery.sweep_choice import Sweep, render
from pytest_anchorgate.surgery.tasks import Sources, Task, gather


def make_plan(
    parent: Path,
    folder: Path,
    scales: Sequence[str],
    *,
    adapter: Path,
    anchors: Path,
    baseline: Path | None = None,
    rows: Sequence[Path] = (),
    suites: str = "",
    humaneval: Path | None = None,
    mbpp: Path | None = None,
    threads: int | None = None,
    any_base: bool = False,
    any_scale: bool = False,
) -> SweepPlan:
    """Reads the anchors, the baseline and the rows, and finds the tasks of the rows.

    `rows` are files whose `heldout` and `sentinel` rows say which tasks these are; `suites` names, with commas, the
    suites in which they are found. `anchors` is a folder or a file. For the others see `SweepPlan`.

    Raises:
        AnchorsError, BaselineError, RowsError, SurgeryError, OSError: one line.
    """
    own_anchors = read_anchors(anchors)
    tasks = gather(
        Sources(
            suites=tuple(name.strip() for name in suites.split(",") if name.strip()),
            anchor_sets=(own_anchors.path,),
            humaneval=humaneval,
            mbpp=mbpp,
        )
    )
    own = [task for task in tasks if task.gate]
    sentinels, heldout = _split(rows, {task.task_id: task for task in tasks})
    required, drafts = _recorded(baseline, own_anchors, own)
    return SweepPlan(
        parent=parent,
        adapter=adapter,
        folder=folder,
        anchors=[task.anchor for task in own],
        sentinels=sentinels,
        heldout=heldout,
        required=required,
        scales=scales,
        drafts=drafts,
        threads=threads,
        any_base=any_base,
        any_scale=any_scale,
    )


def write_tables(sweep: Sweep, folder: Path) -> None:
    """Writes sweep.json and sweep.md. Raises OSError."""
    text = json.dumps(sweep.to_json(), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    for name, content in (("sweep.json", text), ("sweep.md", render(sweep))):
        with writing_beside(folder / name) as file:
            file.write(content.encode("utf-8"))


def _split(rows: Sequence[Path], known: Mapping[str, Task]) -> tuple[list[Anchor], list[Anchor]]:
    """The tasks of the `sentinel` and `heldout` rows; an anchor is asked as an anchor already."""
    found: dict[str, dict[str, Anchor]] = {"sentinel": {}, "heldout": {}}
    for path in rows:
        for row in load_rows(path):
            if row.split not in found:
                continue
            task = known.get(row.task_id)
            if task is None:
                raise SurgeryError(
                    f"{path}: {row.task_id} is a {row.split} row and no task of the suites at hand; "
                    "name its suite with --suites"
                )
            if not task.gate:
                found[row.split][row.task_id] = task.anchor
    return list(found["sentinel"].values()), list(found["heldout"].values())


def _recorded(
    path: Path | None, anchors: AnchorSet, tasks: Sequence[Task]
) -> tuple[frozenset[str] | None, dict[str, Sequence[int]]]:
    """Which anchors a baseline holds and what was answered, by the tasks' ids, which carry the set's name."""
    if path is None:
        return None, {}
    baseline: Baseline = read_baseline(path)
    require_same_anchors(baseline, anchors, str(path))
    ids = {anchor.task_id: task.task_id for anchor, task in zip(anchors, tasks, strict=True)}
    required = frozenset(ids[name] for name, held in baseline.held.items() if held)
    return required, {ids[name]: recorded.token_ids for name, recorded in baseline.anchors.items()}
