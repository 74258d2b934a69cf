"""Rounding to BF16 against exact rational arithmetic, which shares nothing with the bit tricks under test."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_anchorgate.packs.bf16 import NotFiniteError, require_finite_bf16, round_to_bf16, widen_bf16

_LARGEST = Fraction(255, 128) * 2**127


def exact(bits: int) -> Fraction:
    """The value of a finite BF16 from the definition of its three fields."""
    sign, exponent, mantissa = bits >> 15, (bits >> 7) & 0xFF, bits & 0x7F
    if exponent:
        magnitude = Fraction(128 + mantissa, 128) * Fraction(2) ** (exponent - 127)
    else:
        magnitude = Fraction(mantissa, 128) * Fraction(2) ** -126
    return -magnitude if sign else magnitude


def float_of(bits: int) -> np.ndarray:
    return np.array([bits], np.uint32).view(np.float32)


@given(st.integers(0, 2**32 - 1))
@example(0x3F808000)  # tie, even below
@example(0x3F818000)  # tie, even above
@example(0x00008000)  # tie between zero and the smallest subnormal
@example(0x80000001)  # rounds to -0
@example(0x007FFFFF)  # subnormal that rounds to a normal
@example(0x7F7F7FFF)  # the largest that still rounds to a finite value
@example(0x7F7F8000)  # the first that does not
@example(0xFFFFFFFF)  # a NaN whose bits overflow when rounded
def test_the_nearest_bf16_and_on_a_tie_the_even_one(bits):
    value = float_of(bits)
    if not np.isfinite(value[0]) or abs(Fraction(float(value[0]))) >= _LARGEST + Fraction(1, 256) * 2**127:
        with pytest.raises(NotFiniteError):
            round_to_bf16(value)
        return
    got = int(round_to_bf16(value)[0])
    wanted = Fraction(float(value[0]))
    assert got >> 15 == bits >> 31, "the sign is kept, also of a zero"
    distance = abs(exact(got) - wanted)
    for neighbour in (got - 1, got + 1):
        if neighbour >> 15 == got >> 15 and (neighbour >> 7) & 0xFF != 0xFF:
            other = abs(exact(neighbour) - wanted)
            assert distance < other or (distance == other and got % 2 == 0)


@given(st.integers(0, 2**16 - 1))
def test_widening_is_exact_and_rounding_gives_the_same_bits_back(bits):
    array = np.array([bits], np.uint16)
    if (bits >> 7) & 0xFF == 0xFF:
        with pytest.raises(NotFiniteError):
            require_finite_bf16(array)
        return
    wide = widen_bf16(array)
    assert Fraction(float(wide[0])) == exact(bits)
    assert round_to_bf16(wide)[0] == bits
    require_finite_bf16(array)


@given(st.integers(0, 2**16 - 1))
def test_f16_is_rounded_once_from_its_exact_value(bits):
    half = np.array([bits], np.uint16).view(np.float16)
    if np.isfinite(half[0]):
        assert round_to_bf16(half)[0] == round_to_bf16(half.astype(np.float32))[0]


def test_a_value_that_is_lost_is_named_by_its_position():
    values = np.zeros((3, 4), np.float32)
    values[1, 2] = np.nan
    with pytest.raises(NotFiniteError, match="element 6 is nan") as caught:
        round_to_bf16(values)
    assert caught.value.index == 6


def test_f64_is_refused_because_it_would_round_twice():
    with pytest.raises(TypeError, match="float64"):
        round_to_bf16(np.zeros(2))


def test_the_input_is_left_alone():
    values = np.array([1.00390625, -3.0], np.float32)
    before = values.copy()
    round_to_bf16(values)
    assert np.array_equal(values, before)
