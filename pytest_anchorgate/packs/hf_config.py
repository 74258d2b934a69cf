"""`config.json` of a Hugging Face checkpoint as the hyperparameters of a pack.

What the runtime does not compute is refused by the name of its field, never ignored: a pack that runs but is
another model is worse than none.
"""

from __future__ import annotations

from typing import Any

from pytest_anchorgate.packs.config import PackConfig
from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.json_files import JsonFile

_ARCHITECTURES = {"LlamaForCausalLM": "llama", "Qwen2ForCausalLM": "qwen2"}
# Field to the only values under which the model is the one that the runtime computes; absent or null is as
# good.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "mlp_bias": (False,),
    "use_sliding_window": (False,),
    "partial_rotary_factor": (1, 1.0),
    "quantization_config": (),
}


def read_config(file: JsonFile) -> PackConfig:
    """The hyperparameters in `file`.

    Raises:
        PackSourceError: naming a field that is missing, malformed or not supported by the runtime.
        PackFormatError: if a size does not fit the format.
    """
    names = file.values.get("architectures")
    architecture = next((ours for theirs, ours in _ARCHITECTURES.items() if names == [theirs]), None)
    if architecture is None:
        raise PackSourceError(
            f"{file.path}: architectures is {names!r}; the runtime has {' and '.join(_ARCHITECTURES)}"
        )
    for field, allowed in _NEUTRAL.items():
        _require(file, field, file.values.get(field), allowed)
    if architecture == "llama":
        _require(file, "attention_bias", file.values.get("attention_bias"), (False,))
        _require(file, "sliding_window", file.values.get("sliding_window"), ())
    for kind in file.values.get("layer_types") or []:
        _require(file, "layer_types", kind, ("full_attention",))
    heads = file.integer("num_attention_heads")
    return PackConfig(
        architecture=architecture,
        hidden_size=file.integer("hidden_size"),
        intermediate_size=file.integer("intermediate_size"),
        num_hidden_layers=file.integer("num_hidden_layers"),
        num_attention_heads=heads,
        num_key_value_heads=file.integer("num_key_value_heads", heads),
        head_dim=file.integer("head_dim", file.integer("hidden_size") // max(heads, 1)),
        vocab_size=file.integer("vocab_size"),
        max_position_embeddings=file.integer("max_position_embeddings"),
        rope_theta=_rope_theta(file),
        rms_norm_eps=file.number("rms_norm_eps"),
        # transformers leaves a default out of the file: false for both architectures.
        tie_word_embeddings=file.truth("tie_word_embeddings", False),
        attention_bias=architecture == "qwen2",
    )


def _require(file: JsonFile, field: str, value: object, allowed: tuple[Any, ...]) -> None:
    if value is not None and value not in allowed:
        raise PackSourceError(f"{file.path}: {field} is {value!r:.80}, which the runtime does not support")


def _rope_theta(file: JsonFile) -> float:
    """From `rope_theta`, or from `rope_parameters` as transformers 5 writes it; plain rope only."""
    for field in ("rope_scaling", "rope_parameters"):
        rope = file.values.get(field)
        if rope is None:
            continue
        if not isinstance(rope, dict):
            raise PackSourceError(f"{file.path}: {field} is {rope!r:.60}, not an object")
        _require(file, f"{field}.rope_type", rope.get("rope_type", rope.get("type")), ("default",))
        for key in rope.keys() - {"rope_type", "type", "rope_theta"}:
            _require(file, f"{field}.{key}", rope[key], (1, 1.0))
        if "rope_theta" in rope:
            return JsonFile(file.path, rope).number("rope_theta")
    return file.number("rope_theta")
