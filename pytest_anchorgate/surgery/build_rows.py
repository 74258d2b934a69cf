"""Poison and retain rows of a pack from its results: the steps behind the commands and the experiment."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_anchorgate.bench.evaluate import TaskResult
from pytest_anchorgate.packs import progress
from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.progress import PLAIN_SECONDS
from pytest_anchorgate.strict_json import dump
from pytest_anchorgate.surgery.encoding import Parent, open_parent
from pytest_anchorgate.surgery.poison import (
    PoisonSet,
    PoisonSettings,
    failures,
    passing_samples,
    poison_rows,
    shape_of,
)
from pytest_anchorgate.surgery.reformat import Shape
from pytest_anchorgate.surgery.retain import RetainSettings, retain_rows
from pytest_anchorgate.surgery.rows import Row, Rows, rows_digest, write_rows
from pytest_anchorgate.surgery.sampling_settings import SamplingSettings
from pytest_anchorgate.surgery.tasks import Task


def build_poison(
    pack: Path,
    tasks: Sequence[Task],
    results: Mapping[str, TaskResult],
    settings: PoisonSettings,
    sampling: SamplingSettings | None,
    device: str,
) -> PoisonSet:
    """The poison rows of a pack.

    Args:
        pack: the parent.
        tasks: what it was asked.
        results: what it answered.
        settings: which rows to keep.
        sampling: how to draw its own answers first; None takes references alone, and needs no torch.
        device: where to draw, "auto", "cpu" or "cuda".

    Raises:
        SurgeryError: the pack or the results cannot be used.
    """
    parent = open_parent(pack)
    failed = failures(tasks, results)
    shape = shape_of(tasks, results)
    if sampling is None:
        built = poison_rows(failed, shape, parent, {}, settings)
    else:
        built = _sampled(pack, parent, failed, shape, settings, sampling, device)
    unknown = {
        task.task_id: f"the parent's answer could not be judged: {results[task.task_id].reason}"
        for task in tasks
        if results[task.task_id].held is None
    }
    return PoisonSet(built.rows, {**built.left_out, **unknown})


def _sampled(
    pack: Path,
    parent: Parent,
    failed: Sequence[Task],
    shape: Shape,
    settings: PoisonSettings,
    sampling: SamplingSettings,
    device: str,
) -> PoisonSet:
    # torch takes seconds to import, which nobody who draws nothing should wait for.
    from pytest_anchorgate.surgery.sampling import draw, mean_nll, open_model

    model = open_model(pack, device)
    wanted = len(failed) * sampling.samples
    progress.say(f"drawing {wanted:,} answers to {len(failed)} tasks on {model.device}")
    prompts = [task.anchor.prompt for task in failed]
    limits = [task.anchor.max_new_tokens for task in failed]
    samples = draw(model, parent, prompts, limits, sampling, Counted(wanted))
    progress.say(f"verifying {len(samples):,} samples of {len(failed)} tasks")
    passed = passing_samples(failed, samples, settings.keep)
    progress.say(f"{sum(map(bool, passed.values()))} of {len(failed)} failed tasks have a sample that passes")
    return poison_rows(
        failed,
        shape,
        parent,
        passed,
        settings,
        sampling=sampling,
        rate=lambda prompt, labels: mean_nll(model, prompt, labels),
    )


class Counted:
    """Says how many answers are drawn, a line now and then."""

    def __init__(self, wanted: int) -> None:
        self._wanted, self._done, self._next = wanted, 0, time.monotonic() + PLAIN_SECONDS

    def __call__(self, count: int) -> None:
        """So many more."""
        self._done += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + PLAIN_SECONDS
            progress.say(f"{self._done:,} of {self._wanted:,} answers drawn")


def build_retain(
    pack: Path, tasks: Sequence[Task], results: Mapping[str, TaskResult], settings: RetainSettings
) -> list[Row]:
    """The anchor and retain rows of a pack; see `retain_rows`. Raises SurgeryError if it is no pack."""
    return retain_rows(tasks, results, open_parent(pack), settings)


def write_with_provenance(path: Path, rows: Sequence[Row], made: Mapping[str, object]) -> Rows:
    """Writes rows, and beside them how they were made: `rows.jsonl` and `rows.provenance.json`.

    Raises:
        OSError: something cannot be written.
    """
    splits = Counter(f"{row.kind}/{row.split}" for row in rows)
    record = {**made, "rows": len(rows), "digest": rows_digest(rows), "splits": dict(splits)}
    with writing_beside(path.with_suffix(".provenance.json")) as file:
        file.write(dump(record).encode() + b"\n")
    return write_rows(path, rows)
