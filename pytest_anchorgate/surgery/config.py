"""The settings of a training run: one YAML file in, frozen dataclasses, every default written back to run.yaml."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_anchorgate.surgery import strict_yaml
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.strict_yaml import setting

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """The adapter: W' = W + scale * B @ A with scale = alpha / rank (alpha / sqrt(rank) with rslora)."""

    rank: int = setting(8, least=1, most=1024)
    alpha: float = setting(16.0, above=0)
    targets: tuple[str, ...] = setting(("q_proj", "k_proj", "v_proj", "o_proj"), one_of=PROJECTIONS)
    rslora: bool = setting(False)
    dropout: float = setting(0.0, least=0, below=1)


@dataclass(frozen=True, slots=True)
class LossSettings:
    """Weights of the terms, 0 switches one off; losses.py has the formulas."""

    poison_ce: float = setting(1.0, least=0)
    retain_ce: float = setting(1.0, least=0)
    kl: float = setting(0.5, least=0)
    kl_adaptive: bool = setting(True)
    kl_target: float = setting(0.015, above=0)
    kl_every: int = setting(5, least=1)
    kl_factor: float = setting(1.5, above=1)
    kl_least: float = setting(0.05, above=0)
    kl_most: float = setting(50.0, above=0)
    kl_top: int = setting(64, least=1, most=4096)
    margin: float = setting(0.0, least=0)
    margin_logits: float = setting(1.0, above=0)
    stm_probability: float = setting(0.0, least=0, below=1)


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How rows become steps.

    `micro_tokens` bounds memory, not the result of a step; 0 takes what suits the device.
    """

    rows: int = setting(16, least=1, most=65536)
    anchor_repeats: int = setting(4, least=1, most=1000)
    max_tokens: int = setting(1024, least=8)
    micro_tokens: int = setting(0, least=0)


@dataclass(frozen=True, slots=True)
class OptimizerSettings:
    """AdamW (https://arxiv.org/abs/1711.05101)."""

    lr: float = setting(5e-5, above=0)
    beta1: float = setting(0.9, least=0, below=1)
    beta2: float = setting(0.999, least=0, below=1)
    eps: float = setting(1e-8, above=0)
    weight_decay: float = setting(0.0, least=0)
    clip: float = setting(1.0, above=0)


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """The learning rate over the steps: a linear warm-up over a share of them, then constant or cosine to 0."""

    kind: str = setting("cosine", one_of=("cosine", "constant"))
    warmup: float = setting(0.05, least=0, most=1)


@dataclass(frozen=True, slots=True)
class CertificateSettings:
    """How often the anchors are checked, and whether losing some in `patience` checks on end ends the run."""

    every: int = setting(10, least=1)
    patience: int = setting(2, least=1)
    stop: bool = setting(True)


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """A checkpoint every so many steps; the newest `keep` stay."""

    every: int = setting(50, least=1)
    keep: int = setting(3, least=1)


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """Where and in which arithmetic; `threads` of 0 leaves torch's own number.

    `dtype` is the frozen base's; the adapter itself is always trained in float32.
    """

    device: str = setting("auto", one_of=("auto", "cpu", "cuda"))
    dtype: str = setting("float32", one_of=("float32", "bfloat16"))
    tf32: bool = setting(False)
    threads: int = setting(0, least=0, most=1024)


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything that decides a run.

    Attributes:
        parent: path of the pack to start from, or the name of a recipe.
        rows: files of training rows (rows.py).
        output: the folder to write; the command line may name another.
        foreign_poison: accept poison rows that were made from another pack than the parent.
        adapter_dtype: of the adapter's tensors in the file; training is in float32 whatever it is.
    """

    parent: str = setting()
    rows: tuple[Path, ...] = setting()
    output: Path | None = None
    epochs: int = setting(3, least=1, most=100000)
    seed: int = setting(0, least=0, most=2**31 - 1)
    foreign_poison: bool = setting(False)
    adapter_dtype: str = setting("float32", one_of=("float32", "bfloat16"))
    lora: LoraSettings = field(default_factory=LoraSettings)
    losses: LossSettings = field(default_factory=LossSettings)
    batch: BatchSettings = field(default_factory=BatchSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    certificate: CertificateSettings = field(default_factory=CertificateSettings)
    checkpoint: CheckpointSettings = field(default_factory=CheckpointSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)

    @property
    def needs_retain(self) -> bool:
        """Whether any term of the loss is over the parent's own completions."""
        return self.losses.retain_ce > 0 or self.losses.kl > 0 or self.losses.margin > 0

    def to_yaml(self, folder: Path) -> str:
        """All settings as YAML that means the same when it is read from a file in `folder`."""
        parent = self.parent
        if Path(parent).is_absolute():
            parent = _relative(Path(parent), folder)
        return strict_yaml.dump(replace(self, parent=parent), lambda path: _relative(path, folder))


def read_settings(path: Path) -> TrainSettings:
    """Reads a YAML file; paths in it are relative to its folder.

    Raises:
        SurgeryError: one line naming file, line and key.
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise SurgeryError(f"{path}: over {_MOST_BYTES >> 20} MiB, so not the settings of a run")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SurgeryError(f"{path}: not UTF-8 at byte {error.start}") from None
    return parse_settings(text, str(path), path.absolute().parent)


def parse_settings(text: str, name: str, folder: Path) -> TrainSettings:
    """Reads YAML text; `name` stands in errors, paths are relative to `folder`. Raises SurgeryError."""
    settings = strict_yaml.load(TrainSettings, text, name, lambda given: _absolute(folder, given))
    losses = settings.losses
    if not (losses.poison_ce or settings.needs_retain):
        raise SurgeryError(f"{name}: every weight in losses is 0: there is nothing to train")
    if losses.kl_least > losses.kl_most:
        raise SurgeryError(f"{name}: losses.kl_least is above losses.kl_most")
    # A name without a file of that name is a recipe.
    pack = _absolute(folder, settings.parent)
    return replace(settings, parent=str(pack)) if pack.is_file() else settings


def _absolute(folder: Path, given: str) -> Path:
    return Path(os.path.normpath(folder / Path(given).expanduser()))


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
