"""Compares an answer with what a LiveCodeBench task expects, in the judge's process of the sandbox.

The text of this module is sent there in front of the tests (see livecode_judge.py), so it imports the standard
library alone. What counts as equal is what the published evaluation counts as equal:
https://github.com/LiveCodeBench/LiveCodeBench/blob/main/lcb_runner/evaluation/testing_util.py
"""

from __future__ import annotations

import base64
import decimal
import json
import zlib
from typing import Any


def unpack(packed: str) -> Any:
    """What `pack` packed: JSON, squeezed, because a source may only be so long."""
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def same_output(got: object, wanted: str) -> bool:
    """Whether two outputs have the same lines, white space at their ends aside, or lines of equal numbers."""
    if not isinstance(got, str):
        return False
    lines, wanted_lines = _lines(got), _lines(wanted)
    return len(lines) == len(wanted_lines) and all(map(_same_line, lines, wanted_lines))


def same_value(got: object, wanted: object) -> bool:
    """Whether two values are equal; a tuple may stand where JSON could only say list."""
    return (list(got) if isinstance(got, tuple) else got) == wanted


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n")]


def _same_line(got: str, wanted: str) -> bool:
    if got == wanted:
        return True
    try:
        return [decimal.Decimal(word) for word in got.split()] == [
            decimal.Decimal(word) for word in wanted.split()
        ]
    except decimal.InvalidOperation:
        return False
