"""Models of a few thousand weights, and the same model as a GGUF, a Hugging Face folder and a pack."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import save_file

from pytest_anchorgate.packs.bf16 import round_to_bf16, widen_bf16
from pytest_anchorgate.packs.byte_alphabet import bytes_to_spelled
from pytest_anchorgate.packs.planck import PackConfig, PackContents, SourceTensor
from pytest_anchorgate.packs.vocabulary import Vocabulary

TEMPLATE = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PREFIX, SUFFIX = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
PRETOKENIZERS = {
    "qwen2": {
        "type": "Sequence",
        "pretokenizers": [
            {
                "type": "Split",
                "pattern": {
                    "Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
                    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
                },
                "behavior": "Isolated",
                "invert": False,
            },
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        ],
    },
    "smollm": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        ],
    },
}
_BYTES = [bytes([byte]) for byte in range(256)]
_MERGED = [(b"a", b"b"), (b"ab", b"c"), (b" ", b"\xff")]
_ADDED = [("<|endoftext|>", 1), ("<|im_start|>", 1), ("<|im_end|>", 1), ("<tool>", 0)]
TOKENS = [*_BYTES, *(left + right for left, right in _MERGED), *(text.encode() for text, _ in _ADDED)]
FIRST_ADDED = len(_BYTES) + len(_MERGED)
ENDOFTEXT, IM_END = FIRST_ADDED, FIRST_ADDED + 2


def config(architecture: str = "llama", **changes: Any) -> PackConfig:
    values: dict[str, Any] = {
        "architecture": architecture,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 265,
        "max_position_embeddings": 128,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-06,
        "tie_word_embeddings": False,
        "attention_bias": architecture == "qwen2",
    }
    return PackConfig(**(values | changes))


def weights(model: PackConfig, seed: int = 7) -> dict[str, np.ndarray]:
    """Random F32 weights; the values of matrices are BF16 values, so that every route ends at the same pack."""
    random = np.random.default_rng(seed)
    out = {}
    for name, shape in model.tensor_shapes().items():
        values = random.standard_normal(shape, np.float32)
        out[name] = widen_bf16(round_to_bf16(values)) if len(shape) == 2 else values
    return out


def vocabulary(pretokenizer: str = "qwen2") -> Vocabulary:
    merges = [
        [TOKENS.index(left), TOKENS.index(right), TOKENS.index(left + right)] for left, right in _MERGED
    ]
    added = [(FIRST_ADDED + i, special) for i, (_, special) in enumerate(_ADDED)]
    normalizer = "nfc" if pretokenizer == "qwen2" else "none"
    return Vocabulary(TOKENS, np.array(merges, np.int32), np.array(added, np.int32), pretokenizer, normalizer)


def contents(model: PackConfig, arrays: dict[str, np.ndarray], **changes: Any) -> PackContents:
    values: dict[str, Any] = {
        "config": model,
        "tensors": {name: SourceTensor.of(array) for name, array in arrays.items()},
        "vocabulary": vocabulary("qwen2" if model.architecture == "qwen2" else "smollm"),
        "prefix": PREFIX,
        "suffix": SUFFIX,
        "stop_ids": (IM_END, ENDOFTEXT),
        "source": {"kind": "test"},
    }
    return PackContents(**(values | changes))


def interleaved(rows: np.ndarray, head_dim: int) -> np.ndarray:
    """What llama.cpp's converter does to q and k: row i of a head's first half to 2i, of its second to 2i+1."""
    out = np.empty_like(rows)
    for head in range(0, len(rows), head_dim):
        for i in range(head_dim // 2):
            out[head + 2 * i] = rows[head + i]
            out[head + 2 * i + 1] = rows[head + head_dim // 2 + i]
    return out


_GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    stem, kind = name.rsplit(".", 1)
    if stem.startswith("model.layers."):
        _, _, layer, inner = stem.split(".", 3)
        return f"blk.{layer}.{_GGUF_NAMES[inner]}.{kind}"
    return f"{_GGUF_NAMES[stem]}.{kind}"


def write_gguf(
    path: Path,
    model: PackConfig,
    arrays: dict[str, np.ndarray],
    *,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.BF16,
    extra: dict[str, Any] | None = None,
    template: str | None = TEMPLATE,
    pre: str | None = None,
) -> Path:
    """The model as a GGUF file, written by the reference package; `extra` adds or replaces its metadata."""
    writer = gguf.GGUFWriter(path, model.architecture)
    numbers = {
        "context_length": model.max_position_embeddings,
        "embedding_length": model.hidden_size,
        "feed_forward_length": model.intermediate_size,
        "block_count": model.num_hidden_layers,
        "attention.head_count": model.num_attention_heads,
        "attention.head_count_kv": model.num_key_value_heads,
        "attention.key_length": model.head_dim,
        "attention.value_length": model.head_dim,
        "rope.dimension_count": model.head_dim,
        "rope.freq_base": model.rope_theta,
        "attention.layer_norm_rms_epsilon": model.rms_norm_eps,
    }
    add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string, bool: writer.add_bool}
    for key, value in (numbers | (extra or {})).items():
        add[type(value)](f"{model.architecture}.{key}", value)
    _write_gguf_tokenizer(writer, model, pre or ("qwen2" if model.architecture == "qwen2" else "smollm"))
    if template is not None:
        writer.add_chat_template(template)
    for name, array in arrays.items():
        if model.architecture == "llama" and ("q_proj" in name or "k_proj" in name):
            array = interleaved(array, model.head_dim)
        if array.ndim == 1:
            writer.add_tensor(gguf_name(name), array)
        else:
            stored = gguf.quants.quantize(array, kind)
            writer.add_tensor(gguf_name(name), stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_gguf_tokenizer(writer: gguf.GGUFWriter, model: PackConfig, pre: str) -> None:
    padding = model.vocab_size - len(TOKENS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    spelled = [bytes_to_spelled(token) for token in TOKENS[:FIRST_ADDED]] + [text for text, _ in _ADDED]
    writer.add_token_list([*spelled, *(f"[PAD{i}]" for i in range(padding))])
    kinds = [gguf.TokenType.CONTROL if special else gguf.TokenType.USER_DEFINED for _, special in _ADDED]
    writer.add_token_types([1] * FIRST_ADDED + kinds + [gguf.TokenType.UNUSED] * padding)
    writer.add_token_merges([" ".join(map(bytes_to_spelled, pair)) for pair in _MERGED])
    writer.add_eos_token_id(IM_END)


def tokenizer_json(pre: str = "qwen2", *, merges_as_pairs: bool = True) -> dict[str, Any]:
    pairs = [[bytes_to_spelled(part) for part in pair] for pair in _MERGED]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": FIRST_ADDED + i,
                "content": text,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": bool(special),
            }
            for i, (text, special) in enumerate(_ADDED)
        ],
        "normalizer": {"type": "NFC"} if pre == "qwen2" else None,
        "pre_tokenizer": copy.deepcopy(PRETOKENIZERS[pre]),
        "post_processor": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        },
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": False,
            "use_regex": False,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {bytes_to_spelled(token): i for i, token in enumerate(TOKENS[:FIRST_ADDED])},
            "merges": pairs if merges_as_pairs else [" ".join(pair) for pair in pairs],
        },
    }


def hf_config(model: PackConfig) -> dict[str, Any]:
    names = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
    return {
        "architectures": [names[model.architecture]],
        "hidden_act": "silu",
        "hidden_size": model.hidden_size,
        "intermediate_size": model.intermediate_size,
        "num_hidden_layers": model.num_hidden_layers,
        "num_attention_heads": model.num_attention_heads,
        "num_key_value_heads": model.num_key_value_heads,
        "head_dim": model.head_dim,
        "vocab_size": model.vocab_size,
        "max_position_embeddings": model.max_position_embeddings,
        "rope_theta": model.rope_theta,
        "rms_norm_eps": model.rms_norm_eps,
        "tie_word_embeddings": model.tie_word_embeddings,
        "eos_token_id": IM_END,
    }


def write_hf(folder: Path, model: PackConfig, arrays: dict[str, np.ndarray], **changes: Any) -> Path:
    """The model as a Hugging Face folder with one F32 weight file; `changes` go into config.json."""
    folder.mkdir()
    write_json(folder / "config.json", hf_config(model) | changes)
    write_json(
        folder / "tokenizer.json", tokenizer_json("qwen2" if model.architecture == "qwen2" else "smollm")
    )
    write_json(folder / "tokenizer_config.json", {"chat_template": TEMPLATE, "eos_token": "<|im_end|>"})
    save_file(arrays, folder / "model.safetensors")
    return folder


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def change_json(path: Path, **changes: Any) -> None:
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | changes)
