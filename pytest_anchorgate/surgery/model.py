"""The organ of a pack as a transformers model: the pack's logical weights, nothing else, no tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers

from pytest_anchorgate.packs.bf16 import widen_bf16
from pytest_anchorgate.packs.config import PackConfig
from pytest_anchorgate.packs.reader import PackReader, open_pack

_KINDS = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}


def load_parent(
    pack: Path,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    *,
    attention: str = "sdpa",
) -> transformers.PreTrainedModel:
    """Loads a pack as a transformers causal language model in evaluation mode.

    Args:
        pack: path of a `.planck` file.
        dtype: of the parameters. The pack's matrices are BF16, so float32 holds them exactly and bfloat16 too;
            the F32 vectors (norms, biases) are rounded once in bfloat16. The rotary frequencies stay float32.
        device: where the parameters go.
        attention: transformers' name of an attention implementation.

    Raises:
        PackFormatError: if this is no pack.
        OSError: if the file cannot be read.
    """
    reader = open_pack(pack)
    config = transformers_config(reader.config)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    state = {
        name: torch.from_numpy(_weight(reader, name)).to(device=device, dtype=dtype)
        for name in reader.config.tensor_shapes()
    }
    missing, unexpected = model.load_state_dict(state, strict=False, assign=True)
    if unexpected or not set(missing) <= {"lm_head.weight"}:
        raise RuntimeError(f"{pack}: transformers wants other tensors: {[*missing, *unexpected][:3]}")
    model.tie_weights()
    # Buffers of a model born on the meta device are empty: the rotary frequencies are computed anew.
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)
    return model.eval()


def transformers_config(config: PackConfig) -> transformers.PretrainedConfig:
    """The hyperparameters of a pack in transformers' terms."""
    return _KINDS[config.architecture](
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


def _weight(reader: PackReader, name: str) -> npt.NDArray[Any]:
    source = reader.logical(name)
    data = source.read(0, source.shape[0])
    return widen_bf16(data) if data.dtype == np.uint16 else np.array(data, dtype=np.float32)
