"""Measures on what one pack's weight became in another: rank above the rounding floor, exact replay, dose.

Rounding to BF16 makes every difference full rank, so a plain rank says nothing. What rounding adds is noise of a
known size, and only singular values that stand out of it come from adapters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_anchorgate.packs.adapter import LowRank
from pytest_anchorgate.packs.bf16 import BF16Bits, widen_bf16
from pytest_anchorgate.packs.merge import merged_rows

# A child was rounded once since its parent, a sibling's difference holds two roundings, a generation more a third: the
# square root of three, and a few per cent by which a norm may exceed the bound on its mean.
_MARGIN = 1.8
_MAGNITUDE = np.uint16(0x7FFF)
_LARGEST_FINITE = np.uint16(0x7F7F)


@dataclass(frozen=True, slots=True)
class Replay:
    """An adapter merged anew, beside what stands in the child.

    Attributes:
        differing: elements whose bits differ; `neighbours`: those of them that are one BF16 apart.
        overlap: <D, E> and `energy`: <E, E>, D being the difference and E what the adapter should add;
            `change`: <D, D>.
    """

    elements: int
    differing: int
    neighbours: int
    overlap: float
    energy: float
    change: float

    def __add__(self, other: Replay) -> Replay:
        pairs = ((getattr(self, name), getattr(other, name)) for name in Replay.__slots__)
        return Replay(*(a + b for a, b in pairs))

    @property
    def dose(self) -> float:
        """How many times the adapter was added: the c that minimises |D - c E|."""
        return self.overlap / self.energy if self.energy else 0.0

    @property
    def residual(self) -> float:
        """The part of the difference that no dose of the adapter explains: |D - c E| / |D|, from 0 to 1."""
        if not self.change:
            return 0.0
        return math.sqrt(max(0.0, 1 - self.dose * self.overlap / self.change))


def rank_above_rounding(parent: BF16Bits, child: BF16Bits) -> int:
    """How many singular values of child - parent are larger than rounding the child to BF16 can make them.

    Rounding adds independent errors, uniform over one spacing: variance spacing^2 / 12 an element. The norm of such a
    matrix is in the mean at most the largest norm of a row plus that of a column of the standard deviations
    (Bandeira and van Handel, https://doi.org/10.1214/15-AOP1025, but for a small term). A difference so small that
    it hides in the rounding is counted with too few ranks, never with too many. Both are BF16 bits [m, n].
    """
    difference = widen_bf16(child).astype(np.float64) - widen_bf16(parent)
    if not difference.any():
        return 0
    spread = np.square(_spacing(child).astype(np.float64)) / 12
    floor = math.sqrt(spread.sum(axis=1).max()) + math.sqrt(spread.sum(axis=0).max())
    if difference.shape[0] > difference.shape[1]:
        difference = difference.T
    # Squares of the singular values; the floor is far above what squaring loses in a double.
    squares = np.linalg.eigvalsh(difference @ difference.T)
    return int(np.count_nonzero(squares > (_MARGIN * floor) ** 2))


def replay(parent: BF16Bits, child: BF16Bits, part: LowRank, scale: str) -> Replay:
    """Merges `part` into the parent's weight [m, n] once more and compares."""
    wanted = merged_rows(parent, part, scale, 0)
    other = wanted != child
    added = (part.b.astype(np.float64) @ part.a) * (float(scale) * part.scaling)
    difference = widen_bf16(child).astype(np.float64) - widen_bf16(parent)
    return Replay(
        elements=child.size,
        differing=int(other.sum()),
        neighbours=int(np.count_nonzero(np.abs(_ordered(wanted)[other] - _ordered(child)[other]) <= 1)),
        overlap=float(np.vdot(difference, added)),
        energy=float(np.vdot(added, added)),
        change=float(np.vdot(difference, difference)),
    )


def _spacing(bits: BF16Bits) -> npt.NDArray[np.float32]:
    """From each value to the next larger magnitude."""
    low = np.minimum(bits & _MAGNITUDE, _LARGEST_FINITE - np.uint16(1))
    gap: npt.NDArray[np.float32] = widen_bf16(low + np.uint16(1)) - widen_bf16(low)
    return gap


def _ordered(bits: BF16Bits) -> npt.NDArray[Any]:
    """Integers in the order of the values, neighbours one apart, -0 and +0 equal."""
    magnitude = (bits & _MAGNITUDE).astype(np.int32)
    ordered: npt.NDArray[Any] = np.where(bits & ~_MAGNITUDE, -magnitude, magnitude)
    return ordered
