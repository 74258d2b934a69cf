"""A finished attempt as a record of the ledger: everything from files that the attempt left, nothing from memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_anchorgate.bench.evaluate import TaskResult
from pytest_anchorgate.packs.header import file_sha256
from pytest_anchorgate.packs.reader import PackReader, open_pack
from pytest_anchorgate.strict_json import Malformed, loads
from pytest_anchorgate.surgery.compare import compare, partings
from pytest_anchorgate.surgery.config import LossSettings, TrainSettings, read_settings
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.experiment_plan import AttemptSpec, Plan
from pytest_anchorgate.surgery.numbers import decimal, scientific
from pytest_anchorgate.surgery.rows import Rows
from pytest_anchorgate.surgery.tasks import SUITES, Task

HELD, BLOCKED, UNDECIDED = "held", "blocked", "undecided"


@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt that has been trained, merged and evaluated.

    Attributes:
        folder: of the attempt; `root`: of the experiment, which files are named relative to.
        parent: the pack it was trained on.
        rows: its row sets by name.
        before: results of the pack in production; `after`: of the attempt; `revert`: of production again, on the
            gate's tasks alone, None if nothing was lost.
        seconds: all of it took.
    """

    plan: Plan
    name: str
    spec: AttemptSpec
    seed: int
    folder: Path
    root: Path
    parent: Path
    tasks: list[Task]
    rows: Mapping[str, Rows]
    before: Mapping[str, TaskResult]
    after: Mapping[str, TaskResult]
    revert: Mapping[str, TaskResult] | None
    started: datetime
    seconds: float

    @property
    def gate(self) -> list[str]:
        """The gate's tasks."""
        return [task.task_id for task in self.tasks if task.gate]


def attempt_record(done: Finished) -> dict[str, Any]:
    """The record.

    Raises:
        SurgeryError: a file of the training cannot be read.
        OSError: likewise.
    """
    settings = read_settings(done.folder / "train" / "run.yaml")
    pack, parent = open_pack(done.folder / "pack.planck"), open_pack(done.parent)
    gate = compare(done.before, done.after, done.gate)
    record = {
        "name": done.name,
        "organ": done.plan.organ,
        "seed": done.seed,
        "status": UNDECIDED if gate.undecided else BLOCKED if gate.lost else HELD,
        "started": done.started.isoformat(timespec="seconds"),
        "finished": (done.started + timedelta(seconds=done.seconds)).isoformat(timespec="seconds"),
        "parent": {"name": done.spec.parent, "identity": parent.metadata["planck.identity"]},
        "pack": _pack(done, pack, parent),
        "settings": _settings(done, settings, parent),
        "training": _training(done.folder / "train"),
        "gate": _gate(done),
        "scores": _scores(done),
        "comparisons": _comparisons(done),
        "partings": _partings(done),
        "files": _files(done),
    }
    if done.spec.against:
        record["against"] = done.spec.against
    if done.spec.like:
        record["like"] = done.spec.like
    if done.spec.note:
        record["note"] = done.spec.note
    return record


def _pack(done: Finished, pack: PackReader, parent: PackReader) -> dict[str, Any]:
    path = done.folder / "pack.planck"
    changed = [name for name in parent.digests if parent.digests[name] != pack.digests.get(name)]
    return {
        "identity": pack.metadata["planck.identity"],
        "sha256": file_sha256(path),
        "bytes": path.stat().st_size,
        # A merge that changes no bit gives the parent's own file, which names no adapter.
        "scale": str(pack.source["scale"]) if changed else "0",
        "adapter": pack.source.get("adapter") if changed else None,
        "tensors_changed": len(changed),
    }


def _settings(done: Finished, settings: TrainSettings, parent: PackReader) -> dict[str, Any]:
    rows = [row for file in done.rows.values() for row in file if row.split == "train"]
    trained = _lora_parameters(settings, parent)
    total = parent.config.parameters
    return {
        "dataset": " + ".join(done.rows),
        "rows": sum(row.kind == "poison" for row in rows),
        "retain_rows": sum(row.kind != "poison" for row in rows) if settings.needs_retain else 0,
        "digests": {name: file.digest for name, file in done.rows.items()},
        "rank": settings.lora.rank,
        "alpha": decimal(settings.lora.alpha),
        "targets": list(settings.lora.targets),
        "lr": scientific(settings.optimizer.lr),
        "epochs": settings.epochs,
        "batch_rows": settings.batch.rows,
        "losses": _losses(settings.losses),
        "trainable": trained,
        "parameters": total,
        # As PEFT counts: of the parent's parameters and the adapter's together.
        "trainable_percent": f"{100 * trained / (total + trained):.2f}",
    }


def _losses(losses: LossSettings) -> dict[str, str]:
    weights = {name: getattr(losses, name) for name in ("poison_ce", "retain_ce", "kl", "margin")}
    return {name: decimal(weight) for name, weight in weights.items() if weight}


def _lora_parameters(settings: TrainSettings, parent: PackReader) -> int:
    """Elements of A [r, inputs] and B [outputs, r] of all targets."""
    shapes = parent.config.tensor_shapes()
    targets = tuple(f".{target}.weight" for target in settings.lora.targets)
    return sum(settings.lora.rank * sum(shape) for name, shape in shapes.items() if name.endswith(targets))


def _training(folder: Path) -> dict[str, Any]:
    steps = [record for record in _log(folder / "log.jsonl") if record["event"] == "step"]
    certificate = _json(folder / "certificate.json")
    last = [step for step in steps if step["epoch"] == steps[-1]["epoch"]] if steps else []
    found: dict[str, Any] = {
        "steps": certificate["steps"],
        "adapter_step": certificate["adapter_step"],
        "stopped_early": certificate["stopped"],
        "seconds": decimal(sum(step["seconds"] for step in steps)),
        "machine": list(certificate["machine"]),
    }
    # The report's figure is the mean over an epoch.
    for name, key in (("final_loss", "poison_ce"), ("final_retain_loss", "retain_ce")):
        values = [step[key] for step in last if step.get(key) is not None]
        if values:
            found[name] = decimal(sum(values) / len(values))
    for group in ("anchors", "sentinels", "heldout"):
        if certificate[group].get("rows"):
            found[group] = {
                key: decimal(value) if isinstance(value, float) else value
                for key, value in certificate[group].items()
            }
    return found


def _gate(done: Finished) -> dict[str, Any]:
    """The gate's tasks, and which of them were held when."""
    record: dict[str, Any] = {"tasks": done.gate}
    for name, results in (("before", done.before), ("after", done.after), ("revert", done.revert)):
        if results is not None:
            record[name] = [task for task in done.gate if results[task].held]
    return record


def _scores(done: Finished) -> dict[str, Any]:
    scores = {"anchors": _score(done, done.gate)}
    if done.revert is not None:
        scores["anchors"]["revert"] = sum(done.revert[task].held is True for task in done.gate)
    for suite in done.plan.suites:
        family, numbers = SUITES[suite]
        wanted = {f"{family}/{number}" for number in numbers}
        scores[suite] = _score(done, [task.task_id for task in done.tasks if task.task_id in wanted])
    return scores


def _score(done: Finished, tasks: Collection[str]) -> dict[str, Any]:
    return {
        "before": sum(done.before[task].held is True for task in tasks),
        "after": sum(done.after[task].held is True for task in tasks),
        "of": len(tasks),
    }


def _comparisons(done: Finished) -> dict[str, Any]:
    """Flips by what was done with the tasks; each task outside of the gate is in one of these groups."""
    trained, heldout, sentinels = (
        {row.task_id for row in _all_rows(done) if row.split == split}
        for split in ("train", "heldout", "sentinel")
    )
    gate = set(done.gate)
    others = [task.task_id for task in done.tasks if task.task_id not in gate]
    groups = {
        "gate": done.gate,
        "suites": others,
        "trained on": [task for task in others if task in trained],
        "held out": [task for task in others if task in heldout],
        "sentinels": [task for task in others if task in sentinels],
        "not in the data": [task for task in others if task not in trained | heldout | sentinels],
    }
    return {
        name: compare(done.before, done.after, tasks).to_json() for name, tasks in groups.items() if tasks
    }


def _partings(done: Finished) -> list[dict[str, Any]]:
    """Where the gate's answers part from the parent's, for the tasks that the parent holds."""
    held = [task for task in done.gate if done.before[task].held]
    return [
        {
            "task_id": one.task_id,
            "token": one.index,
            "parent_margin": None if one.margin is None else decimal(one.margin),
            "held": done.after[one.task_id].held,
            "reason": done.after[one.task_id].reason,
        }
        for one in partings(done.before, done.after, held)
    ]


def _all_rows(done: Finished) -> Iterable[Any]:
    return (row for file in done.rows.values() for row in file)


def _files(done: Finished) -> list[str]:
    names = ("train", "pack.planck", "results.jsonl", "revert.jsonl", "sweep")
    found = [done.folder / name for name in names if (done.folder / name).exists()]
    return [
        path.relative_to(done.root).as_posix()
        for path in (*found, *(file.path for file in done.rows.values()))
    ]


def _log(path: Path) -> list[dict[str, Any]]:
    return [_parsed(line, path) for line in path.read_text(encoding="utf-8").splitlines()]


def _json(path: Path) -> dict[str, Any]:
    return _parsed(path.read_text(encoding="utf-8"), path)


def _parsed(text: str, path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = loads(text)
    except Malformed as problem:
        raise SurgeryError(f"{path}: {problem}; remove the attempt's folder and run it again") from None
    return value
