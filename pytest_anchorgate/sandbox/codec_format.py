"""The wire format of plain data: one-byte tags and the bounds that both ends keep.

Not JSON (it would turn tuples into lists and lose nan), not pickle or marshal (they run or carry code).
Numbers are little endian. A count is a u32. Layout after the tag:

    None True False                  nothing
    int                              count of bytes, two's complement, shortest form
    float complex                    one or two IEEE doubles
    str bytes bytearray              count of bytes, bytes (str: UTF-8, surrogates passed)
    list tuple set frozenset deque   count, items          dict views: the same (items as pairs)
    dict Counter OrderedDict         count, key value ...
    range                            start, stop, step
    Decimal date datetime time       text as for str
    Fraction                         numerator, denominator
    timedelta                        days, seconds, microseconds
    builtin type                     its name, as for str
    instance                         class name as for str, attributes as a dict  (towards the candidate only)
    iterator                         u32 handle                                   (from the candidate only)
    opaque                           type name as for str                         (from the candidate only)
"""

from __future__ import annotations

MAX_FRAME = 4 << 20
MAX_DEPTH = 64
MAX_NODES = 200_000
MAX_INT_BYTES = 32 << 10
MAX_TEXT_NUMBER = 20_000
MAX_NAME = 320
MAX_ITERATORS = 1000
MAX_PULLS = 100_000

NONE, TRUE, FALSE = b"N", b"T", b"F"
INT, FLOAT, COMPLEX = b"i", b"d", b"c"
STR, BYTES, BYTEARRAY = b"s", b"b", b"y"
LIST, TUPLE, SET, FROZENSET, DEQUE = b"l", b"t", b"S", b"Z", b"D"
DICT, COUNTER, ORDERED_DICT = b"m", b"C", b"O"
KEYS, VALUES, ITEMS = b"k", b"v", b"w"
RANGE, DECIMAL, FRACTION = b"r", b"M", b"Q"
DATE, DATETIME, TIME, TIMEDELTA = b"a", b"e", b"h", b"u"
BUILTIN_TYPE, INSTANCE, ITERATOR, OPAQUE = b"B", b"J", b"G", b"X"

BUILTIN_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(int, float, complex, bool, str, bytes, bytearray, list, tuple, set, frozenset, dict, range, object),
        type(None),
    )
}


class CodecError(ValueError):
    """A value cannot be sent, or bytes are not a value: too large, too deep, unknown or not canonical."""
