"""What the card says was expected where the candidate's call raised."""

from __future__ import annotations

import pytest

from pytest_anchorgate.reports.expected import expected_by


@pytest.mark.parametrize(
    ("test", "wanted"),
    [
        ("assert add(1, 2) == 3", "3"),
        ("assert [1, 'a'] == f()", "[1, 'a']"),
        ("assert f((1, 2)) == -1.5", "-1.5"),
        ("assert f([1, 1]) is True", "True"),
        ("assert f(3)", "a true value"),
        ("assert not f(3)", "a false value"),
        ("assert f(1) == g(1)", ""),
        ("assert f(1) == set([1])", ""),
        ("assert abs(f(1) - 2) < 1e-6", ""),
        ("assert 1 < f(1) < 3", ""),
        ("assert f(1) == [1, 2, ...", ""),
        ("f(1)", ""),
        ("assert f(1) == 1; assert f(2) == 2", ""),
        ("", ""),
        ("\0", ""),
        ("assert " + "(" * 5000 + ")" * 5000, ""),
    ],
)
def test_the_side_that_calls_nothing_is_what_was_expected(test: str, wanted: str) -> None:
    assert expected_by(test) == wanted
