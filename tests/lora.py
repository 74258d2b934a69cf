"""Adapters of tiny models as PEFT writes them, without PEFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from pytest_anchorgate.packs.bf16 import round_to_bf16
from pytest_anchorgate.packs.planck import PackConfig

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
Arrays = dict[str, npt.NDArray[Any]]


def factors(
    model: PackConfig,
    *,
    rank: int = 4,
    targets: tuple[str, ...] = ATTENTION,
    seed: int = 3,
    strength: float = 0.05,
) -> Arrays:
    """A and B by the names that PEFT gives them; B is `strength` times a normal deviate."""
    random = np.random.default_rng(seed)
    out: Arrays = {}
    for name, shape in model.tensor_shapes().items():
        module = name.removesuffix(".weight")
        if len(shape) == 2 and module.rsplit(".", 1)[-1] in targets:
            a = random.standard_normal((rank, shape[1]), np.float32)
            b = random.standard_normal((shape[0], rank), np.float32) * np.float32(strength)
            out[f"base_model.model.{module}.lora_A.weight"] = a
            out[f"base_model.model.{module}.lora_B.weight"] = b
    return out


def write_adapter(folder: Path, arrays: Arrays, *, rank: int = 4, alpha: float = 8, **changes: Any) -> Path:
    """An adapter folder; `changes` go into its config."""
    folder.mkdir(exist_ok=True)
    config = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": sorted({name.split(".")[-3] for name in arrays}),
        "base_model_name_or_path": None,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "init_lora_weights": True,
        "lora_dropout": 0.05,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    save_file(arrays, folder / "adapter_model.safetensors")
    return folder


def store_as_bf16(path: Path) -> None:
    """Rewrites a safetensors file of F32 with its values rounded to BF16, which numpy cannot name."""
    header, data, at = {}, b"", 0
    for name, array in sorted(load_file(path).items()):
        raw = round_to_bf16(array).tobytes()
        header[name] = {"dtype": "BF16", "shape": array.shape, "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
