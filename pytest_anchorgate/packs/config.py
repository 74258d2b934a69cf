"""What a pack says about its model: the hyperparameters, their limits, and the tensors they imply."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from pytest_anchorgate.packs.errors import PackFormatError

ARCHITECTURES = ("llama", "qwen2")
_LARGEST = 2**31 - 1
# Far above any model; keeps a damaged number from asking for a list of billions of tensors.
_MOST_LAYERS = 4096
_MULTIPLES_OF_16 = ("hidden_size", "intermediate_size", "head_dim")


@dataclass(frozen=True, slots=True)
class PackConfig:
    """The hyperparameters of a pack; construction refuses what the runtime cannot run, naming the field.

    Attributes:
        attention_bias: whether the q, k and v projections have a bias.
    """

    architecture: str
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float
    tie_word_embeddings: bool
    attention_bias: bool

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise PackFormatError(
                f"architecture is {self.architecture!r}; the runtime has {', '.join(ARCHITECTURES)}"
            )
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and not 1 <= value <= _LARGEST:
                raise PackFormatError(f"{field.name} is {value}, not a positive 32-bit integer")
            if field.type == "float" and not (math.isfinite(value) and value > 0):
                raise PackFormatError(f"{field.name} is {value}, not a positive number")
        if self.num_hidden_layers > _MOST_LAYERS:
            raise PackFormatError(f"num_hidden_layers is {self.num_hidden_layers}, more than {_MOST_LAYERS}")
        for name in _MULTIPLES_OF_16:
            if getattr(self, name) % 16:
                raise PackFormatError(
                    f"{name} is {getattr(self, name)}, not a multiple of 16: no panels for it"
                )
        if self.num_attention_heads % self.num_key_value_heads:
            raise PackFormatError(
                f"num_attention_heads is {self.num_attention_heads}, "
                f"not a multiple of num_key_value_heads {self.num_key_value_heads}"
            )

    def to_metadata(self) -> dict[str, str]:
        """The `planck.*` entries: integers in decimal, floats as Python's repr, truth as true or false."""
        out = {}
        for field in fields(self):
            value = getattr(self, field.name)
            out[f"planck.{field.name}"] = str(value).lower() if isinstance(value, bool) else str(value)
        return out

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> PackConfig:
        """Reads the entries back. Raises PackFormatError naming an entry that is missing or not canonical."""
        values: dict[str, str | int | float | bool] = {}
        for field in fields(cls):
            key = f"planck.{field.name}"
            if key not in metadata:
                raise PackFormatError(f"metadata lacks {key}")
            values[field.name] = _parse(key, str(field.type), metadata[key])
        return cls(**values)  # type: ignore[arg-type]

    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name to logical shape of every weight, in the order of the file; 2-D ones are [outputs, inputs]."""
        hidden, wide = self.hidden_size, self.intermediate_size
        heads = self.num_attention_heads * self.head_dim
        kv_heads = self.num_key_value_heads * self.head_dim
        shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocab_size, hidden)}
        for layer in range(self.num_hidden_layers):
            at = f"model.layers.{layer}"
            shapes[f"{at}.input_layernorm.weight"] = (hidden,)
            for name, rows in (("q", heads), ("k", kv_heads), ("v", kv_heads)):
                shapes[f"{at}.self_attn.{name}_proj.weight"] = (rows, hidden)
                if self.attention_bias:
                    shapes[f"{at}.self_attn.{name}_proj.bias"] = (rows,)
            shapes[f"{at}.self_attn.o_proj.weight"] = (hidden, heads)
            shapes[f"{at}.post_attention_layernorm.weight"] = (hidden,)
            shapes[f"{at}.mlp.gate_proj.weight"] = (wide, hidden)
            shapes[f"{at}.mlp.up_proj.weight"] = (wide, hidden)
            shapes[f"{at}.mlp.down_proj.weight"] = (hidden, wide)
        shapes["model.norm.weight"] = (hidden,)
        if not self.tie_word_embeddings:
            shapes["lm_head.weight"] = (self.vocab_size, hidden)
        return shapes

    @property
    def parameters(self) -> int:
        """How many weights the model has; a tied output counts once."""
        return sum(math.prod(shape) for shape in self.tensor_shapes().values())


def _parse(key: str, kind: str, text: str) -> str | int | float | bool:
    """One metadata value; only the canonical spelling is taken, so that equal values mean equal bytes."""
    value: str | int | float | bool = text
    try:
        if kind == "int":
            value = int(text)
        elif kind == "float":
            value = float(text)
    except ValueError:
        raise PackFormatError(f"{key} is {text!r}, not a number") from None
    if kind == "bool":
        if text not in ("true", "false"):
            raise PackFormatError(f"{key} is {text!r}, not true or false")
        return text == "true"
    if str(value) != text:
        raise PackFormatError(f"{key} is {text!r}; the canonical spelling is {str(value)!r}")
    return value
