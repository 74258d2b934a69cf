"""Runs a plan: for each attempt train, merge, evaluate, and a line in the ledger, whatever the outcome.

Everything made on the way is a file in the experiment's folder and is made once; a file appears whole or not at all,
under a lock of its own. So an interrupted experiment goes on where it was, and several processes, each with
an attempt of its own, share the parent's results and the row sets.

    FOLDER/packs/base/          results.jsonl, extra.jsonl
    FOLDER/data/NAME.jsonl      with NAME.provenance.json
    FOLDER/attempts/NAME-s1/    train/ (a PEFT folder), pack.planck, results.jsonl, sweep/
    FOLDER/ledger.jsonl
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

from filelock import FileLock

from pytest_anchorgate.bench.evaluate import TaskResult, evaluate
from pytest_anchorgate.bench.progress import showing
from pytest_anchorgate.engine import EngineError
from pytest_anchorgate.packs import progress
from pytest_anchorgate.packs.errors import PackFormatError
from pytest_anchorgate.packs.merge import merge_adapter
from pytest_anchorgate.packs.resolve import resolve_pack
from pytest_anchorgate.surgery.attempts import Attempt, append, read_ledger
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.experiment_data import build_rows
from pytest_anchorgate.surgery.experiment_pack import swept_scale, train_adapter
from pytest_anchorgate.surgery.experiment_plan import BASE, AttemptSpec, Plan, attempts_behind
from pytest_anchorgate.surgery.experiment_record import Finished, attempt_record
from pytest_anchorgate.surgery.history import begin_ledger
from pytest_anchorgate.surgery.results_file import drafts_of, read_results, write_results
from pytest_anchorgate.surgery.rows import Rows, load_rows
from pytest_anchorgate.surgery.tasks import Sources, Task, gather

__all__ = ["Experiment", "Where"]


@dataclass(frozen=True, slots=True)
class Where:
    """What a plan leaves to the machine.

    Attributes:
        folder: of the experiment; made if it is not there.
        ledger: None for ledger.jsonl in the folder.
        humaneval: the official file; likewise `mbpp`.
        parent: the pack that `base` is; None for the plan's.
        device: of training and sampling, "auto", "cpu" or "cuda"; None leaves it to the plan.
        threads: of the engine.
        keep_packs: whether the packs of attempts stay when their results are there; a later step makes what it needs.
    """

    folder: Path
    ledger: Path | None = None
    humaneval: Path | None = None
    mbpp: Path | None = None
    parent: str | None = None
    device: str | None = None
    threads: int | None = None
    keep_packs: bool = True


class Experiment:
    """A plan that is being run."""

    def __init__(self, plan: Plan, where: Where) -> None:
        self.plan, self.where = plan, where
        self.ledger = where.ledger or where.folder / "ledger.jsonl"

    def run(
        self,
        only: Sequence[str] = (),
        seeds: Sequence[int] = (),
        told: Callable[[Attempt], None] = lambda _: None,
    ) -> list[Attempt]:
        """Runs the attempts that the ledger does not have yet.

        Args:
            only: names of attempts; none for all.
            seeds: of them; none for each attempt's own.
            told: of each attempt when it is in the ledger.

        Raises:
            SurgeryError: the plan or the folder cannot be used, or an attempt could not be run to its end; the others
                are in the ledger.
        """
        unknown = [name for name in only if name not in self.plan.attempts]
        if unknown:
            raise SurgeryError(
                f"{unknown[0]} is no attempt of {self.plan.path}: {', '.join(self.plan.attempts)}"
            )
        self.where.folder.mkdir(parents=True, exist_ok=True)
        begin_ledger(self.ledger)
        wanted = [(name, spec) for name, spec in self.plan.attempts.items() if not only or name in only]
        done: list[Attempt] = []
        failed: list[str] = []
        for name, spec in wanted:
            for seed in seeds or spec.seeds:
                try:
                    done.append(self.attempt(name, seed))
                except (SurgeryError, PackFormatError, EngineError) as error:
                    # The other attempts do not depend on it, or fail by themselves.
                    failed.append(f"{name}, seed {seed}: {error}")
                    progress.say(failed[-1])
                else:
                    told(done[-1])
        if failed:
            raise SurgeryError(f"{len(failed)} attempts have no result: {failed[0]}")
        return done

    def prepare(self) -> list[Rows]:
        """The row sets that need no attempt, and with them the results of `base`."""
        self.where.folder.mkdir(parents=True, exist_ok=True)
        self.results(BASE)
        return [self.rows(name) for name in self.plan.data if not attempts_behind(self.plan, name)]

    def attempt(self, name: str, seed: int) -> Attempt:
        """One attempt, run now unless the ledger has it."""
        with self._lock(f"attempt-{name}-s{seed}"):
            known = read_ledger(self.ledger).find(name, seed)
            if known is not None:
                return known
            return self._attempt(name, self.plan.attempts[name], seed)

    @property
    def device(self) -> str:
        """Of sampling."""
        return self.where.device or "auto"

    @cached_property
    def tasks(self) -> list[Task]:
        """What every attempt is measured on: the gate's tasks and the suites."""
        return self._gather(self.plan.suites)

    @cached_property
    def extra_tasks(self) -> list[Task]:
        """What packs are asked besides, to have more of their answers to keep."""
        measured = {task.task_id for task in self.tasks}
        if not self.plan.retain_suites:
            return []
        asked = self._gather((*self.plan.suites, *self.plan.retain_suites))
        return [task for task in asked if task.task_id not in measured]

    def pack(self, name: str) -> Path:
        """The pack of `base`, or of an attempt's first seed, trained now if need be."""
        if name == BASE:
            return self._base
        seed = self.plan.attempts[name].seeds[0]
        folder = self._folder(name, seed)
        with self._lock(f"pack-{name}-s{seed}"):
            if not (folder / "pack.planck").exists():
                self._make_pack(name, self.plan.attempts[name], seed)
        return folder / "pack.planck"

    def results(self, name: str) -> dict[str, TaskResult]:
        """What a pack answers on the measured tasks."""
        seed = 0 if name == BASE else self.plan.attempts[name].seeds[0]
        return self._results(name, seed, self.pack(name))

    def results_to_keep(self, name: str) -> dict[str, TaskResult]:
        """What a pack answers on all tasks, the further ones included."""
        folder = self._pack_folder(name)
        found = dict(self.results(name))
        if self.extra_tasks:
            drafts = {} if name == BASE else drafts_of(self.results_to_keep(BASE))
            found |= self._evaluated(folder / "extra.jsonl", self.pack(name), self.extra_tasks, drafts, name)
        return found

    def rows(self, name: str) -> Rows:
        """A row set, made now if need be."""
        path = self.where.folder / "data" / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock(f"data-{name}"):
            if not path.exists():
                progress.say(f"row set {name}: {self.plan.data[name].operation}")
                build_rows(self, name, path)
        return load_rows(path)

    def _attempt(self, name: str, spec: AttemptSpec, seed: int) -> Attempt:
        started, begun = datetime.now(timezone.utc), time.monotonic()
        folder = self._folder(name, seed)
        with self._lock(f"pack-{name}-s{seed}"):
            if not (folder / "pack.planck").exists():
                self._make_pack(name, spec, seed)
        after = self._results(name, seed, folder / "pack.planck")
        before = self.results(spec.production)
        lost = [
            task
            for task in self.tasks
            if task.gate and before[task.task_id].held and not after[task.task_id].held
        ]
        revert = self._revert(folder, spec.production) if lost else None
        finished = Finished(
            plan=self.plan,
            name=name,
            spec=spec,
            seed=seed,
            folder=folder,
            root=self.where.folder,
            parent=self.pack(spec.parent),
            tasks=self.tasks,
            rows={part: self.rows(part) for part in spec.rows},
            before=before,
            after=after,
            revert=revert,
            started=started,
            seconds=time.monotonic() - begun,
        )
        entry = append(self.ledger, attempt_record(finished))
        if not self.where.keep_packs and not any(one.parent == name for one in self.plan.attempts.values()):
            (folder / "pack.planck").unlink()
        return entry

    def _make_pack(self, name: str, spec: AttemptSpec, seed: int) -> None:
        folder = self._folder(name, seed)
        folder.mkdir(parents=True, exist_ok=True)
        parent = self.pack(spec.parent)
        rows = [self.rows(part) for part in spec.rows]
        settings = replace(
            self.plan.settings_of(name),
            parent=str(parent.absolute()),
            rows=tuple(file.path.absolute() for file in rows),
            seed=seed,
        )
        if self.where.device is not None:
            settings = replace(settings, machine=replace(settings.machine, device=self.where.device))
        adapter = train_adapter(settings, folder / "train", f"{name}, seed {seed}")
        scale = "1"
        if spec.scales:
            drafts = drafts_of(self.results(spec.parent))
            scale = swept_scale(
                parent, adapter, folder, spec.scales, self.tasks, rows, drafts, self.where.threads
            )
        merge_adapter(parent, adapter, folder / "pack.planck", scale)

    def _results(self, name: str, seed: int, pack: Path) -> dict[str, TaskResult]:
        folder = self._pack_folder(name, seed)
        # A pack's parent's answers are good guesses for its own.
        drafts = {} if name == BASE else drafts_of(self.results(self.plan.attempts[name].parent))
        return self._evaluated(folder / "results.jsonl", pack, self.tasks, drafts, f"{name}, seed {seed}")

    def _revert(self, folder: Path, production: str) -> dict[str, TaskResult]:
        """The gate's tasks on production once more: what there is after the attempt is taken back."""
        gate = [task for task in self.tasks if task.gate]
        drafts = drafts_of(self.results(production))
        return self._evaluated(
            folder / "revert.jsonl", self.pack(production), gate, drafts, f"{production} after the revert"
        )

    def _evaluated(
        self, path: Path, pack: Path, tasks: Sequence[Task], drafts: Mapping[str, Sequence[int]], title: str
    ) -> dict[str, TaskResult]:
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock(f"evaluate-{path.parent.name}-{path.stem}"):
            if not path.exists():
                with showing(title) as listener:
                    results = evaluate(
                        pack,
                        [task.anchor for task in tasks],
                        threads=self.where.threads,
                        drafts=drafts,
                        listener=listener,
                    )
                write_results(path, results)
        found = read_results(path)
        absent = [task.task_id for task in tasks if task.task_id not in found]
        if absent:
            raise SurgeryError(f"{path}: lacks {absent[0]}: the plan's tasks changed; use another folder")
        return found

    @cached_property
    def _base(self) -> Path:
        return resolve_pack(self.where.parent or self.plan.parent)

    def _gather(self, suites: Sequence[str]) -> list[Task]:
        return gather(
            Sources(
                suites=tuple(suites),
                anchor_sets=self.plan.anchors,
                gate_ids=self.plan.gate_ids,
                humaneval=self.where.humaneval,
                mbpp=self.where.mbpp,
            )
        )

    def _folder(self, name: str, seed: int) -> Path:
        return self.where.folder / "attempts" / f"{name}-s{seed}"

    def _pack_folder(self, name: str, seed: int | None = None) -> Path:
        if name == BASE:
            return self.where.folder / "packs" / BASE
        return self._folder(name, self.plan.attempts[name].seeds[0] if seed is None else seed)

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        locks = self.where.folder / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with FileLock(locks / f"{name}.lock"):
            yield
