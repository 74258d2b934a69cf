"""The key-value part of a GGUF file, with the errors that a user can act on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFValueType

from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.gguf_bounds import require_bounded


class GgufMetadata:
    """Typed access to the metadata of one GGUF file; each error names the file and the key."""

    def __init__(self, path: Path) -> None:
        """Opens and indexes the file; its tensors are mapped, not read."""
        self.path = path
        require_bounded(path)
        try:
            self.reader = GGUFReader(path)
        except (ValueError, IndexError, KeyError, OverflowError) as error:
            raise PackSourceError(f"{path}: not a readable GGUF file (truncated?): {error}") from None

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """The value of `key` if it is there; PackSourceError if it is not a `kind`."""
        field = self.reader.get_field(key)
        if field is None:
            return default
        try:
            value = field.contents()
        except UnicodeDecodeError:
            raise PackSourceError(f"{self.path}: {key} is not UTF-8: the file is damaged") from None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise PackSourceError(f"{self.path}: {key} is {value!r:.60}, not a {kind.__name__}")
        return value

    def need(self, key: str, kind: type) -> Any:
        """The value of `key`; PackSourceError if it is missing."""
        value = self.get(key, kind)
        if value is None:
            raise PackSourceError(f"{self.path}: its metadata lacks {key}")
        return value

    def need_list(self, key: str, kind: type) -> list[Any]:
        """The list of `key`, all of its items a `kind`; PackSourceError otherwise."""
        values: list[Any] = self.need(key, list)
        if not all(isinstance(value, kind) for value in values):
            raise PackSourceError(f"{self.path}: {key} does not hold only {kind.__name__}")
        return values

    def need_float(self, key: str) -> float:
        """A float by its shortest decimal spelling: an F32 1e-6 is 1e-06, not 9.999999974752427e-07."""
        value: float = self.need(key, float)
        field = self.reader.get_field(key)
        if field is not None and field.types[0] == GGUFValueType.FLOAT32:
            return float(str(np.float32(value)))
        return value
