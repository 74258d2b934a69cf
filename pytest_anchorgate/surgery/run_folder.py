"""The folder of a run: a PEFT directory with the run's settings, log, pictures and checkpoints beside the adapter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.surgery.config import TrainSettings, read_settings
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.strict_yaml import differing_key

_HEAD = (
    "# Every setting of this run, defaults included, written by `anchorgate surgery train`.\n"
    "# Paths are relative to this file; training from it again gives the same run.\n"
)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run writes; `checkpoints` and `reference` serve resuming and may be removed when it is done."""

    path: Path

    @property
    def settings(self) -> Path:
        """Every setting, defaults included."""
        return self.path / "run.yaml"

    @property
    def log(self) -> Path:
        """One JSON record a line."""
        return self.path / "log.jsonl"

    @property
    def preview(self) -> Path:
        """The first step's rows with their label masks."""
        return self.path / "preview.txt"

    @property
    def certificate(self) -> Path:
        """What the last check of the written adapter found."""
        return self.path / "certificate.json"

    @property
    def checkpoints(self) -> Path:
        """A folder a checkpoint."""
        return self.path / "checkpoints"

    @property
    def reference(self) -> Path:
        """The parent's likeliest tokens at every completion token."""
        return self.path / "reference.safetensors"

    @property
    def finished(self) -> bool:
        """Whether the run's last file is there: it is written when all others are."""
        return self.certificate.exists()

    def begin(self, settings: TrainSettings) -> None:
        """Makes the folder for a new run and writes run.yaml.

        Raises:
            SurgeryError: there is a run, or something else, in it.
            OSError: it cannot be written.
        """
        if self.settings.exists():
            raise SurgeryError(
                f"{self.path} holds a run; go on with --resume, or name another folder with -o"
            )
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise SurgeryError(f"{self.path} exists and is no folder of a run; name another with -o")
        self.path.mkdir(parents=True, exist_ok=True)
        text = _HEAD + replace(settings, output=self.path).to_yaml(self.path)
        with writing_beside(self.settings) as file:
            file.write(text.encode())

    def take_up(self, settings: TrainSettings) -> None:
        """Checks that the run in the folder was begun with the same settings.

        Raises:
            SurgeryError: there is no run, or it is another one; the line names the setting.
        """
        if not self.settings.is_file():
            raise SurgeryError(f"{self.path}: there is no run to resume; start it without --resume")
        begun = read_settings(self.settings)
        key = differing_key(replace(begun, output=None), replace(settings, output=None))
        if key:
            raise SurgeryError(
                f"{self.settings}: this run was begun with another {key}; resume it with the same settings, "
                "or start a new one with -o"
            )
