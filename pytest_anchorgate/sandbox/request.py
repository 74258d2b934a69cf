"""The arguments of one verification, checked: a caller's mistake is a ValueError, the code's is a verdict."""

from __future__ import annotations

import keyword
import math
from collections.abc import Sequence
from dataclasses import dataclass

MAX_CODE = 1 << 20
MAX_ANCHOR = 1 << 20
MIN_MEMORY_MB = 64
MAX_CALLS = 1 << 30
MAX_INOUT = 64
CPU_SECONDS = 10.0
WALL_SECONDS = 30.0
MEMORY_MB = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One verification. Sources are Python text; limits are per process.

    Attributes:
        min_calls: How many calls have to come back for a pass.
        inout: Positions of arguments whose final contents come back to the test.
    """

    code: str
    entry_point: str
    tests: tuple[str, ...]
    check: str
    setup: str
    prompt: str
    cpu_seconds: int
    wall_seconds: float
    memory_mb: int
    extra: dict[str, str | int | bool] | None = None  # of extra_request, for the judge alone
    min_calls: int = 1
    inout: tuple[int, ...] = ()


def make_request(
    code: str,
    entry_point: str,
    tests: Sequence[str],
    check: str | None,
    setup: str,
    prompt: str,
    cpu_seconds: float,
    wall_seconds: float,
    memory_mb: int,
    min_calls: int = 1,
    inout: Sequence[int] = (),
) -> Request:
    """Check everything that is the caller's own.

    Raises:
        ValueError: What is wrong with which argument, and what it should be.
    """
    if not isinstance(code, str):
        raise ValueError(f"code must be a str, not {type(code).__name__}")
    if not isinstance(entry_point, str) or not entry_point.isidentifier() or keyword.iskeyword(entry_point):
        raise ValueError(f"entry_point must be the name of a function, not {entry_point!a}")
    if isinstance(tests, str):
        raise ValueError("tests must be a list of assert statements, not one str")
    if bool(tests) == bool(check):
        raise ValueError(
            "give either tests (assert statements) or check (source of check(candidate)), not both or none"
        )
    for name, sources in (
        ("tests", tests),
        ("check", [check or ""]),
        ("setup", [setup]),
        ("prompt", [prompt]),
    ):
        _check_sources(name, list(sources))
    for name, limit in (("cpu_seconds", cpu_seconds), ("wall_seconds", wall_seconds)):
        if not (isinstance(limit, (int, float)) and 0 < limit < math.inf):
            raise ValueError(f"{name} must be a positive number of seconds, not {limit!r}")
    if not isinstance(memory_mb, int) or memory_mb < MIN_MEMORY_MB:
        raise ValueError(
            f"memory_mb must be a whole number of MiB, at least {MIN_MEMORY_MB}, not {memory_mb!r}"
        )
    _check_protocol(min_calls, inout)
    return Request(
        code=code,
        entry_point=entry_point,
        tests=tuple(tests),
        check=check or "",
        setup=setup,
        prompt=prompt,
        cpu_seconds=math.ceil(cpu_seconds),
        wall_seconds=float(wall_seconds),
        memory_mb=memory_mb,
        min_calls=min_calls,
        inout=tuple(inout),
    )


def _check_protocol(min_calls: int, inout: Sequence[int]) -> None:
    if type(min_calls) is not int or not 1 <= min_calls <= MAX_CALLS:
        raise ValueError(f"min_calls must be a whole number from 1 to {MAX_CALLS}, not {min_calls!r}")
    if isinstance(inout, str) or not all(type(place) is int and 0 <= place < MAX_INOUT for place in inout):
        raise ValueError(f"inout must list positions of arguments, from 0, not {inout!r}")


def _check_sources(name: str, sources: list[str]) -> None:
    for source in sources:
        if not isinstance(source, str):
            raise ValueError(f"{name} must hold str, not {type(source).__name__}")
        if unreadable(source):
            raise ValueError(f"{name} holds {unreadable(source)}, which is not Python source")
    if sum(map(len, sources)) > MAX_ANCHOR:
        raise ValueError(f"{name} is larger than {MAX_ANCHOR} characters")


def unreadable(source: str) -> str:
    """Why a text cannot be Python source, by plain search; empty if nothing speaks against it."""
    if "\0" in source:
        return "a NUL character"
    try:
        source.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"a lone surrogate (U+{ord(source[error.start]):04X})"
    return ""


def refuse_code(code: str) -> str:
    """Why the code is not even started; empty if it is."""
    if len(code) > MAX_CODE or len(code.encode("utf-8", "surrogatepass")) > MAX_CODE:
        return f"the code is larger than {MAX_CODE >> 20} MiB"
    reason = unreadable(code)
    return f"the code holds {reason}" if reason else ""
