"""The scale sweep: one adapter merged at several scales, each child asked everything, and the best one chosen.

Scaling an adapter down is the cheapest way to keep what the parent holds (arXiv 2109.01903, 2504.11626), and the
curve tells faults from drift: a fall between 0 and the first step is a fault, a slope is drift. Scale 0 is the parent
byte for byte, so its row is a control that costs nothing to believe.

The log in the sweep's folder has a line a scale, written when the scale is done; a sweep that was interrupted goes on
where it was.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.bench.evaluate import TaskResult, evaluate
from pytest_anchorgate.engine import EngineFailed, Listener
from pytest_anchorgate.packs.adapter import read_adapter
from pytest_anchorgate.packs.header import file_sha256
from pytest_anchorgate.packs.merge import canonical_scale, merge_adapter
from pytest_anchorgate.packs.reader import open_pack
from pytest_anchorgate.progress import Quiet
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.sweep_choice import GROUPS, Point, Sweep
from pytest_anchorgate.surgery.sweep_log import SweepLog, tasks_digest

__all__ = ["SCALES", "SweepPlan", "run_sweep"]

SCALES = ("0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.85", "1")
CANDIDATE = "candidate.planck"

Evaluate = Callable[..., list[TaskResult]]


def _quiet() -> AbstractContextManager[Listener]:
    return contextlib.nullcontext(Quiet())


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What to try on what.

    Attributes:
        anchors: what must not be lost.
        sentinels: tasks that nobody trained on and the parent mostly solves; `heldout`: those it mostly does not.
        folder: for the log, the tables and the candidate of the moment; made if it is not there.
        required: ids of the anchors that the gate demands; None for those that the parent holds.
        scales: decimals; 0 is always among them.
        drafts: task id -> tokens that the parent's answer probably has.
        threads: of the engine.
        any_base: take an adapter that names another pack as its base; likewise `any_scale`.
    """

    parent: Path
    adapter: Path
    folder: Path
    anchors: Sequence[Anchor]
    sentinels: Sequence[Anchor] = ()
    heldout: Sequence[Anchor] = ()
    required: frozenset[str] | None = None
    scales: Sequence[str] = SCALES
    drafts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    threads: int | None = None
    any_base: bool = False
    any_scale: bool = False

    def tasks(self) -> dict[str, Sequence[Anchor]]:
        """The tasks by group; one that is an anchor is asked as an anchor alone."""
        own = {anchor.task_id for anchor in self.anchors}
        others = ([t for t in group if t.task_id not in own] for group in (self.sentinels, self.heldout))
        return dict(zip(GROUPS, (self.anchors, *others), strict=True))


def run_sweep(
    plan: SweepPlan,
    *,
    on_point: Callable[[Point, Sweep], None] = lambda _point, _sweep: None,
    listening: Callable[[], AbstractContextManager[Listener]] = _quiet,
    evaluate_pack: Evaluate = evaluate,
) -> Sweep:
    """Evaluates every scale that the log does not have yet, smallest first, and chooses.

    Args:
        plan: what to try.
        on_point: told each scale, those of the log too, and the sweep up to it.
        listening: opened around each evaluation; gets the engine's progress.
        evaluate_pack: as `bench.evaluate.evaluate`.

    Raises:
        SurgeryError: the tasks or the folder cannot be used; one line.
        PackSourceError, PackFormatError: the parent or the adapter cannot be used.
        EngineError: the engine gave no answer; what was done before is in the log.
        OSError: something cannot be read or written.
    """
    scales = _scales(plan)
    _require_unique(plan)
    identity, adapter = _identities(plan)
    plan.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(plan.folder / "sweep.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise SurgeryError(f"{plan.folder}: another sweep is at work here; name another folder") from None
    try:
        header = {"parent": identity, "adapter": adapter, "tasks": tasks_digest(plan.tasks())}
        log = SweepLog.open(plan.folder, header)
        sweep = Sweep(identity, adapter, plan.required)
        for scale in scales:
            point = log.points.get(scale)
            if point is None:
                with listening() as listener:
                    point = _evaluate(plan, scale, sweep, listener, evaluate_pack)
                log.append(point)
            sweep.add(point)
            on_point(point, sweep)
        return sweep
    finally:
        (plan.folder / CANDIDATE).unlink(missing_ok=True)
        lock.release()


def _scales(plan: SweepPlan) -> list[str]:
    scales = {canonical_scale(scale, any_scale=plan.any_scale) for scale in plan.scales} | {"0"}
    # 0 first: what the parent holds is what the others are measured by.
    return sorted(scales, key=lambda scale: (scale != "0", Decimal(scale)))


def _require_unique(plan: SweepPlan) -> None:
    group_of: dict[str, str] = {}
    for group, tasks in plan.tasks().items():
        for task in tasks:
            if task.task_id in group_of:
                raise SurgeryError(
                    f"{task.task_id} is among the {group_of[task.task_id]} and the {group}; leave one out"
                )
            group_of[task.task_id] = group
    if not plan.anchors:
        raise SurgeryError("a sweep without anchors protects nothing; name an anchor set")
    unknown = (plan.required or frozenset()) - {anchor.task_id for anchor in plan.anchors}
    if unknown:
        raise SurgeryError(f"{min(unknown)} is required and no anchor of the set")


def _identities(plan: SweepPlan) -> tuple[str, str]:
    parent = open_pack(plan.parent)
    identity = parent.metadata["planck.identity"]
    adapter = read_adapter(plan.adapter, parent.config, identity, any_base=plan.any_base)
    return identity, adapter.digest


def _evaluate(
    plan: SweepPlan, scale: str, sweep: Sweep, listener: Listener, evaluate_pack: Evaluate
) -> Point:
    start = time.monotonic()
    candidate = plan.folder / CANDIDATE
    report = merge_adapter(
        plan.parent, plan.adapter, candidate, scale, any_base=plan.any_base, any_scale=plan.any_scale
    )
    same = sweep.with_identity(report.identity)
    if same is not None:
        # So small a scale moved no bit: the pack is one that has been asked already.
        return same.at_scale(scale, round(time.monotonic() - start, 1))
    tasks = [task for group in plan.tasks().values() for task in group]
    failure = ""
    results: list[TaskResult] = []
    try:
        results = evaluate_pack(
            candidate,
            tasks,
            threads=plan.threads,
            # The child of a neighbouring scale writes nearly the same; drafts change the speed alone.
            drafts={**plan.drafts, **sweep.last_tokens()},
            listener=listener,
        )
    except EngineFailed as error:
        # A child whose numbers are not finite is a finding about this scale, not the end of the sweep.
        if scale == "0":
            raise
        failure = str(error)
    by_id = {result.task_id: result for result in results}
    return Point(
        scale=scale,
        identity=report.identity,
        sha256=file_sha256(candidate),
        changed=sum(report.changed.values()),
        elements=report.elements,
        seconds=round(time.monotonic() - start, 1),
        held={
            group: {t.task_id: by_id[t.task_id].held if t.task_id in by_id else None for t in asked}
            for group, asked in plan.tasks().items()
        },
        tokens={task_id: result.token_ids for task_id, result in by_id.items()},
        failure=failure,
    )
