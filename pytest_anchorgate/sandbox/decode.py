"""Bytes to plain data. This is the trusted half: total, bounded, and raising nothing but CodecError.

Whatever bytes a hostile program sends, the result is a freshly built builtin, one of our own stand-ins, or
CodecError.
"""

from __future__ import annotations

import struct

from . import codec_format as f

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Decoder:
    """Reads one frame body.

    Args:
        iterators: Makes the stand-in for an iterator's handle; without it the tag is an error.
        opaque: Makes the stand-in for an object known by its type's name; without it the tag is an error.
        instances: Builds an instance from class name and attributes; without it the tag is an error.
    """

    def __init__(
        self,
        *,
        iterators: Callable[[int], object] | None = None,
        opaque: Callable[[str], object] | None = None,
        instances: Callable[[str, dict[str, object]], object] | None = None,
    ) -> None:
        self._iterators = iterators
        self._opaque = opaque
        self._instances = instances
        self._data = b""
        self._at = 0
        self._nodes = 0

    def decode(self, data: bytes) -> Any:
        """The one value that `data` holds.

        Raises:
            CodecError: The bytes are not exactly one value in canonical form within the bounds.
        """
        if len(data) > f.MAX_FRAME:
            raise f.CodecError("frame too large")
        self._data, self._at, self._nodes = data, 0, 0
        try:
            value = self._value(0)
        except f.CodecError:
            raise
        except (ValueError, TypeError, OverflowError, ArithmeticError, struct.error) as error:
            raise f.CodecError(f"malformed value: {type(error).__name__}") from None
        if self._at != len(data):
            raise f.CodecError("bytes after the value")
        return value

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise f.CodecError("the value is cut short")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def _count(self) -> int:
        return int.from_bytes(self._take(4), "little")

    def _value(self, depth: int) -> Any:
        self._nodes += 1
        if depth > f.MAX_DEPTH:
            raise f.CodecError("nested too deep")
        if self._nodes > f.MAX_NODES:
            raise f.CodecError("too many values")
        tag = self._take(1)
        reader = _READERS.get(tag)
        if reader is None:
            raise f.CodecError(f"unknown tag {tag!r}")
        return reader(self, depth)

    def items(self, depth: int) -> list[Any]:
        """Counted values; the count is checked against the bytes that are left before anything is built."""
        count = self._count()
        if count > len(self._data) - self._at:
            raise f.CodecError("the value is cut short")
        return [self._value(depth + 1) for _ in range(count)]

    def pairs(self, depth: int) -> dict[Any, Any]:
        """Counted keys and values."""
        count = self._count()
        if 2 * count > len(self._data) - self._at:
            raise f.CodecError("the value is cut short")
        built = {}
        for _ in range(count):
            key = self._value(depth + 1)
            built[key] = self._value(depth + 1)
        if len(built) != count:
            raise f.CodecError("a key occurs twice")
        return built

    def distinct(self, depth: int) -> list[Any]:
        """Counted values, no two of them equal."""
        values = self.items(depth)
        if len(set(values)) != len(values):
            raise f.CodecError("an element occurs twice")
        return values

    def integer(self, _depth: int = 0) -> int:
        """An int in its shortest form."""
        size = self._count()
        if size > f.MAX_INT_BYTES:
            raise f.CodecError("int too large")
        value = int.from_bytes(self._take(size), "little", signed=True)
        if value.bit_length() // 8 + 1 != size:
            raise f.CodecError("int not in its shortest form")
        return value

    def tagged_integer(self) -> int:
        """An int where only an int may stand."""
        if self._take(1) != f.INT:
            raise f.CodecError("an int was expected")
        return self.integer()

    def blob(self, limit: int = f.MAX_FRAME) -> bytes:
        """Counted bytes."""
        size = self._count()
        if size > limit:
            raise f.CodecError("text too long")
        return self._take(size)

    def text(self, limit: int = f.MAX_FRAME) -> str:
        """A str."""
        return self.blob(limit).decode("utf-8", "surrogatepass")

    def double(self) -> float:
        """An IEEE double."""
        return float(struct.unpack("<d", self._take(8))[0])

    def iterator(self, _depth: int) -> object:
        """The stand-in for an iterator."""
        if self._iterators is None:
            raise f.CodecError("an iterator is not allowed here")
        return self._iterators(self._count())

    def opaque(self, _depth: int) -> object:
        """The stand-in for an object that is not plain data."""
        if self._opaque is None:
            raise f.CodecError("an opaque object is not allowed here")
        return self._opaque(self.text(f.MAX_NAME))

    def instance(self, depth: int) -> object:
        """An instance of a class that both sides know."""
        if self._instances is None:
            raise f.CodecError("an instance is not allowed here")
        name = self.text(f.MAX_NAME)
        attributes = self._value(depth + 1)
        if type(attributes) is not dict or not all(type(key) is str for key in attributes):
            raise f.CodecError("attributes must be a dict with str keys")
        return self._instances(name, attributes)


def _pair_items(values: list[Any]) -> dict[Any, Any]:
    if not all(type(pair) is tuple and len(pair) == 2 for pair in values):
        raise f.CodecError("dict items must be pairs")
    built = dict(values)
    if len(built) != len(values):
        raise f.CodecError("a key occurs twice")
    return built


def _builtin_type(d: Decoder, _depth: int) -> type:
    found = f.BUILTIN_TYPES.get(d.text(f.MAX_NAME))
    if found is None:
        raise f.CodecError("unknown builtin type")
    return found


def _collection(name: str, build: Callable[[Decoder, int], Any]) -> Callable[[Decoder, int], Any]:
    def read(d: Decoder, depth: int) -> Any:
        import collections

        return getattr(collections, name)(build(d, depth))

    return read


def _decimal(d: Decoder, _depth: int) -> Any:
    from decimal import Decimal

    return Decimal(d.blob(f.MAX_TEXT_NUMBER).decode("ascii"))


def _fraction(d: Decoder, _depth: int) -> Any:
    from fractions import Fraction

    return Fraction(d.tagged_integer(), d.tagged_integer())


def _moment(name: str) -> Callable[[Decoder, int], Any]:
    def read(d: Decoder, _depth: int) -> Any:
        import datetime

        return getattr(datetime, name).fromisoformat(d.blob(64).decode("ascii"))

    return read


def _timedelta(d: Decoder, _depth: int) -> Any:
    from datetime import timedelta

    return timedelta(d.tagged_integer(), d.tagged_integer(), d.tagged_integer())


_READERS: dict[bytes, Callable[[Decoder, int], Any]] = {
    f.NONE: lambda _d, _n: None,
    f.TRUE: lambda _d, _n: True,
    f.FALSE: lambda _d, _n: False,
    f.INT: Decoder.integer,
    f.FLOAT: lambda d, _n: d.double(),
    f.COMPLEX: lambda d, _n: complex(d.double(), d.double()),
    f.STR: lambda d, _n: d.text(),
    f.BYTES: lambda d, _n: d.blob(),
    f.BYTEARRAY: lambda d, _n: bytearray(d.blob()),
    f.LIST: Decoder.items,
    f.TUPLE: lambda d, n: tuple(d.items(n)),
    f.SET: lambda d, n: set(d.distinct(n)),
    f.FROZENSET: lambda d, n: frozenset(d.distinct(n)),
    f.DEQUE: _collection("deque", Decoder.items),
    f.DICT: Decoder.pairs,
    f.COUNTER: _collection("Counter", Decoder.pairs),
    f.ORDERED_DICT: _collection("OrderedDict", Decoder.pairs),
    f.KEYS: lambda d, n: dict.fromkeys(d.distinct(n)).keys(),
    f.VALUES: lambda d, n: dict(enumerate(d.items(n))).values(),
    f.ITEMS: lambda d, n: _pair_items(d.items(n)).items(),
    f.RANGE: lambda d, _n: range(d.tagged_integer(), d.tagged_integer(), d.tagged_integer()),
    f.DECIMAL: _decimal,
    f.FRACTION: _fraction,
    f.DATE: _moment("date"),
    f.DATETIME: _moment("datetime"),
    f.TIME: _moment("time"),
    f.TIMEDELTA: _timedelta,
    f.BUILTIN_TYPE: _builtin_type,
    f.INSTANCE: Decoder.instance,
    f.ITERATOR: Decoder.iterator,
    f.OPAQUE: Decoder.opaque,
}
