"""The organ of a pack as a transformers model: same BF16 weights, float32 arithmetic."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from pytest_anchorgate.packs.bf16 import widen_bf16  # noqa: E402
from pytest_anchorgate.packs.config import PackConfig  # noqa: E402
from pytest_anchorgate.packs.reader import PackReader, open_pack  # noqa: E402


@cache
def load_reference(pack: Path) -> transformers.PreTrainedModel:
    """A transformers model in float32 whose parameters are the pack's logical weights, widened exactly."""
    reader = open_pack(pack)
    config = _transformers_config(reader.config)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    model = model.to_empty(device="cpu").to(torch.float32)
    state = {name: torch.from_numpy(_weight(reader, name)) for name in reader.config.tensor_shapes()}
    missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    assert not unexpected
    assert set(missing) <= {"lm_head.weight"}
    model.tie_weights()
    # Buffers of a model born on the meta device are empty: the rotary frequencies are computed anew.
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    return model.eval()


def logit_bound(config: PackConfig, logits: np.ndarray) -> float:
    """How far two F32 evaluations of the same network may differ in a logit.

    A chain of K fused additions rounds each partial sum: with partial sums growing like sqrt(k), the error
    is u * sqrt(K) / sqrt(6) of the result's standard deviation (u = 2^-24; the probabilistic model of Higham
    and Mary, https://doi.org/10.1137/18M1226312). A residual write passes two such products, the longer of
    K = intermediate size, in each of two engines: at most 2 * u * sqrt(K). 2 * layers writes add in
    quadrature, and six standard deviations cover the about 10^8 logits compared here.
    """
    u = 2.0**-24
    relative = 2 * u * math.sqrt(config.intermediate_size) * math.sqrt(2 * config.num_hidden_layers)
    return 6 * relative * float(np.sqrt(np.mean(np.square(logits, dtype=np.float64))))


def _transformers_config(config: PackConfig) -> transformers.PretrainedConfig:
    kind = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}[config.architecture]
    return kind(
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        vocab_size=config.vocab_size,
        max_position_embeddings=config.max_position_embeddings,
        rms_norm_eps=config.rms_norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        tie_word_embeddings=config.tie_word_embeddings,
    )


def _weight(reader: PackReader, name: str) -> np.ndarray:
    source = reader.logical(name)
    data = source.read(0, source.shape[0])
    return widen_bf16(data) if data.dtype == np.uint16 else np.array(data, dtype=np.float32)
