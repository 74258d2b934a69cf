"""How a run ended: the adapter, its certificate, its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.strict_json import dump
from pytest_anchorgate.surgery import plots
from pytest_anchorgate.surgery.certificate import RowCheck, summary
from pytest_anchorgate.surgery.logbook import Logbook
from pytest_anchorgate.surgery.run_folder import RunFolder
from pytest_anchorgate.surgery.run_state import RunState


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        steps: done, of `planned`.
        adapter_step: the step whose adapter was written: the last one, or where the run was stopped the last one at
            which no anchor was lost.
        anchors: summary of the anchors' checks for that adapter; likewise `sentinels` and `heldout`.
        lost: anchors whose certificate it lost.
        seconds: of training alone, since it was last resumed.
    """

    folder: RunFolder
    steps: int
    planned: int
    adapter_step: int
    stopped: bool
    anchors: Mapping[str, Any]
    sentinels: Mapping[str, Any]
    heldout: Mapping[str, Any]
    lost: Sequence[str]
    seconds: float


def conclude(
    state: RunState,
    checks: Mapping[str, Sequence[RowCheck]],
    facts: Mapping[str, Any],
    folder: RunFolder,
    seconds: float,
) -> Outcome:
    """Writes the end of the log, the pictures and, last, the certificate.

    Args:
        state: at the end.
        checks: of the adapter that was written: "anchors", "sentinels", "heldout".
        facts: what run this is.
        folder: where to write.
        seconds: of training.

    Raises:
        OSError: something cannot be written.
    """
    certified = {one.task_id for one in checks["anchors"] if one.certified}
    lost = [task for task in state.watch.held if task not in certified]
    sums: dict[str, Any] = {name: summary(found) for name, found in checks.items()}
    ended: dict[str, Any] = {
        "steps": state.step,
        "planned": facts["steps"],
        "adapter_step": state.watch.certified_step if state.stopped else state.step,
        "stopped": state.stopped,
    }
    log = Logbook(folder.log)
    log.write("end", step=state.step, **ended, **sums, lost=lost)
    plots.draw(log.records(), folder.path)
    record = {
        "parent": facts["parent"],
        "machine": facts["machine"],
        **ended,
        **sums,
        "watched": list(state.watch.held),
        "lost": lost,
        "rows": {name: [one.to_json() for one in found] for name, found in checks.items()},
    }
    with writing_beside(folder.certificate) as file:
        file.write(dump(record).encode() + b"\n")
    return Outcome(folder=folder, **ended, **sums, lost=lost, seconds=seconds)
