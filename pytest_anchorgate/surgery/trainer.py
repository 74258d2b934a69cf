"""The training loop: steps, checks of the anchors, checkpoints; one adapter at the end.

Everything that decides a step is a function of the settings and the step's number, or is in the checkpoint: an
interrupted run that is resumed ends with the same adapter as one that was not. On the CPU, with the same number of
threads, with the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.surgery.arithmetic import arithmetic, choose_device, describe
from pytest_anchorgate.surgery.certificate import RowCheck, Watch, check, summary
from pytest_anchorgate.surgery.checkpoints import Checkpoint, Checkpoints
from pytest_anchorgate.surgery.config import TrainSettings
from pytest_anchorgate.surgery.encoding import Encoded
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.logbook import Logbook
from pytest_anchorgate.surgery.lora import restore, rounded, snapshot, write_adapter
from pytest_anchorgate.surgery.losses import KlWeight
from pytest_anchorgate.surgery.outcome import Outcome, conclude
from pytest_anchorgate.surgery.prepare import Ready, prepare, read_material
from pytest_anchorgate.surgery.preview import render
from pytest_anchorgate.surgery.run_folder import RunFolder
from pytest_anchorgate.surgery.run_state import RunState, from_checkpoint, to_checkpoint
from pytest_anchorgate.surgery.stepper import Stepper
from pytest_anchorgate.surgery.train_progress import Listener


def train(
    settings: TrainSettings, folder: RunFolder, listener: Listener | None = None, *, resume: bool = False
) -> Outcome:
    """Trains an adapter.

    Args:
        settings: everything that decides the run.
        folder: where it writes.
        listener: is told how far it is.
        resume: go on from the folder's last checkpoint, or from the start if there is none yet.

    Raises:
        SurgeryError: one line for settings, rows or a parent that cannot be used, a loss that is not finite, and a
            folder that cannot be written to.
        KeyboardInterrupt: as it came; the checkpoints are whole.
    """
    device = choose_device(settings.machine)
    parent, material = read_material(settings)
    try:
        (folder.take_up if resume else folder.begin)(settings)
        with arithmetic(settings.machine, device):
            ready = prepare(settings, parent, material, folder, device)
            return _Run(ready, folder, listener or Listener()).run()
    except OSError as error:
        at = f"{error.filename}: " if error.filename else ""
        raise SurgeryError(
            f"{at}{error.strerror or error}; the run stopped, {saved_so_far(folder)}; "
            "mend that, then go on with --resume"
        ) from None


def saved_so_far(folder: RunFolder) -> str:
    """What an interrupted run has to go on from, in words."""
    steps = Checkpoints(folder.checkpoints, 1).steps()
    return f"the checkpoint of step {steps[-1]} is whole" if steps else "there is no checkpoint yet"


class _Run:
    def __init__(self, ready: Ready, folder: RunFolder, listener: Listener) -> None:
        self._ready, self._folder, self._listener = ready, folder, listener
        self._settings, self._order = ready.settings, ready.order
        self._stepper = Stepper(ready)
        self._log = Logbook(folder.log)
        self._checkpoints = Checkpoints(folder.checkpoints, self._settings.checkpoint.keep)
        self._facts = {
            **ready.material.facts,
            "steps": ready.order.steps,
            "machine": describe(self._settings.machine, ready.device),
        }

    def run(self) -> Outcome:
        """Trains from the last checkpoint, or from the start, to the end."""
        found = self._checkpoints.load_last()
        state = self._begin() if found is None else self._take_up(found)
        begun = time.monotonic()
        self._listener.begin(state.step, self._order.steps)
        try:
            while state.step < self._order.steps and not state.stopped:
                self._advance(state)
            seconds = time.monotonic() - begun
            return conclude(state, self._last_checks(state), self._facts, self._folder, seconds)
        finally:
            self._listener.end()

    def _begin(self) -> RunState:
        self._log.clear()
        self._log.write("start", step=0, **self._facts)
        # Drawing the adapter has used the random state; dropout begins from one of its own.
        torch.manual_seed(self._settings.seed)
        self._preview()
        anchors = self._ready.material.anchors
        checks = self._rate(anchors)
        losses, params = self._settings.losses, self._ready.params
        state = RunState(KlWeight.start(losses), Watch.start(checks), snapshot(params))
        self._report(state, checks)
        unsure = len({row.row.task_id for row in anchors}) - len(state.watch.held)
        if unsure:
            self._listener.say(f"{unsure} anchors have no certificate under the parent itself: not watched")
        return state

    def _take_up(self, found: Checkpoint) -> RunState:
        facts = found.state["facts"]
        key = next((key for key in self._facts if facts.get(key) != self._facts[key]), None)
        if key:
            raise SurgeryError(
                f"{self._folder.path}: this run was begun with another {key} "
                f"({str(facts.get(key))[:80]}; now {str(self._facts[key])[:80]}); start a new one with -o"
            )
        self._log.rewind(found.step)
        self._log.write("resume", step=found.step)
        self._listener.say(f"going on after step {found.step}")
        return from_checkpoint(found, self._ready.params, self._stepper.optimizer)

    def _advance(self, state: RunState) -> None:
        """One step, and what is due after it."""
        record = self._stepper.step(state.step, state.kl_weight)
        state.step += 1
        self._log.write("step", **record)
        self._listener.step(record)
        last = state.step == self._order.steps
        if last or state.step % self._settings.certificate.every == 0:
            self._check(state)
        if last or state.stopped or state.step % self._settings.checkpoint.every == 0:
            self._save(state)

    def _check(self, state: RunState) -> None:
        checks = self._rate(self._ready.material.anchors)
        state.watch.observe(state.step, checks)
        if not state.watch.lost:
            state.certified = snapshot(self._ready.params)
        settings = self._settings.certificate
        state.stopped = settings.stop and state.watch.lost_checks >= settings.patience
        self._report(state, checks)

    def _report(self, state: RunState, checks: Sequence[RowCheck]) -> None:
        """Logs a check; at the start, after each epoch and at the end also of the rows that are only watched."""
        found = {"anchors": summary(checks)}
        if state.step % self._order.steps_per_epoch == 0 or state.step == self._order.steps:
            found["sentinels"] = summary(self._rate(self._ready.material.sentinels))
            found["heldout"] = summary(self._rate(self._ready.material.heldout))
        self._log.write("check", step=state.step, **found, lost=list(state.watch.lost))
        self._listener.check(state.step, found["anchors"], state.watch)

    def _last_checks(self, state: RunState) -> dict[str, list[RowCheck]]:
        """Writes the adapter, which after an early stop is an earlier one, and rates it as it stands in the file."""
        if state.stopped:
            restore(self._ready.params, state.certified)
        restore(self._ready.params, self._write_adapter(self._folder.path))
        material = self._ready.material
        return {
            "anchors": self._rate(material.anchors),
            "sentinels": self._rate(material.sentinels),
            "heldout": self._rate(material.heldout),
        }

    def _rate(self, rows: Sequence[Encoded]) -> list[RowCheck]:
        ready = self._ready
        ready.model.eval()
        return check(ready.organ, rows, ready.reference, ready.micro_tokens, ready.device)

    def _save(self, state: RunState) -> None:
        checkpoint = to_checkpoint(state, self._ready.params, self._stepper.optimizer, self._facts)
        self._checkpoints.save(checkpoint, self._write_adapter)

    def _write_adapter(self, folder: Path) -> dict[str, torch.Tensor]:
        ready = self._ready
        tensors = rounded(snapshot(ready.params), self._settings.adapter_dtype)
        write_adapter(folder, ready.model, tensors, ready.parent.identity)
        return tensors

    def _preview(self) -> None:
        rows = self._stepper.rows(0)
        in_poison = self._ready.in_poison.cpu()
        with writing_beside(self._folder.preview) as file:
            file.write(render(rows, self._ready.parent, in_poison).encode())
        first = {row.row.kind == "poison": row for row in reversed(rows)}
        shown = [first[is_poison] for is_poison in (True, False) if is_poison in first]
        self._listener.preview(render(shown, self._ready.parent, in_poison))
