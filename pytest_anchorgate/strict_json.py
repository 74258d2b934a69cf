"""JSON in one form: written so that a diff of it can be read, and read as if a stranger had written it."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from typing import Any

_HEX = re.compile(r"[0-9a-f]{64}")


class Malformed(ValueError):
    """What is wrong with a value, named by its place."""


def loads(text: str) -> Any:
    """The value of a JSON text; a key that stands there twice, NaN and bottomless nesting are errors.

    Raises:
        Malformed: saying what is wrong.
    """
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None


def dump(value: Any, depth: int = 0) -> str:
    """JSON with sorted keys and one space of indentation a level; a list of numbers stays in its row."""
    inner, outer = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict) and value:
        lines = [
            f"{json.dumps(key, ensure_ascii=False)}: {dump(value[key], depth + 1)}" for key in sorted(value)
        ]
        return "{" + inner + f",{inner}".join(lines) + outer + "}"
    if isinstance(value, list) and value and not isinstance(value[0], (int, float)):
        return "[" + inner + f",{inner}".join(dump(entry, depth + 1) for entry in value) + outer + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def shortest_float32(value: float) -> float:
    """The float with the fewest digits that is the same float32, so that its repr is the float32's shortest.

    Raises:
        OverflowError: if it does not fit a float32.
    """
    packed = struct.pack("<f", value)
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        try:
            if struct.pack("<f", short) == packed:
                return short
        except OverflowError:
            continue  # rounded to few digits, the largest values leave float32's range
    return value


def demand_object(value: Any, where: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """An object with exactly these keys. Raises Malformed."""
    demand(isinstance(value, dict), where, "an object")
    missing, surplus = [k for k in keys if k not in value], [k for k in value if k not in keys]
    if missing or surplus:
        raise Malformed(
            f"{where} lacks {missing[0]!r}" if missing else f"{where} has an unknown key {surplus[0]!r}"
        )
    return dict(value)


def demand_text(entry: Mapping[str, Any], key: str, where: str) -> str:
    """A string. Raises Malformed."""
    demand(isinstance(entry[key], str), f"{where}.{key}", "a string")
    return str(entry[key])


def demand_sha256(entry: Mapping[str, Any], key: str, where: str) -> str:
    """A sha256 in lower-case hex. Raises Malformed."""
    value = entry[key]
    demand(isinstance(value, str) and _HEX.fullmatch(value) is not None, f"{where}.{key}", "a sha256 in hex")
    return str(value)


def demand(condition: bool, where: str, what: str) -> None:
    """Raises Malformed, naming `where` and `what` it should be, unless the condition holds."""
    if not condition:
        raise Malformed(f"{where} is not {what}")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} stands there twice")
    return out


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is not a number that JSON has")
