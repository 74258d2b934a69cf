"""LoRA through peft: put adapters into the organ, take their tensors out, write a standard PEFT folder.

The files are written here and not by `save_pretrained`, for bytes that depend on nothing but the adapter: sorted
names, sorted JSON, no model card.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import peft
import safetensors.torch
import torch

from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.surgery.config import LoraSettings

ADAPTER_CONFIG, ADAPTER_TENSORS = "adapter_config.json", "adapter_model.safetensors"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_NAME = ".default"


def attach(organ: Any, settings: LoraSettings, seed: int) -> peft.PeftModel:
    """Puts float32 adapters into a model, in place; B is 0, so that nothing has changed yet.

    The adapter is drawn on the CPU, so that a seed means the same adapter whatever the device.
    """
    torch.manual_seed(seed)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=_whole_if_possible(settings.alpha),
        lora_dropout=settings.dropout,
        use_rslora=settings.rslora,
        target_modules=list(settings.targets),
        bias="none",
    )
    with warnings.catch_warnings():
        # peft asks transformers by an attribute's old name.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        return peft.get_peft_model(organ, config)


def parameters(model: peft.PeftModel) -> dict[str, torch.nn.Parameter]:
    """The trainable tensors by the names they have in a PEFT file, sorted."""
    found = {name.replace(_NAME, ""): p for name, p in model.named_parameters() if p.requires_grad}
    return dict(sorted(found.items()))


def snapshot(params: Mapping[str, torch.nn.Parameter]) -> dict[str, torch.Tensor]:
    """A copy of the tensors on the CPU."""
    return {name: parameter.detach().to("cpu", copy=True) for name, parameter in params.items()}


def restore(params: Mapping[str, torch.nn.Parameter], tensors: Mapping[str, torch.Tensor]) -> None:
    """Puts copies back. `tensors` has the same names and shapes."""
    with torch.no_grad():
        for name, parameter in params.items():
            parameter.copy_(tensors[name])


def rounded(tensors: Mapping[str, torch.Tensor], dtype: str) -> dict[str, torch.Tensor]:
    """The tensors in "float32" or "bfloat16", to nearest, ties to even."""
    return {name: tensor.to(_DTYPES[dtype]) for name, tensor in tensors.items()}


def write_adapter(
    folder: Path, model: peft.PeftModel, tensors: Mapping[str, torch.Tensor], identity: str
) -> None:
    """Writes adapter_config.json and adapter_model.safetensors, the tensors first.

    Args:
        folder: exists.
        model: for its configuration.
        tensors: by the names that `parameters` gives.
        identity: of the parent, which becomes the base model's name.

    Raises:
        OSError: they cannot be written.
    """
    stored = {name: tensor.contiguous() for name, tensor in sorted(tensors.items())}
    with writing_beside(folder / ADAPTER_TENSORS) as file:
        file.write(safetensors.torch.save(stored, {"format": "pt"}))
    config = {**model.peft_config["default"].to_dict(), "inference_mode": True}
    config["base_model_name_or_path"] = f"planck:{identity}"
    config["target_modules"] = sorted(config["target_modules"])
    with writing_beside(folder / ADAPTER_CONFIG) as file:
        file.write((json.dumps(config, indent=2, sort_keys=True, default=_plain) + "\n").encode())


def _whole_if_possible(value: float) -> float:
    return int(value) if value.is_integer() else value


def _plain(value: Any) -> Any:
    """A configuration of peft holds sets, and enumerations that are their own text."""
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)
