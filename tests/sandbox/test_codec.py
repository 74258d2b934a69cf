"""The codec: what goes in comes out with its exact type, and no bytes can make the decoder misbehave."""

import collections
import contextlib
import datetime as dt
import enum
import math
import operator
import struct
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_anchorgate.sandbox import codec_format as f
from pytest_anchorgate.sandbox.codec_format import CodecError
from pytest_anchorgate.sandbox.decode import Decoder
from pytest_anchorgate.sandbox.encode import Encoder
from pytest_anchorgate.sandbox.standins import Opaque

relaxed = settings(
    deadline=None, max_examples=300, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(1 << 300), 1 << 300),
    st.floats(),
    st.complex_numbers(),
    st.text(),
    st.text(st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF)),
    st.binary(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(dt.timezone.utc)).map(lambda moment: moment.replace(fold=0)),
    st.times().map(lambda time: time.replace(fold=0)),
    st.timedeltas(),
    st.builds(range, st.integers(), st.integers(), st.integers(1, 99)),
    st.sampled_from(list(f.BUILTIN_TYPES.values())),
)
hashables = st.recursive(
    scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.sets(hashables, max_size=4),
        st.dictionaries(hashables, inner, max_size=4),
        st.lists(inner, max_size=3).map(collections.deque),
        st.dictionaries(hashables, inner, max_size=3).map(collections.OrderedDict),
        st.lists(hashables, max_size=4).map(collections.Counter),
        st.binary(max_size=5).map(bytearray),
    ),
    max_leaves=8,
)


def total_decoder():
    return Decoder(iterators=lambda _handle: iter(()), opaque=Opaque)


def shape(value):
    """A value with its exact types, comparable where nan and -0.0 are not."""
    kind = type(value)
    if kind is float:
        return kind, struct.pack("<d", value) if not math.isnan(value) else b"nan"
    if kind is complex:
        return kind, shape(value.real), shape(value.imag)
    if kind in (list, tuple, collections.deque):
        return kind, [shape(item) for item in value]
    if kind in (set, frozenset):
        return kind, sorted(map(repr, map(shape, value)))
    if isinstance(value, dict):
        return kind, [(shape(key), shape(item)) for key, item in value.items()]
    return kind, repr(value)


@relaxed
@given(values)
def test_round_trip_keeps_value_and_exact_type(value):
    assert shape(total_decoder().decode(Encoder().encode(value))) == shape(value)


@relaxed
@given(st.binary(max_size=400))
def test_any_bytes_give_a_value_or_codec_error(data):
    with contextlib.suppress(CodecError):
        total_decoder().decode(data)


@relaxed
@given(values, st.data())
def test_a_damaged_frame_gives_a_value_or_codec_error(value, data):
    frame = bytearray(Encoder().encode(value))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(frame) - 1))
        frame[at] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    for damaged in (bytes(frame), cut):
        with contextlib.suppress(CodecError):
            total_decoder().decode(damaged)


@relaxed
@given(st.lists(st.sampled_from([bytes([tag]) for tag in b"NTFidcsbyltSZDmCOkvwrMQaehuBJGX"] + [
    struct.pack("<I", n) for n in (0, 1, 2, 3, 255, 0xFFFFFFFF)
]), max_size=40))  # fmt: skip
def test_well_formed_tags_with_wild_counts(parts):
    with contextlib.suppress(CodecError):
        total_decoder().decode(b"".join(parts))


def u32(number):
    return struct.pack("<I", number)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"?",
        b"NN",
        b"i" + u32(2) + b"\x01\x00",
        b"i" + u32(0),
        b"i" + u32(f.MAX_INT_BYTES + 1) + b"\x01" * (f.MAX_INT_BYTES + 1),
        b"s" + u32(1) + b"\xff",
        b"l" + u32(0xFFFFFFFF),
        b"S" + u32(2) + b"NN",
        b"S" + u32(2) + b"T" + b"i" + u32(1) + b"\x01",
        b"S" + u32(1) + b"l" + u32(0),
        b"m" + u32(2) + b"NNNN",
        b"m" + u32(1) + b"l" + u32(0) + b"N",
        b"w" + u32(1) + b"N",
        b"r" + b"NNN",
        b"r" + (b"i" + u32(1) + b"\x00") * 3,
        b"Q" + b"i" + u32(1) + b"\x01" + b"i" + u32(1) + b"\x00",
        b"M" + u32(3) + b"abc",
        b"a" + u32(3) + b"abc",
        b"u" + (b"i" + u32(9) + b"\xff" * 8 + b"\x00") * 3,
        b"B" + u32(4) + b"eval",
        b"J" + u32(1) + b"A" + b"m" + u32(0),
        b"X" + u32(f.MAX_NAME + 1) + b"x" * (f.MAX_NAME + 1),
        (b"l" + u32(1)) * 70 + b"N",
        b"l" + u32(f.MAX_NODES + 1) + b"N" * (f.MAX_NODES + 1),
    ],
)
def test_malformed_frames_are_refused(data):
    with pytest.raises(CodecError):
        total_decoder().decode(data)


def test_stand_ins_need_permission():
    for data in (b"G" + u32(0), b"X" + u32(1) + b"A", b"J" + u32(1) + b"A" + b"m" + u32(0)):
        with pytest.raises(CodecError, match="not allowed here"):
            Decoder().decode(data)


def test_bounds_when_writing():
    cyclic = []
    cyclic.append(cyclic)
    laughs = ["ha"] * 10
    for _ in range(9):
        laughs = [laughs] * 10
    for value in (
        cyclic,
        laughs,
        1 << (8 * f.MAX_INT_BYTES),
        "x" * (f.MAX_FRAME + 1),
        [0] * (f.MAX_NODES + 1),
    ):
        with pytest.raises(CodecError):
            Encoder(opaque=True).encode(value)
    with pytest.raises(CodecError, match="type function"):
        Encoder().encode([lambda: 1])


class Sly(int):
    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False

    __hash__ = None


class SlyList(list):
    def __iter__(self):
        return iter("forged")

    def __len__(self):
        return 99


class Colour(enum.Enum):
    RED = 1


class Liar:
    __class__ = int

    def __index__(self):
        return 4

    def __eq__(self, other):
        return True

    __hash__ = None


class Meta(type):
    def __eq__(cls, other):
        return True

    __hash__ = None


class Equal(metaclass=Meta):
    pass


def crossed(value):
    return total_decoder().decode(Encoder(opaque=True).encode(value))


def test_subclasses_arrive_as_the_builtin_that_they_extend():
    number, items = crossed(Sly(3)), crossed(SlyList([1, 2]))
    assert (type(number), number) == (int, 3)
    assert (type(items), items) == (list, [1, 2])
    assert shape(crossed(collections.defaultdict(list, a=[1]))) == shape({"a": [1]})
    assert shape(crossed(collections.namedtuple("P", "x y")(1, 2))) == shape((1, 2))
    assert crossed(collections.Counter("aab")).most_common(1) == [("a", 2)]


@pytest.mark.parametrize(
    "value",
    [Colour.RED, Liar(), Equal, Equal(), lambda: 4, NotImplemented, ..., math],
    # pytest would name some by their address, and xdist needs the same names in each worker.
    ids=["enum", "liar", "class", "object", "function", "NotImplemented", "ellipsis", "module"],
)
def test_anything_else_is_equal_to_nothing_and_has_no_truth(value):
    other = crossed(value)
    assert type(other) is Opaque
    for left, right in ((other, 4), (4, other), ([other], [4]), (other, value)):
        assert operator.eq(left, right) is False
        assert operator.ne(left, right) is True
    with pytest.raises(TypeError):
        bool(other)
    with pytest.raises(TypeError):
        iter(other)
    with pytest.raises(TypeError):
        other < 4  # noqa: B015


def test_views_keep_their_kind():
    source = {1: "a", 2: "b"}
    assert crossed(source.keys()) == {1, 2}
    assert crossed(source.items()) == source.items()
    assert list(crossed(source.values())) == ["a", "b"]
    assert crossed(source.keys()) != [1, 2]


def test_numbers_written_as_text_keep_their_meaning():
    assert crossed(Decimal("1.50")) == Decimal("1.5")
    assert str(crossed(Decimal("1.50"))) == "1.50"
    assert crossed(Decimal("nan")).is_nan()
    assert crossed(Fraction(2, 6)) == Fraction(1, 3)
