"""The panel layout against its definition, element by element."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_anchorgate.packs.panels import from_panels, padding_is_zero, panel_shape, to_panels

shapes = st.tuples(st.integers(1, 50), st.integers(1, 20).map(lambda half: 2 * half))


def numbered(rows: int, columns: int) -> np.ndarray:
    return np.arange(1, rows * columns + 1, dtype=np.uint16).reshape(rows, columns)


@given(shapes)
def test_each_element_lies_where_the_definition_says(shape):
    logical = numbered(*shape)
    panels = to_panels(logical)
    assert panels.shape == panel_shape(*shape)
    assert panels.flags.c_contiguous
    for (panel, pair, row, half), value in np.ndenumerate(panels):
        n, k = 16 * panel + row, 2 * pair + half
        assert value == (logical[n, k] if n < shape[0] else 0)


@given(shapes)
def test_round_trip(shape):
    logical = numbered(*shape)
    panels = to_panels(logical)
    assert np.array_equal(from_panels(panels, shape[0]), logical)
    assert padding_is_zero(panels, shape[0])


def test_dirt_in_the_padding_is_seen():
    panels = to_panels(numbered(17, 4))
    panels[1, 0, 1, 0] = 0x8000  # -0 is not +0
    assert not padding_is_zero(panels, 17)
    assert padding_is_zero(panels, 18), "in a matrix of 18 rows that place is a weight"


def test_an_odd_number_of_columns_is_refused():
    with pytest.raises(ValueError, match="even number of columns, not 3"):
        to_panels(numbered(16, 3))
