"""From settings to the adapter of an attempt, and to the scale at which it is merged."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_anchorgate.packs import progress
from pytest_anchorgate.surgery.config import TrainSettings
from pytest_anchorgate.surgery.rows import Rows
from pytest_anchorgate.surgery.sweep import SweepPlan, run_sweep
from pytest_anchorgate.surgery.tasks import Task

if TYPE_CHECKING:
    from pytest_anchorgate.surgery.sweep_choice import Point, Sweep


def train_adapter(settings: TrainSettings, folder: Path, title: str) -> Path:
    """Trains an adapter, goes on with one that was interrupted, or takes one that is finished.

    Args:
        settings: of the trainer.
        folder: of the run; a PEFT folder afterwards, and returned.
        title: for the log.

    Raises:
        SurgeryError: one line; see `trainer.train`.
    """
    # torch takes seconds to import, which a process that finds everything done does not need.
    from pytest_anchorgate.surgery.run_folder import RunFolder
    from pytest_anchorgate.surgery.train_progress import LineListener
    from pytest_anchorgate.surgery.trainer import train

    run = RunFolder(folder)
    if not run.finished:
        progress.say(f"training {title}")
        train(settings, run, LineListener(_line), resume=run.settings.exists())
    return run.path


def swept_scale(
    parent: Path,
    adapter: Path,
    folder: Path,
    scales: Sequence[str],
    tasks: Sequence[Task],
    rows: Sequence[Rows],
    drafts: Mapping[str, Sequence[int]],
    threads: int | None,
) -> str:
    """The best of the scales: no anchor lost, no net loss of sentinels, the most held-out tasks.

    Args:
        parent: the pack that the adapter was trained on.
        adapter: its folder.
        folder: of the attempt, which gets a folder `sweep`.
        scales: to try.
        tasks: all that are measured; the gate's are the anchors.
        rows: say which of the others are sentinels and which are held out.
        drafts: the parent's answers.
        threads: of the engine.

    Raises:
        SurgeryError, PackSourceError, PackFormatError, EngineError, OSError: see `run_sweep`.
    """
    splits = {row.task_id: row.split for file in rows for row in file}
    plan = SweepPlan(
        parent=parent,
        adapter=adapter,
        folder=folder / "sweep",
        anchors=[task.anchor for task in tasks if task.gate],
        sentinels=[task.anchor for task in tasks if splits.get(task.task_id) == "sentinel"],
        heldout=[task.anchor for task in tasks if splits.get(task.task_id) == "heldout"],
        scales=scales,
        drafts=drafts,
        threads=threads,
    )

    def told(point: Point, sweep: Sweep) -> None:
        lost = len(sweep.summary(point).lost_anchors)
        progress.say(f"{folder.name}: scale {point.scale}: {point.failure or f'{lost} anchors lost'}")

    return run_sweep(plan, on_point=told).choice.scale


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
