"""Writes a pack's weights as GGUF (BF16, F16 or Q8_0) for llama.cpp, so that every engine runs the same weights.

Only weights and hyperparameters: the benchmark feeds token ids, so the tokenizer in the file is a dummy vocabulary
of the right size.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from pytest_anchorgate.packs.bf16 import widen_bf16
from pytest_anchorgate.packs.config import PackConfig
from pytest_anchorgate.packs.reader import open_pack

KINDS = {
    "bf16": gguf.GGMLQuantizationType.BF16,
    "f16": gguf.GGMLQuantizationType.F16,
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
}


def export(pack: Path, kind: str, target: Path) -> Path:
    """Writes `target` unless it is there already."""
    if target.exists():
        return target
    reader = open_pack(pack)
    config = reader.config
    writer = gguf.GGUFWriter(target, config.architecture)
    _write_config(writer, config)
    tokens = [f"<{i}>" for i in range(config.vocab_size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_token_merges(["< 0"])  # llama.cpp refuses a vocabulary without any
    names = gguf.get_tensor_name_map(
        {"llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2}[config.architecture],
        config.num_hidden_layers,
    )
    for name in config.tensor_shapes():
        source = reader.logical(name)
        data = source.read(0, source.shape[0])
        values = widen_bf16(data) if data.dtype == np.uint16 else np.array(data, dtype=np.float32)
        if config.architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            values = _permute(values, config, "q_proj" in name)
        target_name = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if values.ndim == 1:
            writer.add_tensor(target_name, values)
        else:
            writer.add_tensor(target_name, gguf.quants.quantize(values, KINDS[kind]), raw_dtype=KINDS[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def _write_config(writer: gguf.GGUFWriter, config: PackConfig) -> None:
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(config.head_dim)


def _permute(weight: np.ndarray, config: PackConfig, is_query: bool) -> np.ndarray:
    """The row order that llama.cpp wants for rope in the Llama architecture: interleaved instead of split halves."""
    heads = config.num_attention_heads if is_query else config.num_key_value_heads
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
