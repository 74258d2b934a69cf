"""Where two JSON values differ first, so that a refusal can name the place."""

from __future__ import annotations

from typing import Any

from pytest_anchorgate.wire import printable

_LONGEST = 60


def first_difference(got: Any, expected: Any, where: str = "") -> str:
    """One line that names the place and both values; "" if the values are the same."""
    if isinstance(got, dict) and isinstance(expected, dict):
        for key in sorted(got.keys() | expected.keys()):
            place = f"{where}.{key}" if where else key
            if key not in got:
                return f"{place} is missing"
            if key not in expected:
                return f"{place} has no place here"
            if found := first_difference(got[key], expected[key], place):
                return found
        return ""
    if isinstance(got, list) and isinstance(expected, list):
        for i, (one, other) in enumerate(zip(got, expected, strict=False)):
            if found := first_difference(one, other, f"{where}[{i}]"):
                return found
        if len(got) != len(expected):
            return f"{where} has {len(got)} entries, {len(expected)} follow"
        return ""
    if type(got) is type(expected) and got == expected:
        return ""
    return f"{where} is {_shown(got)}, but {_shown(expected)} follows"


def _shown(value: Any) -> str:
    return printable(repr(value), _LONGEST)
