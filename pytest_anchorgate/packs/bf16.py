"""BF16 as its 16 bits in numpy, which has no such type.

A BF16 is the upper half of the F32 with the same value, so widening is exact and narrowing is one rounding.
A pack rounds each source weight exactly once, to nearest, ties to even, which is what hardware and every
framework do: rounding twice (say F32 to F16 to BF16) can land one step away.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BF16Bits = npt.NDArray[np.uint16]

_ABS32 = np.uint32(0x7FFFFFFF)
# The smallest magnitude that no longer rounds to a finite BF16: halfway between the largest BF16 (odd
# mantissa) and 2^128.
_FIRST_LOST = 0x7F7F8000
_INFINITY16 = 0x7F80


class NotFiniteError(ValueError):
    """A value has no finite BF16: it is NaN, an infinity, or rounds to one. `index` is its flat position."""

    def __init__(self, index: int, value: float) -> None:
        super().__init__(f"element {index} is {value!r}, which has no finite BF16 value")
        self.index = index
        self.value = value


def round_to_bf16(values: npt.NDArray[Any]) -> BF16Bits:
    """The bits of the BF16 nearest to each value, ties to even; same shape as `values`.

    Args:
        values: F32, or F16 (which is widened exactly first). Any shape.

    Raises:
        NotFiniteError: if a value is NaN or infinite, or so large that it would round to infinity.
        TypeError: if `values` has another dtype; F64 would need a rounding of its own.
    """
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    if values.dtype != np.float32:
        raise TypeError(f"cannot round {values.dtype} to BF16: F32 or F16 is needed")
    bits = np.ascontiguousarray(values).view(np.uint32)
    lost = (bits & _ABS32) >= _FIRST_LOST
    if lost.any():
        index = int(np.argmax(lost))
        raise NotFiniteError(index, float(values.reshape(-1)[index]))
    rounded = bits >> np.uint32(16)
    rounded &= np.uint32(1)
    rounded += np.uint32(0x7FFF)
    rounded += bits
    rounded >>= np.uint32(16)
    out: BF16Bits = rounded.astype(np.uint16)
    return out


def require_finite_bf16(bits: BF16Bits) -> None:
    """Raises NotFiniteError for the first NaN or infinity among BF16 bits."""
    lost = (bits & np.uint16(0x7FFF)) >= _INFINITY16
    if lost.any():
        index = int(np.argmax(lost))
        raise NotFiniteError(index, float(widen_bf16(bits.reshape(-1)[index : index + 1])[0]))


def widen_bf16(bits: BF16Bits) -> npt.NDArray[np.float32]:
    """The F32 of exactly the same value for each BF16, same shape."""
    wide = bits.astype(np.uint32)
    wide <<= np.uint32(16)
    return wide.view(np.float32)
