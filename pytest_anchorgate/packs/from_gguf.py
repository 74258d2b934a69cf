"""A GGUF file as the contents of a pack.

GGUF: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import ReaderTensor
from gguf.constants import GGMLQuantizationType
from gguf.quants import dequantize

from pytest_anchorgate.packs.config import ARCHITECTURES, PackConfig
from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.gguf_metadata import GgufMetadata
from pytest_anchorgate.packs.gguf_tokenizer import read_tokenizer
from pytest_anchorgate.packs.planck import PackContents, SourceTensor
from pytest_anchorgate.packs.template import split_template

_BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTER_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
# Keys that change what the model computes in ways the runtime does not have. A key with its neutral value is
# fine.
_UNSUPPORTED = {
    "rope.scaling.type": "none",
    "rope.scaling.factor": 1.0,
    "rope.scale_linear": 1.0,
    "attention.sliding_window": 0,
    "attention.clamp_kqv": 0.0,
    "attention.scale": 0.0,
    "expert_count": 0,
    "logit_scale": 0.0,
    "embedding_scale": 0.0,
    "residual_scale": 0.0,
    "attention.causal": True,
}


def read_gguf(path: Path, sha256: str, *, use_template: bool = True) -> PackContents:
    """Reads the GGUF file at `path`; the weights themselves are read when the pack is written.

    Args:
        path: the file.
        sha256: its digest, for the pack's provenance.
        use_template: whether the chat template goes into the pack; otherwise prompts are given to the model
            as they are.

    Raises:
        PackSourceError: if the file is damaged or asks for what the runtime does not have, naming the key or
            tensor. PackFormatError: if the hyperparameters do not fit the format.
    """
    metadata = GgufMetadata(path)
    tensors = {_hugging_face_name(t.name, path): t for t in metadata.reader.tensors}
    config = _config(metadata, tensors)
    vocabulary = read_tokenizer(metadata)
    prefix = suffix = ""
    if use_template:
        template = metadata.get("tokenizer.chat_template", str)
        if template is None:
            raise PackSourceError(f"{path}: it has no chat template; --no-template builds a pack without one")
        special = {}
        for name in ("bos", "eos"):
            token = metadata.get(f"tokenizer.ggml.{name}_token_id", int)
            if token is not None and token < len(vocabulary.tokens):
                special[f"{name}_token"] = vocabulary.tokens[token].decode()
        prefix, suffix = split_template(template, special)
    stops = [metadata.get(f"tokenizer.ggml.{name}_token_id", int) for name in ("eos", "eot")]
    return PackContents(
        config=config,
        tensors={name: _source(name, tensor, config, path) for name, tensor in tensors.items()},
        vocabulary=vocabulary,
        prefix=prefix,
        suffix=suffix,
        stop_ids=vocabulary.chat_stops(stops),
        source={"kind": "gguf", "name": metadata.get("general.name", str, ""), "sha256": sha256},
    )


def _hugging_face_name(name: str, path: Path) -> str:
    if name in _OUTER_NAMES:
        return _OUTER_NAMES[name]
    parts = name.split(".")
    if len(parts) == 4 and parts[0] == "blk" and parts[1].isdecimal() and parts[2] in _BLOCK_NAMES:
        return f"model.layers.{parts[1]}.{_BLOCK_NAMES[parts[2]]}.{parts[3]}"
    raise PackSourceError(f"{path}: it has a tensor {name}, which neither a llama nor a qwen2 model has")


def _config(metadata: GgufMetadata, tensors: Mapping[str, ReaderTensor]) -> PackConfig:
    path, architecture = metadata.path, metadata.need("general.architecture", str)
    if architecture not in ARCHITECTURES:
        known = " and ".join(ARCHITECTURES)
        raise PackSourceError(f"{path}: general.architecture is {architecture!r}; the runtime has {known}")
    _refuse_unsupported(metadata, architecture)

    def number(key: str) -> int:
        value: int = metadata.need(f"{architecture}.{key}", int)
        return value

    heads = number("attention.head_count")
    head_dim = metadata.get(
        f"{architecture}.attention.key_length", int, number("embedding_length") // max(heads, 1)
    )
    for key in ("rope.dimension_count", "attention.value_length"):
        value = metadata.get(f"{architecture}.{key}", int, head_dim)
        if value != head_dim:
            raise PackSourceError(f"{path}: {architecture}.{key} is {value}, not the head size {head_dim}")
    embedding = tensors.get("model.embed_tokens.weight")
    if embedding is None:
        raise PackSourceError(f"{path}: it has no token_embd.weight")
    return PackConfig(
        architecture=architecture,
        hidden_size=number("embedding_length"),
        intermediate_size=number("feed_forward_length"),
        num_hidden_layers=number("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=metadata.get(f"{architecture}.attention.head_count_kv", int, heads),
        head_dim=head_dim,
        vocab_size=int(embedding.shape[-1]),
        max_position_embeddings=number("context_length"),
        rope_theta=metadata.need_float(f"{architecture}.rope.freq_base"),
        rms_norm_eps=metadata.need_float(f"{architecture}.attention.layer_norm_rms_epsilon"),
        tie_word_embeddings="lm_head.weight" not in tensors,
        attention_bias="model.layers.0.self_attn.q_proj.bias" in tensors,
    )


def _refuse_unsupported(metadata: GgufMetadata, architecture: str) -> None:
    for key, neutral in _UNSUPPORTED.items():
        value = metadata.get(f"{architecture}.{key}", type(neutral), neutral)
        if value != neutral:
            raise PackSourceError(
                f"{metadata.path}: {architecture}.{key} is {value!r}, which the runtime does not support"
            )


def _source(name: str, tensor: ReaderTensor, config: PackConfig, path: Path) -> SourceTensor:
    kind = tensor.tensor_type
    shape = tuple(int(n) for n in reversed(tensor.shape))
    reader = _reader(kind)
    if reader is None:
        raise PackSourceError(
            f"{path}: {tensor.name} is of type {kind.name}, which gguf cannot turn into numbers"
        )
    data = tensor.data
    rows = _rope_rows(name, shape[0], config)
    if rows is None:
        return SourceTensor(shape, lambda start, stop: reader(data[start:stop]))
    return SourceTensor(shape, lambda start, stop: reader(data[rows[start:stop]]))


def _reader(kind: GGMLQuantizationType) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None:
    """Stored rows to F32 or F16 values, or to BF16 bits; None if the type is not one of weights."""
    if kind in (GGMLQuantizationType.F32, GGMLQuantizationType.F16):
        return lambda data: data
    if kind == GGMLQuantizationType.BF16:
        return lambda data: np.ascontiguousarray(data).view(np.uint16)
    try:
        dequantize(np.zeros((0, 0), np.uint8), kind)
    except NotImplementedError:
        return None
    except (ValueError, IndexError, ZeroDivisionError):
        pass
    return lambda data: dequantize(data, kind)


def _rope_rows(name: str, rows: int, config: PackConfig) -> npt.NDArray[np.int64] | None:
    """Which stored row is each logical row of a q or k projection; None where they are the same.

    For the llama architecture the converter interleaves the two halves of each head, because ggml's rope for
    it turns neighbours (2i, 2i+1) where Hugging Face turns (i, i + head_dim/2): `LlamaModel.permute` in
    llama.cpp's convert_hf_to_gguf.py. Qwen2 is stored as it is. A pack is in Hugging Face's order.
    """
    if config.architecture != "llama" or not name.rsplit(".", 1)[0].endswith(("q_proj", "k_proj")):
        return None
    stored = np.arange(rows).reshape(-1, config.head_dim // 2, 2)
    logical: npt.NDArray[np.int64] = stored.swapaxes(1, 2).reshape(rows)
    return logical
