"""Plain data to bytes. Subclasses are flattened to the builtin they extend; the rest is opaque or refused.

On the candidate's side this code runs in hostile hands: nothing here is trusted, the decoder is. It looks at
`type(value)` only and reads contents through the builtin's own methods, so an honest subclass with unusual
special methods still arrives as the data it holds.
"""

from __future__ import annotations

import struct
import sys

from . import codec_format as f

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    _Writer = Callable[["Encoder", Any, int], None]

_REAL, _IMAG = complex.__dict__["real"], complex.__dict__["imag"]


class Encoder:
    """Writes one frame body.

    Args:
        iterators: Gives an iterator a handle; without it iterators are treated as any other object.
        instances: Classes whose instances may be sent as name and attributes.
        opaque: Send any other object as its type's name; otherwise refuse it.
    """

    def __init__(
        self,
        *,
        iterators: Callable[[Any], int] | None = None,
        instances: Mapping[type, str] | None = None,
        opaque: bool = False,
    ) -> None:
        self.out = bytearray()
        self._nodes = 0
        self._iterators = iterators
        self._instances = instances or {}
        self._opaque = opaque

    def encode(self, value: object) -> bytes:
        """The bytes of `value`; raises CodecError where it is too large or may not be sent."""
        self.write(value, 0)
        if len(self.out) > f.MAX_FRAME:
            raise f.CodecError("too large")
        return bytes(self.out)

    def write(self, value: object, depth: int) -> None:
        """Append one value that lies `depth` levels below the root."""
        self._nodes += 1
        if depth > f.MAX_DEPTH:
            raise f.CodecError(f"nested more than {f.MAX_DEPTH} levels deep (or containing itself)")
        if self._nodes > f.MAX_NODES or len(self.out) > f.MAX_FRAME:
            raise f.CodecError("too large")
        kind = type(value)
        writer = _WRITERS.get(id(kind)) or _writer_of_base(kind)
        if writer is not None:
            writer(self, value, depth)
        else:
            self._write_other(value, kind, depth)

    def head(self, tag: bytes, count: int) -> None:
        """A tag and a count."""
        self.out += tag + struct.pack("<I", count)

    def blob(self, tag: bytes, data: bytes | bytearray) -> None:
        """A tag and counted bytes."""
        if len(data) > f.MAX_FRAME:
            raise f.CodecError("too large")
        self.head(tag, len(data))
        self.out += data

    def items(self, tag: bytes, values: Iterable[object], count: int, depth: int) -> None:
        """A tag and counted items; the copy keeps count and items together if a thread changes them."""
        if count > f.MAX_NODES:
            raise f.CodecError(f"{count} items are too many")
        kept = list(values)
        self.head(tag, len(kept))
        for item in kept:
            self.write(item, depth + 1)

    def pairs(self, tag: bytes, value: dict[object, object], depth: int) -> None:
        """A tag and counted keys and values, in the dict's order."""
        if dict.__len__(value) > f.MAX_NODES:
            raise f.CodecError(f"{dict.__len__(value)} items are too many")
        kept = list(dict.items(value))
        self.head(tag, len(kept))
        for key, item in kept:
            self.write(key, depth + 1)
            self.write(item, depth + 1)

    def _write_other(self, value: Any, kind: type, depth: int) -> None:
        if self._instances and kind in self._instances:
            _str(self, self._instances[kind], depth, f.INSTANCE)
            self.write(dict(getattr(value, "__dict__", {})), depth + 1)
        elif self._iterators is not None and hasattr(kind, "__next__") and hasattr(kind, "__iter__"):
            self.head(f.ITERATOR, self._iterators(value))
        elif kind is type and value in f.BUILTIN_TYPES.values():
            _str(self, value.__name__, depth, f.BUILTIN_TYPE)
        elif self._opaque:
            name = type.__dict__["__name__"].__get__(kind)
            self.blob(f.OPAQUE, str(name)[:80].encode("ascii", "backslashreplace")[: f.MAX_NAME])
        else:
            raise f.CodecError(f"an object of type {kind.__name__} cannot be passed to the candidate")


def _none(enc: Encoder, _value: None, _depth: int) -> None:
    enc.out += f.NONE


def _bool(enc: Encoder, value: bool, _depth: int) -> None:
    enc.out += f.TRUE if value else f.FALSE


def _int(enc: Encoder, value: int, _depth: int) -> None:
    plain = int.__index__(value)
    size = int.bit_length(plain) // 8 + 1
    if size > f.MAX_INT_BYTES:
        raise f.CodecError(f"an int of {int.bit_length(plain)} bits is too large")
    enc.blob(f.INT, int.to_bytes(plain, size, "little", signed=True))


def _float(enc: Encoder, value: float, _depth: int) -> None:
    enc.out += f.FLOAT + struct.pack("<d", float.__float__(value))


def _complex(enc: Encoder, value: complex, _depth: int) -> None:
    enc.out += f.COMPLEX + struct.pack("<dd", _REAL.__get__(value), _IMAG.__get__(value))


def _str(enc: Encoder, value: str, _depth: int, tag: bytes = f.STR) -> None:
    if str.__len__(value) > f.MAX_FRAME:
        raise f.CodecError("too large")
    enc.blob(tag, str.encode(value, "utf-8", "surrogatepass"))


def _bytes(enc: Encoder, value: bytes, _depth: int) -> None:
    enc.blob(f.BYTES, bytes.__getitem__(value, slice(None)))


def _bytearray(enc: Encoder, value: bytearray, _depth: int) -> None:
    enc.blob(f.BYTEARRAY, bytearray.__getitem__(value, slice(None)))


def _range(enc: Encoder, value: range, depth: int) -> None:
    enc.out += f.RANGE
    for part in (value.start, value.stop, value.step):
        _int(enc, part, depth)


def _sequence(tag: bytes, base: Any) -> _Writer:
    def write(enc: Encoder, value: Any, depth: int) -> None:
        enc.items(tag, base.__iter__(value), base.__len__(value), depth)

    return write


def _mapping(tag: bytes) -> _Writer:
    def write(enc: Encoder, value: dict[object, object], depth: int) -> None:
        enc.pairs(tag, value, depth)

    return write


def _text_number(tag: bytes, base: Any, method: str) -> _Writer:
    def write(enc: Encoder, value: Any, depth: int) -> None:
        text = getattr(base, method)(value)
        if len(text) > f.MAX_TEXT_NUMBER:
            raise f.CodecError(f"a {base.__name__} of {len(text)} characters is too large")
        _str(enc, text, depth, tag)

    return write


def _numbers(tag: bytes, *fields: str) -> _Writer:
    def write(enc: Encoder, value: Any, depth: int) -> None:
        enc.out += tag
        for field in fields:
            _int(enc, getattr(value, field), depth)

    return write


_PLAIN: dict[type, _Writer] = {
    type(None): _none,
    bool: _bool,
    int: _int,
    float: _float,
    complex: _complex,
    str: _str,
    bytes: _bytes,
    bytearray: _bytearray,
    range: _range,
    list: _sequence(f.LIST, list),
    tuple: _sequence(f.TUPLE, tuple),
    set: _sequence(f.SET, set),
    frozenset: _sequence(f.FROZENSET, frozenset),
    dict: _mapping(f.DICT),
    type({}.keys()): _sequence(f.KEYS, type({}.keys())),
    type({}.values()): _sequence(f.VALUES, type({}.values())),
    type({}.items()): _sequence(f.ITEMS, type({}.items())),
}
# By identity: a candidate's metaclass may make its classes unhashable, or equal to int.
_WRITERS: dict[int, _Writer] = {id(kind): writer for kind, writer in _PLAIN.items()}


def _library_writers(module: str, loaded: Any) -> dict[type, _Writer]:
    if module == "collections":
        return {
            loaded.deque: _sequence(f.DEQUE, loaded.deque),
            loaded.Counter: _mapping(f.COUNTER),
            loaded.OrderedDict: _mapping(f.ORDERED_DICT),
        }
    if module == "decimal":
        return {loaded.Decimal: _text_number(f.DECIMAL, loaded.Decimal, "__str__")}
    if module == "fractions":
        return {loaded.Fraction: _numbers(f.FRACTION, "numerator", "denominator")}
    return {
        loaded.datetime: _text_number(f.DATETIME, loaded.datetime, "isoformat"),
        loaded.date: _text_number(f.DATE, loaded.date, "isoformat"),
        loaded.time: _text_number(f.TIME, loaded.time, "isoformat"),
        loaded.timedelta: _numbers(f.TIMEDELTA, "days", "seconds", "microseconds"),
    }


def _writer_of_base(kind: type) -> _Writer | None:
    """The writer of the nearest base that is plain data.

    A value can only be of a library's type once that library is imported: looking in sys.modules keeps some
    ten milliseconds of imports out of every start.
    """
    for module in ("collections", "decimal", "fractions", "datetime"):
        loaded = sys.modules.get(module)
        if loaded is not None:
            for base, writer in _library_writers(module, loaded).items():
                _WRITERS.setdefault(id(base), writer)
    bases = type.__dict__["__mro__"].__get__(kind)
    return next((_WRITERS[id(base)] for base in bases if id(base) in _WRITERS), None)
