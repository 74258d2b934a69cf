"""Our merge beside PEFT's own `merge_and_unload` in float32: equal but for ties, and these within a derived bound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from organs import markov_pack

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
pytest.importorskip("transformers")

from pytest_anchorgate.packs.bf16 import round_to_bf16, widen_bf16  # noqa: E402
from pytest_anchorgate.packs.merge import merge_adapter  # noqa: E402
from pytest_anchorgate.packs.planck import SourceTensor, write_pack  # noqa: E402
from pytest_anchorgate.packs.reader import open_pack  # noqa: E402
from pytest_anchorgate.surgery.model import load_parent  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

U = 2.0**-24  # of float32
RANK = 8
Floats = npt.NDArray[np.float64]


def random_pack(tmp_path: Path, architecture: str) -> Path:
    markov = markov_pack(tmp_path / "zeros.planck", {"a": "b"}, architecture=architecture)
    contents = open_pack(markov).contents()
    random = np.random.default_rng(11)
    tensors = {
        name: SourceTensor.of(random.standard_normal(source.shape, np.float32) * np.float32(0.1))
        for name, source in contents.tensors.items()
    }
    path = tmp_path / "parent.planck"
    write_pack(path, replace(contents, tensors=tensors))
    return path


def peft_merge(parent: Path, folder: Path, config: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Saves a random adapter to `folder`; the merged float32 weights, and the adapter's modules, both by name."""
    torch.manual_seed(5)
    model = peft.get_peft_model(load_parent(parent), config)
    layers = {}
    for name, module in model.base_model.model.named_modules():
        if hasattr(module, "lora_A"):
            torch.nn.init.normal_(module.lora_B["default"].weight, std=0.02)
            layers[f"{name}.weight"] = (
                module.lora_A["default"].weight.detach().double().numpy().copy(),
                module.lora_B["default"].weight.detach().double().numpy().copy(),
                module.scaling["default"],
            )
    model.save_pretrained(folder, save_embedding_layers=False)
    merged = model.merge_and_unload().state_dict()
    return {name: merged[name].numpy() for name in layers}, layers


def error_bound(a: Floats, b: Floats, scaling: float, merged: npt.NDArray[np.float32]) -> Floats:
    """How far two float32 evaluations of W + s * (B @ A) can lie from each other, an element.

    A sum of r products in whatever order, fused or not, errs by at most r * u * sum |b||a| (Higham, Accuracy and
    Stability of Numerical Algorithms, 3.1, to first order), multiplying by s by u of the product more, and the last
    addition by u of its result. Two evaluations: twice that; 1 % for the higher orders.
    """
    return 1.01 * 2 * U * ((len(a) + 1) * abs(scaling) * (np.abs(b) @ np.abs(a)) + np.abs(merged))


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_rslora": True, "lora_alpha": 3},
        {"rank_pattern": {"q_proj": 2, r"layers\.0\.mlp\.up_proj": 5}, "alpha_pattern": {"mlp.*": 7}},
    ],
    ids=["plain", "rslora", "patterns"],
)
def test_a_merge_is_pefts_merge_rounded_once(tmp_path, architecture, changes):
    parent = random_pack(tmp_path, architecture)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
    config = peft.LoraConfig(**{"r": RANK, "lora_alpha": 16, "target_modules": targets} | changes)
    merged, layers = peft_merge(parent, tmp_path / "adapter", config)
    report = merge_adapter(parent, tmp_path / "adapter", tmp_path / "child.planck")
    child = open_pack(tmp_path / "child.planck")
    assert set(report.changed) == set(layers)
    assert len(layers) == 8
    differing, expected, elements = 0, 0.0, 0
    for name, theirs in merged.items():
        a, b, scaling = layers[name]
        ours = child.logical(name).read(0, theirs.shape[0])
        rounded = round_to_bf16(theirs)
        bound = error_bound(a, b, scaling, theirs)
        low = rounded.astype(np.int32) & 0x7FFF
        spacing = widen_bf16((low + 1).astype(np.uint16)) - widen_bf16(low.astype(np.uint16))
        other = widen_bf16(ours) != widen_bf16(rounded)
        # Where the two differ, they are neighbours, and what was rounded lies beside the middle between them.
        middle = (widen_bf16(ours).astype(np.float64) + widen_bf16(rounded)) / 2
        assert np.all(np.abs(theirs - middle)[other] <= bound[other])
        assert np.all(np.abs(widen_bf16(ours) - widen_bf16(rounded))[other] <= 2 * spacing[other])
        differing += int(other.sum())
        # The chance that a value lies so near to one of the middles, which are a spacing apart,
        # or half of one on the side of a power of two where zero is.
        expected += float(np.minimum(1, 2 * bound / (spacing / 2)).sum())
        elements += other.size
    # Six standard deviations above the largest mean that the bound allows.
    assert differing <= expected + 6 * expected**0.5 + 1
    assert expected < elements / 500
    assert report.elements == elements > 90_000


def test_a_forgotten_scale_would_be_seen(tmp_path):
    """The comparison above is sharp: a merge at 0.99 of the scale differs in far more elements than it allows."""
    parent = random_pack(tmp_path, "llama")
    config = peft.LoraConfig(r=RANK, lora_alpha=16, target_modules=["q_proj"])
    merged, _ = peft_merge(parent, tmp_path / "adapter", config)
    merge_adapter(parent, tmp_path / "adapter", tmp_path / "child.planck", "0.99")
    (name, theirs), *_ = merged.items()
    ours = open_pack(tmp_path / "child.planck").logical(name).read(0, theirs.shape[0])
    assert np.mean(ours != round_to_bf16(theirs)) > 0.05
