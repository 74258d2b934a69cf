"""The frame of a pack: which metadata it has, where each tensor lies, and how the header is written."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from pytest_anchorgate.packs import panels
from pytest_anchorgate.packs.config import PackConfig
from pytest_anchorgate.packs.safetensors_file import TensorEntry, item_size

VERSION = "1"
NUMERICS = "fma-k/1"
# Part of the pack's bytes, so it names the builder's output, not the release: a release that builds the same
# bytes keeps it.
BUILDER = "anchorgate-pack/1"
DATA_ALIGNMENT = 4096
# The tensors a tokenizer becomes, in the order of the file: dtype and rank.
TABLES = {
    "tokenizer.token_offsets": ("I32", 1),
    "tokenizer.merges": ("I32", 2),
    "tokenizer.added": ("I32", 2),
    "tokenizer.token_bytes": ("U8", 1),
}
METADATA_KEYS = frozenset(
    f"planck.{name}"
    for name in (
        *("version", "layout", "numerics", "template.prefix", "template.suffix", "stop_ids"),
        *(
            "tokenizer.pretokenizer",
            "tokenizer.normalizer",
            "digests",
            "identity",
            "source",
            "parent",
            "adapter",
        ),
        *PackConfig.__dataclass_fields__,
    )
)
_NOT_IDENTITY = ("planck.identity", "planck.layout", "planck.source")


def lay_out(config: PackConfig, tables: Mapping[str, tuple[int, ...]]) -> list[TensorEntry]:
    """Every tensor of a pack in the order of the file, given the shapes of the tokenizer's tables."""
    shapes: list[tuple[str, str, tuple[int, ...]]] = []
    for name, shape in config.tensor_shapes().items():
        if len(shape) == 2:
            shapes.append((name, "BF16", panels.panel_shape(*shape)))
        else:
            shapes.append((name, "F32", shape))
    shapes += [(name, dtype, tables[name]) for name, (dtype, _) in TABLES.items()]
    entries, position = [], 0
    for name, dtype, shape in shapes:
        end = position + math.prod(shape) * item_size(dtype)
        entries.append(TensorEntry(name, dtype, shape, position, end))
        position = end
    return entries


def encode_header(metadata: Mapping[str, str], entries: list[TensorEntry]) -> bytes:
    """Length and JSON, padded with spaces so that the data begins at a multiple of 4096."""
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    for entry in entries:
        header[entry.name] = {
            "dtype": entry.dtype,
            "shape": list(entry.shape),
            "data_offsets": [entry.begin, entry.end],
        }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-(8 + len(text)) % DATA_ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def identity_of(metadata: Mapping[str, str]) -> str:
    """What makes two packs the same: a digest of all they say, but for layout and provenance."""
    kept = {k: v for k, v in metadata.items() if k.startswith("planck.") and k not in _NOT_IDENTITY}
    return hashlib.sha256(canonical_json(kept)).hexdigest()


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys, no spaces and no escapes that UTF-8 does not need."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode("utf-8")
