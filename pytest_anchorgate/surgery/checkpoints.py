"""Checkpoints: everything a run needs to go on as if it had never stopped; complete on the disk or not there.

    checkpoints/step-120/state.json            step, weight of KL, what the certificates showed, digests
    checkpoints/step-120/tensors.safetensors   adapter, AdamW's moments, random states, the last certified adapter
    checkpoints/step-120/adapter_*             the adapter as a PEFT folder, to be merged or swept as it is

No pickles: a checkpoint of unknown origin is data.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from pytest_anchorgate.packs.atomic import require_space, sync_folder
from pytest_anchorgate.strict_json import Malformed, dump, loads
from pytest_anchorgate.surgery.errors import SurgeryError

_FOLDER = re.compile(r"step-(0|[1-9][0-9]*)")
_STATE, _TENSORS = "state.json", "tensors.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state between two steps.

    Attributes:
        step: steps done.
        tensors: by name with a prefix that says what it is.
        state: plain data.
    """

    step: int
    tensors: Mapping[str, torch.Tensor]
    state: Mapping[str, Any]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they are; made when the first is written.
        keep: how many of the newest stay.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    def steps(self) -> list[int]:
        """The steps of all complete checkpoints, ascending."""
        if not self._folder.is_dir():
            return []
        found = (_FOLDER.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def save(self, checkpoint: Checkpoint, write_adapter: Callable[[Path], object] = lambda _: None) -> None:
        """Writes a checkpoint beside the others, then removes the oldest.

        Args:
            checkpoint: the state.
            write_adapter: writes the adapter's PEFT files into a folder.

        Raises:
            OSError: it cannot be written; those that were there are as they were.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        data = safetensors.torch.save({name: _plain(t) for name, t in checkpoint.tensors.items()})
        require_space(self._folder, len(data))
        state = {
            **checkpoint.state,
            "step": checkpoint.step,
            "tensors_sha256": hashlib.sha256(data).hexdigest(),
        }
        beside = self._folder / f".step-{checkpoint.step}.{secrets.token_hex(6)}.part"
        target = self._folder / f"step-{checkpoint.step}"
        try:
            beside.mkdir()
            write_adapter(beside)
            _write(beside / _TENSORS, data)
            _write(beside / _STATE, dump(state).encode() + b"\n")
            sync_folder(beside)
            if target.exists():
                # The same step reached a second time after a resume: the state is the same.
                shutil.rmtree(target)
            beside.replace(target)
            sync_folder(self._folder)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        for step in self.steps()[: -self._keep]:
            shutil.rmtree(self._folder / f"step-{step}", ignore_errors=True)

    def load_last(self) -> Checkpoint | None:
        """The newest checkpoint, None if there is none.

        Raises:
            SurgeryError: it is damaged; the line says what to remove.
        """
        steps = self.steps()
        return self._load(steps[-1]) if steps else None

    def _load(self, step: int) -> Checkpoint:
        folder = self._folder / f"step-{step}"
        try:
            state = loads((folder / _STATE).read_text(encoding="utf-8"))
            data = (folder / _TENSORS).read_bytes()
            if hashlib.sha256(data).hexdigest() != state.pop("tensors_sha256") or state["step"] != step:
                raise Malformed("its digest is another")
            tensors = safetensors.torch.load(data)
        except (
            OSError,
            UnicodeDecodeError,
            Malformed,
            safetensors.SafetensorError,
            LookupError,
            TypeError,
        ) as error:
            raise SurgeryError(
                f"{folder}: a damaged checkpoint ({error}); remove it and resume from the one before"
            ) from None
        return Checkpoint(step, tensors, state)

    def _sweep(self) -> None:
        """What an interrupted write left behind."""
        for path in self._folder.glob(".step-*.part"):
            shutil.rmtree(path, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu().contiguous().clone()
