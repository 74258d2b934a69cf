"""Observations on their way through pytest's reports.

`user_properties` is the one channel that survives a crash of the worker and reaches JUnit files, but xdist
stops the whole session on anything that is not a plain type, and on a lone surrogate: what goes in is
scrubbed, capped and one ASCII string. What comes out is checked as if a stranger had written it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable
from typing import Any

from pytest_anchorgate.sandbox import LEVELS
from pytest_anchorgate.verdict import SCHEMA, Observation

KEY = "anchorgate"
MAX_TEXT = 65_536
MAX_DETAIL = 16_384
MAX_LINE = 600
MAX_BYTES = 4_000_000
_CAPS = {"text": MAX_TEXT, "detail": MAX_DETAIL}
_INTEGER = 2**31
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")


class WireError(ValueError):
    """Evidence that is not well formed; the message says what is wrong with it."""


def printable(text: str, limit: int, *, lines: bool = False) -> str:
    r"""`text` without anything that could steer a terminal, break a report or exceed `limit` characters.

    Args:
        text: anything, such as the output of a model.
        limit: longest result; what is cut is replaced by an ellipsis.
        lines: keep line feeds and tabs; otherwise they become `\n` and `\t`.
    """
    kept = text[: limit + 1]
    out = "".join(c if _harmless(c, lines) else c.encode("unicode_escape").decode("ascii") for c in kept)
    return out if len(out) <= limit else out[: limit - 1] + "…"


def without_addresses(text: str) -> str:
    """`text` without the places of objects in memory, which differ from run to run."""
    return _ADDRESS.sub("0x...", text)


def encode(observation: Observation) -> tuple[str, str]:
    """The observation as one entry of `user_properties`."""
    fields = dataclasses.asdict(observation)
    for name, value in fields.items():
        if isinstance(value, str):
            fields[name] = printable(value, _CAPS.get(name, MAX_LINE), lines=name in _CAPS)
    return KEY, json.dumps(fields, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def decode(properties: Iterable[tuple[str, object]]) -> Observation | None:
    """The observation in a report's `user_properties`, None if there is none.

    Raises:
        WireError: if there is more than one, or it is not exactly what `encode` writes.
    """
    found = [value for key, value in properties if key == KEY]
    if not found:
        return None
    if len(found) > 1:
        raise WireError(f"{len(found)} observations in one report")
    text = found[0]
    if not isinstance(text, str) or len(text) > MAX_BYTES:
        raise WireError("the observation is not a string of acceptable size")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError(f"the observation is not JSON: {error}") from None
    return _validated(fields)


def _validated(fields: Any) -> Observation:
    expected = {field.name: str(field.type) for field in dataclasses.fields(Observation)}
    if not isinstance(fields, dict) or fields.keys() != expected.keys():
        raise WireError("the observation has other keys than this release writes")
    if fields["schema"] != SCHEMA:
        raise WireError(f"the observation has schema {fields['schema']!r}, expected {SCHEMA}")
    for name, kind in expected.items():
        if not _CHECKS[kind](fields[name]):
            raise WireError(f"{name} of the observation is not of type {kind}")
    _check_level(fields["level"], fields["status"])
    fields["token_ids"] = tuple(fields["token_ids"])
    fields["margins"] = tuple(map(float, fields["margins"]))
    return Observation(**fields)


def _check_level(level: str, status: str) -> None:
    if level not in ("", *LEVELS):
        raise WireError("level of the observation is none that the sandbox has")
    if status == "passed" and not level:
        raise WireError("the observation passed without a level of the sandbox")


def is_token_ids(value: object) -> bool:
    """Whether this is a list of plain integers that can be token ids."""
    return isinstance(value, list) and all(type(v) is int and 0 <= v < _INTEGER for v in value)


def is_margins(value: Any) -> bool:
    """Whether this is a list of finite numbers, none of them negative."""
    return isinstance(value, list) and all(
        type(v) in (int, float) and math.isfinite(v) and v >= 0 for v in value
    )


_CHECKS = {
    "str": lambda v: isinstance(v, str),
    "int": lambda v: type(v) is int,
    "float": lambda v: type(v) in (int, float) and math.isfinite(v),
    "tuple[int, ...]": is_token_ids,
    "tuple[float, ...]": is_margins,
}


def _harmless(char: str, lines: bool) -> bool:
    return char.isprintable() or (lines and char in "\n\t")
