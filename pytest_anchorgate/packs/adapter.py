"""A LoRA adapter as PEFT saves it: a folder with adapter_config.json and adapter_model.safetensors.

Read with numpy alone, and strictly. What an adapter says that is not plain LoRA (DoRA, biases, an
initialisation that changed the base) is refused by its name: merged as if it were not there, it would give a
pack that nobody trained. The meaning of every field is that of PEFT
(https://huggingface.co/docs/peft/package_reference/lora).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_anchorgate.packs.adapter_config import CONFIG, AdapterConfig
from pytest_anchorgate.packs.bf16 import widen_bf16
from pytest_anchorgate.packs.config import PackConfig
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.frame import canonical_json
from pytest_anchorgate.packs.safetensors_file import SafetensorsHeader, TensorEntry, read_safetensors_header

__all__ = ["BASE_SCHEME", "Adapter", "LowRank", "read_adapter"]

WEIGHTS = "adapter_model.safetensors"
# An adapter trained on a pack names it as its base: this, then the pack's identity.
BASE_SCHEME = "planck:"
_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight")
_FLOATS = ("F32", "F16", "BF16")
_CONVERT = (
    'convert it where it was made: `python -c "import torch, safetensors.torch as s; s.save_file(torch.load('
    "'adapter_model.bin', weights_only=True), 'adapter_model.safetensors')\"`"
)


@dataclass(frozen=True, slots=True)
class LowRank:
    """What an adapter adds to one weight: alpha/r * B @ A (alpha/sqrt(r) with rsLoRA).

    Attributes:
        a: F32 [r, inputs], finite; `b`: F32 [outputs, r].
        alpha: numerator of the scaling.
    """

    a: npt.NDArray[np.float32]
    b: npt.NDArray[np.float32]
    alpha: float
    rslora: bool

    @property
    def rank(self) -> int:
        """How many rows A has, and columns B."""
        return int(self.a.shape[0])

    @property
    def scaling(self) -> float:
        """The factor before B @ A as PEFT computes it, a double."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter that fits the pack it was read for.

    Attributes:
        base: what it was trained on, as its config says; "" if it does not say.
        parts: by name of the pack's weight, in the order of the pack.
        digest: sha256 (hex) of what it means: the values of A and B, ranks, alphas, rsLoRA. Neither the
            precision in which equal values are stored nor names of files change it.
    """

    path: Path
    base: str
    parts: Mapping[str, LowRank]
    digest: str


def read_adapter(folder: Path, config: PackConfig, identity: str, *, any_base: bool = False) -> Adapter:
    """Reads the adapter in `folder` for the pack with these hyperparameters and this identity.

    Args:
        folder: as PEFT's `save_pretrained` writes it, A and B in F32, F16 or BF16.
        config: the hyperparameters of the pack that it will be merged into.
        identity: `planck.identity` of that pack.
        any_base: take an adapter that names another pack as its base.

    Raises:
        PackSourceError: one line with the field or the tensor that is wrong, and what to do.
        PackFormatError: if the safetensors file is damaged.
        OSError: if a file cannot be read.
    """
    settings = AdapterConfig.read(folder)
    _require_base(settings, identity, any_base)
    header = _open_weights(folder)
    modules = _modules(header, config)
    _require_targets(settings, modules, config, header.path)
    parts = {}
    for name, shape in config.tensor_shapes().items():
        if name in modules:
            parts[name] = _low_rank(header, modules[name], name, shape, settings)
    return Adapter(folder, settings.base, parts, _digest(parts))


def _require_base(settings: AdapterConfig, identity: str, any_base: bool) -> None:
    if settings.base.startswith(BASE_SCHEME) and not any_base:
        named = settings.base.removeprefix(BASE_SCHEME)
        if named != identity:
            raise PackSourceError(
                f"{settings.path}: the adapter was trained on the pack {named:.64}, this one is {identity}; "
                "give the pack that it was trained on, or --any-base if you mean it"
            )


def _open_weights(folder: Path) -> SafetensorsHeader:
    path = folder / WEIGHTS
    if not path.exists():
        if (folder / "adapter_model.bin").exists():
            raise PackSourceError(
                f"{folder / 'adapter_model.bin'}: a pickle, which can run code when it is read; {_CONVERT}"
            )
        raise PackSourceError(f"{folder}: it has no {WEIGHTS}; save the adapter with save_pretrained")
    return read_safetensors_header(path)


def _modules(header: SafetensorsHeader, config: PackConfig) -> dict[str, dict[str, TensorEntry]]:
    """The pack's weights that the adapter changes, each with the entries of its A and B."""
    shapes = config.tensor_shapes()
    found: dict[str, dict[str, TensorEntry]] = {}
    for entry in header.entries.values():
        match = _NAME.fullmatch(entry.name)
        if match is None:
            raise PackSourceError(f"{header.path}: {entry.name}: {_why_unknown(entry.name)}")
        # An adapter of the bare model, without its head, has names that lack the first part.
        names = [f"{prefix}{match['module']}.weight" for prefix in ("", "model.")]
        name = next((name for name in names if len(shapes.get(name, ())) == 2), None)
        if name is None or name == "model.embed_tokens.weight":
            raise PackSourceError(
                f"{header.path}: {entry.name}: the parent has no such linear layer; "
                "this adapter is for another base"
            )
        sides = found.setdefault(name, {})
        if match["side"] in sides:
            raise PackSourceError(
                f"{header.path}: {entry.name}: lora_{match['side']} of {name} stands there twice"
            )
        sides[match["side"]] = entry
    if not found:
        raise PackSourceError(f"{header.path}: it holds no tensors")
    for name, sides in found.items():
        if len(sides) != 2:
            lone = next(iter(sides.values())).name
            raise PackSourceError(
                f"{header.path}: {lone}: the other half of the adapter of {name} is missing"
            )
    return found


def _why_unknown(name: str) -> str:
    if "lora_magnitude_vector" in name:
        return "DoRA cannot be merged here; merge it with PEFT and build a pack from the result"
    if "lora_embedding" in name:
        return "adapters of the embedding cannot be merged here; train with linear layers as target_modules"
    if name.endswith((".base_layer.weight", "embed_tokens.weight", "lm_head.weight")):
        return "a weight of the base itself; save the adapter with save_embedding_layers=False"
    return "not a tensor of a plain LoRA adapter (base_model.model.MODULE.lora_A.weight or lora_B.weight)"


def _require_targets(settings: AdapterConfig, modules: Iterable[str], config: PackConfig, path: Path) -> None:
    """A file that lacks a module its config targets would be merged as if that module had learned nothing."""
    present = set(modules)
    for name, shape in config.tensor_shapes().items():
        if len(shape) == 2 and name not in present and settings.targets(name.removesuffix(".weight")):
            raise PackSourceError(
                f"{path}: the adapter of {name} is missing, {CONFIG} has it among target_modules; "
                "save the adapter again"
            )


def _low_rank(
    header: SafetensorsHeader,
    sides: Mapping[str, TensorEntry],
    name: str,
    shape: tuple[int, ...],
    settings: AdapterConfig,
) -> LowRank:
    module = name.removesuffix(".weight")
    rank = settings.rank(module)
    for side, wanted in (("A", (rank, shape[1])), ("B", (shape[0], rank))):
        if sides[side].shape != wanted:
            raise PackSourceError(
                f"{header.path}: {sides[side].name} has shape {list(sides[side].shape)}, {name} of the parent "
                f"{list(shape)} and rank {rank} ask for {list(wanted)}; this adapter is for another base, "
                f"or its {CONFIG} is not its own"
            )
    a, b = (_values(header, sides[side]) for side in "AB")
    return LowRank(a, b, settings.alpha(module), settings.rslora)


def _values(header: SafetensorsHeader, entry: TensorEntry) -> npt.NDArray[np.float32]:
    if entry.dtype not in _FLOATS:
        raise PackSourceError(
            f"{header.path}: {entry.name} has dtype {entry.dtype}; A and B must be one of {', '.join(_FLOATS)}"
        )
    stored = header.map(entry)
    wide = widen_bf16(stored) if entry.dtype == "BF16" else stored.astype(np.float32)
    values = np.ascontiguousarray(wide, np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        index = [int(i) for i in np.unravel_index(int(np.argmin(finite)), values.shape)]
        raise PackFormatError(f"{header.path}: {entry.name}{index} is not a finite number: training diverged")
    return values


def _digest(parts: Mapping[str, LowRank]) -> str:
    meaning: dict[str, Any] = {
        name: {
            "a": _sha256(part.a),
            "b": _sha256(part.b),
            "alpha": str(float(part.alpha)),
            "r": part.rank,
            "rslora": part.rslora,
        }
        for name, part in parts.items()
    }
    return hashlib.sha256(canonical_json(meaning)).hexdigest()


def _sha256(values: npt.NDArray[np.float32]) -> str:
    return hashlib.sha256(values.astype("<f4").data).hexdigest()
