"""adapter_config.json of a LoRA adapter: what it says of rank, scaling and targets, and what is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.json_files import JsonFile

CONFIG = "adapter_config.json"
_READ = frozenset(
    (
        *("peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "bias"),
        *("base_model_name_or_path", "init_lora_weights"),
        *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
    )
)
# How it was trained or is to be loaded; what it adds to the weights does not depend on these.
_REMARKS = frozenset(
    (
        *("auto_mapping", "corda_config", "eva_config", "inference_mode", "loftq_config", "lora_dropout"),
        *("lora_ga_config", "megatron_core", "peft_version", "qalora_group_size", "revision"),
        *("runtime_config", "task_type"),
    )
)
# The other initialisations (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) subtract something from the base: such an
# adapter belongs to weights that the parent does not have.
_HARMLESS_INITS = (True, False, None, "gaussian", "eva", "orthogonal")
_LARGEST_RANK = 1 << 16


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """The fields of the config that a merge needs; reading refuses what is not plain LoRA."""

    path: Path
    base: str
    rslora: bool
    _rank: int
    _alpha: float
    _ranks: Mapping[str, int]
    _alphas: Mapping[str, float]
    _targets: tuple[str, ...] | None

    @classmethod
    def read(cls, folder: Path) -> AdapterConfig:
        """Reads the config in `folder`.

        Raises:
            PackSourceError: naming the field that is wrong or asks for more than plain LoRA.
        """
        if not folder.is_dir():
            raise PackSourceError(f"{folder}: not a folder; give the one in which PEFT saved the adapter")
        file = JsonFile.read(folder / CONFIG)
        if file.values.get("peft_type") != "LORA":
            raise PackSourceError(
                f"{file.path}: peft_type is {file.values.get('peft_type')!r:.60}; only LORA can be merged"
            )
        _require_plain(file)
        return cls(
            path=file.path,
            base=_text(file, "base_model_name_or_path"),
            rslora=file.truth("use_rslora", False),
            _rank=_as_rank(file, "r", file.values.get("r")),
            _alpha=_as_alpha(file, "lora_alpha", file.values.get("lora_alpha")),
            _ranks={k: _as_rank(file, f"rank_pattern.{k}", v) for k, v in _pattern(file, "rank_pattern")},
            _alphas={k: _as_alpha(file, f"alpha_pattern.{k}", v) for k, v in _pattern(file, "alpha_pattern")},
            _targets=_targets(file),
        )

    def rank(self, module: str) -> int:
        """The rank of a module such as `model.layers.0.self_attn.q_proj`."""
        return next((rank for key, rank in self._ranks.items() if _matches(key, module)), self._rank)

    def alpha(self, module: str) -> float:
        """The alpha of a module."""
        return next((alpha for key, alpha in self._alphas.items() if _matches(key, module)), self._alpha)

    def targets(self, module: str) -> bool:
        """Whether the config says for certain that the module has an adapter."""
        return any(module == name or module.endswith(f".{name}") for name in self._targets or ())


def _require_plain(file: JsonFile) -> None:
    for key, value in file.values.items():
        if key not in _READ | _REMARKS and value not in (None, False, "", [], {}):
            raise PackSourceError(
                f"{file.path}: {key} is {value!r:.60}: that is more than plain LoRA and cannot be merged here; "
                "train without it, or merge with PEFT and build a pack from the result"
            )
    bias = file.values.get("bias", "none")
    if bias != "none":
        raise PackSourceError(
            f'{file.path}: bias is {bias!r:.60}: trained biases cannot be merged; use "none"'
        )
    init = file.values.get("init_lora_weights")
    if init not in _HARMLESS_INITS:
        raise PackSourceError(
            f"{file.path}: init_lora_weights is {init!r:.60}, which changes the base as well; convert the "
            "adapter with PEFT's save_pretrained(path_initial_model_for_weight_conversion=...)"
        )


def _matches(key: str, module: str) -> bool:
    """PEFT's rule for the keys of rank_pattern and alpha_pattern: a regular expression for the name's end."""
    return re.match(rf"(.*\.)?({key})$", module) is not None


def _pattern(file: JsonFile, key: str) -> list[tuple[str, Any]]:
    value = file.values.get(key) or {}
    if not isinstance(value, dict):
        raise PackSourceError(f"{file.path}: {key} is not an object")
    for pattern in value:
        try:
            re.compile(pattern)
        except re.error as error:
            raise PackSourceError(f"{file.path}: {key}: {pattern!r:.60} is no pattern: {error}") from None
    return list(value.items())


def _as_rank(file: JsonFile, where: str, value: object) -> int:
    if type(value) is not int or not 1 <= value <= _LARGEST_RANK:
        raise PackSourceError(f"{file.path}: {where} is {value!r:.60}, not a rank from 1 to {_LARGEST_RANK}")
    return value


def _as_alpha(file: JsonFile, where: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise PackSourceError(f"{file.path}: {where} is {value!r:.60}, not a number")
    return float(value)


def _text(file: JsonFile, key: str) -> str:
    value = file.values.get(key)
    if value is not None and not isinstance(value, str):
        raise PackSourceError(f"{file.path}: {key} is {value!r:.60}, not a text")
    return value or ""


def _targets(file: JsonFile) -> tuple[str, ...] | None:
    """The modules that have an adapter in every layer, None where the config names them in another way."""
    value = file.values.get("target_modules")
    narrowed = ("exclude_modules", "layers_to_transform", "layers_pattern")
    if not isinstance(value, list) or any(file.values.get(key) not in (None, []) for key in narrowed):
        return None
    if not all(isinstance(name, str) for name in value):
        raise PackSourceError(f"{file.path}: target_modules holds something that is not a name")
    return tuple(value)
