"""The panel layout `kpair16/1`: weights in the order in which the kernels read them.

A panel is 16 output rows. Within it come the pairs of consecutive inputs, and for each pair the 16 rows: one
cell of 16 x 2 BF16 is 64 bytes, one cache line, and the kernel reads a panel from front to back. Rows that
fill up the last panel are +0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_anchorgate.packs.bf16 import BF16Bits

LAYOUT = "kpair16/1"
PANEL_ROWS = 16


def panel_shape(rows: int, columns: int) -> tuple[int, int, int, int]:
    """The stored shape [ceil(N/16), K/2, 16, 2] of a logical [N, K]; K is even."""
    if columns % 2:
        raise ValueError(f"panels need an even number of columns, not {columns}")
    return (-(-rows // PANEL_ROWS), columns // 2, PANEL_ROWS, 2)


def to_panels(bits: BF16Bits) -> BF16Bits:
    """Logical [N, K] to panels [ceil(N/16), K/2, 16, 2]; a new contiguous array."""
    import numpy as np  # here: a pack's header is read without it (header.py)

    rows, columns = bits.shape
    shape = panel_shape(rows, columns)
    whole = shape[0] * PANEL_ROWS
    if whole != rows:
        padded = np.zeros((whole, columns), np.uint16)
        padded[:rows] = bits
        bits = padded
    # A pair moves as one 32-bit word: half as many elements to copy.
    pairs = np.ascontiguousarray(bits).view(np.uint32).reshape(shape[0], PANEL_ROWS, shape[1])
    return np.ascontiguousarray(pairs.transpose(0, 2, 1)).view(np.uint16).reshape(shape)


def from_panels(panels: BF16Bits, rows: int) -> BF16Bits:
    """The logical [N, K] again, contiguous; `rows` is N, the rows of padding after it are dropped."""
    import numpy as np

    count, pairs, _, _ = panels.shape
    words = np.ascontiguousarray(panels).view(np.uint32).reshape(count, pairs, PANEL_ROWS)
    logical = np.ascontiguousarray(words.transpose(0, 2, 1)).view(np.uint16)
    return logical.reshape(count * PANEL_ROWS, pairs * 2)[:rows]


def padding_is_zero(panels: BF16Bits, rows: int) -> bool:
    """Whether the rows of the last panel beyond the logical `rows` hold nothing but +0."""
    used = rows - (panels.shape[0] - 1) * PANEL_ROWS
    return not panels[-1, :, used:, :].any()
