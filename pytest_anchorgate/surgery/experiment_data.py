"""The row sets of a plan, built from packs and from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pytest_anchorgate.bench.evaluate import TaskResult
from pytest_anchorgate.surgery.build_rows import build_poison, build_retain, write_with_provenance
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.experiment_plan import DataSpec, Plan
from pytest_anchorgate.surgery.poison import PoisonSettings
from pytest_anchorgate.surgery.retain import RetainSettings
from pytest_anchorgate.surgery.row_algebra import combine
from pytest_anchorgate.surgery.rows import Rows
from pytest_anchorgate.surgery.sampling_settings import SamplingSettings
from pytest_anchorgate.surgery.tasks import Task


class Packs(Protocol):
    """What building needs of an experiment."""

    plan: Plan

    @property
    def tasks(self) -> list[Task]:
        """The measured tasks."""

    @property
    def extra_tasks(self) -> list[Task]:
        """Further tasks."""

    @property
    def device(self) -> str:
        """Of sampling."""

    def pack(self, name: str) -> Path:
        """A pack by name."""

    def results(self, name: str) -> dict[str, TaskResult]:
        """Its results on the measured tasks."""

    def results_to_keep(self, name: str) -> dict[str, TaskResult]:
        """Its results on all tasks."""

    def rows(self, name: str) -> Rows:
        """Another row set."""


def build_rows(packs: Packs, name: str, path: Path) -> None:
    """Builds a row set of the plan and writes it to `path`.

    Raises:
        SurgeryError: it would be empty, or its results are not whole.
        OSError: it cannot be written.
    """
    spec = packs.plan.data[name]
    if spec.parts:
        files = [packs.rows(part) for part in spec.parts]
        rows = combine(spec.operation, files)
        made: Mapping[str, object] = {
            "operation": spec.operation,
            "of": {f.path.name: f.digest for f in files},
        }
        _require_rows(packs, name, rows)
        write_with_provenance(path, rows, made)
    elif spec.poison is not None:
        _poison(packs, name, spec, spec.poison, path)
    elif spec.retain is not None:
        _retain(packs, name, spec, spec.retain, path)


def _poison(packs: Packs, name: str, spec: DataSpec, pack: str, path: Path) -> None:
    sampling = SamplingSettings(spec.samples, spec.temperature, spec.top_p, spec.seed, spec.batch)
    built = build_poison(
        packs.pack(pack),
        _asked(packs.tasks, spec.tasks),
        packs.results(pack),
        PoisonSettings(heldout=spec.heldout, keep=spec.keep, max_nll=spec.max_nll),
        sampling if spec.samples else None,
        packs.device,
    )
    _require_rows(packs, name, built.rows)
    made = {"operation": "poison", "pack": pack, "counts": built.counts(), "left_out": dict(built.left_out)}
    write_with_provenance(path, built.rows, made)


def _retain(packs: Packs, name: str, spec: DataSpec, pack: str, path: Path) -> None:
    further = packs.extra_tasks if "retain" in spec.kinds and spec.tasks != "gate" else []
    results = packs.results_to_keep(pack) if further else packs.results(pack)
    settings = RetainSettings(sentinels=spec.sentinels, heldout=spec.heldout)
    rows = build_retain(packs.pack(pack), _asked([*packs.tasks, *further], spec.tasks), results, settings)
    kept = [row for row in rows if row.kind in spec.kinds]
    _require_rows(packs, name, kept)
    write_with_provenance(path, kept, {"operation": "retain", "pack": pack})


def _asked(tasks: Sequence[Task], which: str) -> list[Task]:
    return [task for task in tasks if which == "all" or task.gate == (which == "gate")]


def _require_rows(packs: Packs, name: str, rows: Sequence[object]) -> None:
    if not rows:
        raise SurgeryError(f"{packs.plan.path}: data.{name} would hold no rows; leave it out of the plan")
