"""Runs an answer to a LiveCodeBench task, in the candidate's process of the sandbox.

The text of this module is sent there in front of the answer's (see livecode_judge.py), so it imports the standard
library alone. It holds no test: it is given an input and hands back what the answer makes of it, and the answer
may do with it what it likes.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import sys
import types
from collections.abc import Callable
from typing import Any

# Answers rely on what the published evaluation imports for them, in this order:
# https://github.com/LiveCodeBench/LiveCodeBench/blob/main/lcb_runner/evaluation/testing_util.py
_STARRED = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json", "builtins", "typing"),
)
_NAMED = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json"),
)
_RECURSION = 50_000


class _Kept(io.BytesIO):
    """Bytes that are still there after a program has closed the file."""

    def close(self) -> None:
        pass


def run_program(source: str, given: str) -> str:
    """Runs a program with `given` on its standard input; returns what it wrote to its standard output."""
    written = _Kept()
    out = io.TextIOWrapper(written, encoding="utf-8", errors="replace", newline="\n")
    before = sys.stdin, sys.stdout
    sys.stdin, sys.stdout = io.TextIOWrapper(io.BytesIO(given.encode()), encoding="utf-8"), out
    try:
        _execute(source, "__main__")
        _wait_for_threads()
    except SystemExit:
        pass  # the usual way to leave a program early
    finally:
        sys.stdin, sys.stdout = before
    with contextlib.suppress(ValueError):  # closed by the program
        out.flush()
    return written.getvalue().decode("utf-8", "replace")


def load_solution(source: str, name: str) -> Callable[..., Any]:
    """Returns the method `name` of the answer's class Solution, or its function of that name."""
    space = _execute(source, "solution")
    owner = space.get("Solution")
    found: Callable[..., Any] = getattr(owner(), name) if owner is not None else space[name]
    return found


def _execute(source: str, name: str) -> dict[str, Any]:
    module = types.ModuleType(name)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up there
    space = module.__dict__
    space["__builtins__"] = builtins
    sys.setrecursionlimit(_RECURSION)
    for lines in (
        *(f"from {name} import *" for name in _STARRED),
        *(f"import {name}" for name in _NAMED),
    ):
        with contextlib.suppress(ImportError):  # where the sandbox lets nothing be imported later
            exec(lines, space)
    space["open"] = _open
    exec(compile(source, "<answer>", "exec", dont_inherit=True), space)
    return space


def _open(file: Any, *args: Any, **kwargs: Any) -> Any:
    """As `open`, but 0 is the standard input that the program was given."""
    if type(file) is int and file == 0:
        return sys.stdin
    return builtins.open(file, *args, **kwargs)  # noqa: PTH123 - it stands in for this very function


def _wait_for_threads() -> None:
    """Programs start a thread to get a larger stack, and not all wait for it."""
    threading = sys.modules.get("threading")
    if threading is None:
        return
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
