"""A first walk over a GGUF's metadata that follows only lengths, to refuse a damaged file before it is parsed.

The `gguf` package believes the length of an array: one flipped bit there and it fills the memory, item by item.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from pytest_anchorgate.packs.errors import PackSourceError

# https://github.com/ggml-org/ggml/blob/master/docs/gguf.md: value type to size in bytes; 8 is a string, 9 an array.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_HEADER = struct.Struct("<4sIQQ")
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")
# Name, rank, one dimension, type, offset: the least that describes a tensor.
_LEAST_TENSOR = 8 + 4 + 8 + 4 + 8


def require_bounded(path: Path) -> None:
    """Raises PackSourceError unless `path` is a little-endian GGUF 2 or 3 whose metadata stays within the file."""
    with path.open("rb") as file:
        if path.stat().st_size < _HEADER.size:
            raise PackSourceError(f"{path}: not a GGUF file: it has only {path.stat().st_size} bytes")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            magic, version, tensors, pairs = _HEADER.unpack_from(data)
            if magic != b"GGUF" or version not in (2, 3):
                raise PackSourceError(f"{path}: not a GGUF file of version 2 or 3")
            try:
                position = _HEADER.size
                for _ in range(pairs):
                    position = _after_string(data, position)
                    kind = _U32.unpack_from(data, position)[0]
                    position = _after_value(data, position + 4, kind)
                if tensors > (len(data) - position) // _LEAST_TENSOR:
                    raise ValueError(f"{tensors} tensors do not fit")
            except (ValueError, struct.error) as error:
                raise PackSourceError(f"{path}: damaged or truncated GGUF: {error}") from None


def _after_string(data: mmap.mmap, position: int) -> int:
    return _checked(data, position + 8 + int(_U64.unpack_from(data, position)[0]))


def _after_value(data: mmap.mmap, position: int, kind: int) -> int:
    if kind == _STRING:
        return _after_string(data, position)
    if kind in _SIZES:
        return _checked(data, position + _SIZES[kind])
    if kind != _ARRAY:
        raise ValueError(f"a value of unknown type {kind}")
    item, count = _U32.unpack_from(data, position)[0], _U64.unpack_from(data, position + 4)[0]
    position += 12
    if item in _SIZES:
        return _checked(data, position + count * _SIZES[item])
    if item != _STRING:
        raise ValueError(f"an array of type {item}")
    for _ in range(count):  # ends at the end of the file at the latest, since each item takes 8 bytes
        position = _after_string(data, position)
    return position


def _checked(data: mmap.mmap, position: int) -> int:
    if position > len(data):
        raise ValueError("its metadata go beyond the end of the file")
    return position
