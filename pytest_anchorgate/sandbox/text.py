"""Showing text that a generated program had a hand in: printable ASCII on one line, bounded, never raw.

Raw text could move a terminal's cursor, end a JUnit CDATA section or issue `::` commands to a CI runner.
"""

from __future__ import annotations

import reprlib

REASON_CHARS = 2048
DETAIL_CHARS = 8192
VALUE_CHARS = 400


def escape(text: str, limit: int = REASON_CHARS) -> str:
    r"""`text` as printable ASCII on one line (`\n`, `\x1b`, `\u202e`), at most `limit` characters."""
    cut = text[: limit + 1]
    shown = "".join(c if " " <= c <= "~" else ascii(c)[1:-1] for c in cut)
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def source_line(source: str, limit: int = VALUE_CHARS) -> str:
    """Source code of a test on one line, runs of white space folded."""
    return escape(" ".join(source.split()), limit)


def lines(*parts: str) -> str:
    """A multi-line detail from parts that are already escaped; empty parts are left out."""
    return "\n".join(part for part in parts if part)[:DETAIL_CHARS]


class _Show(reprlib.Repr):
    """repr with bounded width and depth, so that a large value costs little."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 8
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = self.maxdict = 24
        self.maxstring = self.maxother = self.maxlong = 160

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002
        """Large integers by size: turning them into decimals is slow, and refused above 4300 digits."""
        return f"<int of {x.bit_length()} bits>" if x.bit_length() > 1024 else str(x)


def show(value: object, limit: int = VALUE_CHARS) -> str:
    """A bounded, escaped repr. For the judge's own objects only: it trusts their `__repr__`."""
    try:
        return escape(_Show().repr(value), limit)
    except Exception as error:
        return f"<{type(value).__name__} whose repr raised {type(error).__name__}>"


def show_typed(value: object, limit: int = VALUE_CHARS) -> str:
    """`show` with the type's name behind it: `4 (int)`; None and objects that name themselves stay alone."""
    shown = show(value, limit)
    return shown if value is None or shown.startswith("<") else f"{shown} ({type(value).__name__})"
