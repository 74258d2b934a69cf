"""Recording a baseline: run production's pack, judge each answer twice, write down what it did."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pytest_anchorgate.anchors import Anchor, AnchorSet
from pytest_anchorgate.baseline import (
    STATUSES,
    Baseline,
    BaselineError,
    Dropped,
    PackIdentity,
    Recorded,
    anchor_digest,
    no_longer_held,
    read_baseline,
)
from pytest_anchorgate.engine import Generated, Listener, Request, generate
from pytest_anchorgate.evidence import judge
from pytest_anchorgate.gate import Pack
from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.wire import MAX_LINE, printable, without_addresses


class RecordRefused(BaselineError):
    """The user has to decide something first; one line."""


class RecordUndecided(RuntimeError):
    """An anchor could not be judged, so there is nothing to record; one line."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to record.

    Attributes:
        target: the baseline file.
        previous: the baseline that stands there now.
        reason: why anchors that it holds may be lost; "" if none may.
    """

    pack: Pack
    anchors: AnchorSet
    target: Path
    previous: Baseline | None
    reason: str
    timeout: float
    threads: int | None


def refuse_in_ci() -> None:
    """A gate that records its own baseline in the run that it gates would pass on anything.

    Raises:
        RecordRefused: if the environment says that this is a CI job.
    """
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        raise RecordRefused(
            "the environment variable CI is set: a baseline is recorded by a person and reviewed, "
            "never by the job that it judges"
        )


def make_plan(
    pack: Pack, anchors: AnchorSet, target: Path, *, reason: str, timeout: float, threads: int | None
) -> Plan:
    """Checks the target before any work begins.

    Raises:
        RecordRefused: the folder is missing.
        BaselineError: what stands at the target is no baseline.
    """
    if not target.parent.is_dir():
        raise RecordRefused(f"{target.parent} is not a folder: make it, or name another file with -o")
    previous = read_baseline(target) if target.exists() else None
    return Plan(pack, anchors, target, previous, reason, timeout, threads)


def record(plan: Plan, listener: Listener) -> Baseline:
    """Generates, judges and writes.

    Raises:
        RecordRefused: an anchor would be dropped without a reason; nothing is written.
        RecordUndecided: an anchor could not be judged, or not twice alike; nothing is written.
        EngineError, EngineRefused: see `engine.generate`.
        OSError: the file cannot be written.
    """
    anchors = plan.anchors.anchors
    done = generate(
        Request(
            pack=plan.pack.path,
            prompts=[anchor.prompt for anchor in anchors],
            max_new_tokens=[anchor.max_new_tokens for anchor in anchors],
            expected=[None] * len(anchors),
            threads=plan.threads,
        ),
        timeout=plan.timeout,
        listener=listener,
    )
    entries = _judge_all(anchors, done.completions)
    baseline = Baseline(
        pack=PackIdentity(plan.pack.name, str(done.info["identity"]), str(done.info["pack_sha256"])),
        anchors_digest=plan.anchors.digest,
        numerics=str(done.info["numerics"]),
        anchors=entries,
        dropped=(),
    )
    baseline = _with_history(plan, baseline)
    with writing_beside(plan.target) as file:
        file.write(baseline.to_text().encode("utf-8"))
    return baseline


def _judge_all(anchors: Sequence[Anchor], completions: Sequence[Generated]) -> dict[str, Recorded]:
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        recorded = list(pool.map(_judge_twice, anchors, completions))
    return {anchor.task_id: entry for anchor, entry in zip(anchors, recorded, strict=True)}


def _judge_twice(anchor: Anchor, generated: Generated) -> Recorded:
    """A verdict that depends on time, memory or chance would block a merge at random, so it is no anchor."""
    verdict, again = judge(anchor, generated.text), judge(anchor, generated.text)
    for seen in (verdict, again):
        if seen.status not in STATUSES:
            raise RecordUndecided(f"{anchor.task_id} could not be judged: {seen.status}: {seen.reason}")
    if verdict.status != again.status:
        raise RecordUndecided(
            f"{anchor.task_id} is flaky: the same answer was judged {verdict.status} ({verdict.reason}), "
            f"then {again.status} ({again.reason})"
        )
    return Recorded(
        anchor_digest=anchor_digest(anchor),
        held=verdict.passed,
        status=verdict.status,
        # A baseline is to be the same bytes everywhere.
        reason=printable(without_addresses(verdict.reason), MAX_LINE),
        max_new_tokens=anchor.max_new_tokens,
        finish_reason=generated.finish_reason,
        text=generated.text,
        token_ids=generated.token_ids,
        margins=generated.margins,
    )


def _with_history(plan: Plan, baseline: Baseline) -> Baseline:
    """The ratchet: what production once held is given up only with a reason, which stays in the file."""
    if plan.previous is None:
        return baseline
    lost = no_longer_held(plan.previous, baseline)
    if lost and not plan.reason:
        raise RecordRefused(
            f"{plan.target} holds {', '.join(lost)}, which {plan.pack.name} does not hold: "
            "give --reason TEXT to drop them for good"
        )
    dropped = [Dropped(task_id, baseline.pack.identity, plan.reason) for task_id in lost]
    return Baseline(
        pack=baseline.pack,
        anchors_digest=baseline.anchors_digest,
        numerics=baseline.numerics,
        anchors=baseline.anchors,
        dropped=(*plan.previous.dropped, *dropped),
    )
