"""The extra inputs of one verification: the caller's arguments checked, and the seed they are drawn from.

Listed tests can be answered from a table. An anchor that also carries a reference solution and a generator of
inputs is checked on inputs that nobody wrote down: see `extra_inputs`, which runs in the judge.
"""

from __future__ import annotations

import hashlib
import json
from typing import TypeAlias

from .request import MAX_ANCHOR, Request, unreadable

EXTRA_INPUTS = 30
MAX_EXTRA_INPUTS = 1000

Extra: TypeAlias = "dict[str, str | int | bool]"


def make_extra(
    request: Request, reference: str | None, inputs: str | None, exact_types: bool, extra_inputs: int
) -> Extra | None:
    """Check what was asked for beyond the listed tests.

    Args:
        request: The rest of the verification.
        reference: Source of a right solution.
        inputs: Source of `inputs(random)`.
        exact_types: Whether the types of the answers count beyond `==`.
        extra_inputs: How many inputs to draw, at most.

    Returns:
        Plain data for the judge, or None if the anchor has no reference.

    Raises:
        ValueError: What is wrong with which argument, and what it should be.
    """
    if not isinstance(exact_types, bool):
        raise ValueError(f"exact_types must be True or False, not {exact_types!r}")
    whole = isinstance(extra_inputs, int) and not isinstance(extra_inputs, bool)
    if not whole or not 1 <= extra_inputs <= MAX_EXTRA_INPUTS:
        raise ValueError(
            f"extra_inputs must be a whole number from 1 to {MAX_EXTRA_INPUTS}, not {extra_inputs!r}"
        )
    if reference is None and inputs is None:
        if exact_types:
            raise ValueError("exact_types needs a reference and inputs: listed tests compare by themselves")
        return None
    if reference is None or inputs is None:
        raise ValueError("give both reference and inputs, or none of the two")
    for name, source in (("reference", reference), ("inputs", inputs)):
        _check_source(name, source)
    return {
        "reference": reference,
        "inputs": inputs,
        "exact_types": exact_types,
        "count": extra_inputs,
        "seed": _seed(request, reference, inputs, exact_types),
    }


def _check_source(name: str, source: object) -> None:
    if not isinstance(source, str):
        raise ValueError(f"{name} must be a str, not {type(source).__name__}")
    if unreadable(source):
        raise ValueError(f"{name} holds {unreadable(source)}, which is not Python source")
    if not source.strip() or len(source) > MAX_ANCHOR:
        raise ValueError(f"{name} must hold 1 to {MAX_ANCHOR} characters of Python source")


def _seed(request: Request, reference: str, inputs: str, exact_types: bool) -> str:
    """Where the drawing starts: 64 hex digits.

    A verdict must be the same in every run and on every machine, so this is no secret and no clock: it follows
    from what the anchor asks and from the code that is judged. As the code is part of it, no set of inputs
    exists before the code does, and a table made for one program's inputs is another program with others.
    """
    asked = [request.entry_point, request.tests, request.check, request.setup, request.prompt]
    anchor = json.dumps([*asked, reference, inputs, exact_types]).encode("ascii")
    code = request.code.encode("utf-8", "surrogatepass")
    return hashlib.sha256(hashlib.sha256(anchor).digest() + hashlib.sha256(code).digest()).hexdigest()
