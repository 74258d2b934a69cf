"""The safetensors header, read strictly: the frame of a `.planck` file and of a Hugging Face checkpoint.

A file is a u64 length, a JSON header, then the data: https://huggingface.co/docs/safetensors (format). Read
here rather than by the `safetensors` package because numpy has no BF16, and because a gate wants duplicate
names refused, not overwritten.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pytest_anchorgate.packs.errors import PackFormatError

if TYPE_CHECKING:
    import numpy.typing as npt

# The limit of the reference implementation, which refuses larger headers as well.
MAX_HEADER_BYTES = 100_000_000
# In numpy's words, without numpy (header.py): byte order, kind, and the bytes of one element.
DTYPES = {"BF16": "<u2", "F16": "<f2", "F32": "<f4", "I32": "<i4", "U8": "|u1"}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor of the header; `begin` and `end` count bytes from the start of the data section."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """A header whose entries are known to fill the data section exactly, without holes or overlaps.

    Attributes:
        entries: by name, in the order in which they stand in the file.
        data_start: offset of the data section in the file.
    """

    path: Path
    metadata: dict[str, str]
    entries: dict[str, TensorEntry]
    data_start: int
    raw: bytes

    def map(self, entry: TensorEntry) -> npt.NDArray[Any]:
        """The tensor as a read-only view of the file (BF16 as uint16 bits).

        Raises:
            PackFormatError: for a dtype that packs and their sources do not use.
        """
        dtype = DTYPES.get(entry.dtype)
        if dtype is None:
            raise PackFormatError(
                f"{self.path}: {entry.name} has dtype {entry.dtype}; known are {', '.join(DTYPES)}"
            )
        if entry.end - entry.begin != math.prod(entry.shape) * item_size(entry.dtype):
            raise PackFormatError(
                f"{self.path}: {entry.name}: its data_offsets do not fit its shape {list(entry.shape)}"
            )
        import numpy as np

        if entry.end == entry.begin:
            return np.zeros(entry.shape, dtype)
        return np.memmap(self.path, dtype, "r", self.data_start + entry.begin, entry.shape)


def item_size(dtype: str) -> int:
    """Bytes of one element of a known dtype."""
    return int(DTYPES[dtype][-1])


def read_safetensors_header(path: Path) -> SafetensorsHeader:
    """Reads and checks the header of the safetensors file at `path`; the data itself is not read.

    Raises:
        PackFormatError: naming what is wrong: not safetensors, truncated, holes, overlaps, duplicate names.
        OSError: if the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        raw = _read_raw(file, path, size)
    header = _parse_json(raw, path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise PackFormatError(f"{path}: __metadata__ does not map strings to strings")
    entries = sorted(
        (_entry(name, value, path) for name, value in header.items()), key=lambda e: (e.begin, e.end)
    )
    _require_filled(entries, size - 8 - len(raw), path)
    return SafetensorsHeader(path, metadata, {entry.name: entry for entry in entries}, 8 + len(raw), raw)


def _read_raw(file: BinaryIO, path: Path, size: int) -> bytes:
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > MAX_HEADER_BYTES:
        raise PackFormatError(
            f"{path}: not a safetensors file: it does not begin with a plausible header length"
        )
    raw = file.read(length)
    if len(raw) != length:
        raise PackFormatError(
            f"{path}: truncated: the header should have {length} bytes, {len(raw)} are there"
        )
    return raw


def _parse_json(raw: bytes, path: Path) -> dict[str, Any]:
    def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in pairs:
            if key in out:
                raise PackFormatError(f"{path}: the header has {key!r} twice")
            out[key] = value
        return out

    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise PackFormatError(f"{path}: the header is not UTF-8 JSON: {error}") from None
    if not isinstance(header, dict):
        raise PackFormatError(f"{path}: the header is not a JSON object")
    return header


def _entry(name: str, value: object, path: Path) -> TensorEntry:
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise PackFormatError(
            f"{path}: {name}: its entry does not have exactly dtype, shape and data_offsets"
        )
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise PackFormatError(f"{path}: {name}: its dtype, shape or data_offsets are not of the right kind")
    if offsets[0] > offsets[1]:
        raise PackFormatError(f"{path}: {name}: its data_offsets end before they begin")
    return TensorEntry(name, dtype, tuple(shape), offsets[0], offsets[1])


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def _require_filled(entries: list[TensorEntry], available: int, path: Path) -> None:
    position = 0
    for entry in entries:
        if entry.begin != position:
            what = "overlaps the tensor before it" if entry.begin < position else "leaves a hole before it"
            raise PackFormatError(
                f"{path}: {entry.name}: begins at byte {entry.begin} of the data, which {what}"
            )
        position = entry.end
    if position != available:
        what = "truncated" if position > available else "too long"
        raise PackFormatError(
            f"{path}: {what}: the tensors need {position} bytes of data, the file has {available}"
        )
