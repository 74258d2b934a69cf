"""Verifies an answer to a LiveCodeBench task in the sandbox, which knows functions only.

A program that reads standard input becomes a function from its input to its output: the answer travels as a text
inside a program of ours that runs it with other streams (livecode_program.py). The tests stay with the judge, where
they always are, and what comes back is plain text as from any other function; so nothing of the sandbox's promise
is given up for it. Tasks with a method are reached through a function of the same program.
"""

from __future__ import annotations

import base64
import functools
import inspect
import json
import time
import types
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pytest_anchorgate.bench import livecode_compare, livecode_program
from pytest_anchorgate.bench.livecode_format import Case, Problem
from pytest_anchorgate.extract import extract
from pytest_anchorgate.sandbox import Verdict, verify

__all__ = ["judge_problem"]

_ENTRY = "answer"
# How the sandbox begins what it says of the last of `_tests`; people count the tests of the task.
_LOOP_FAILED = "test 3 failed: "
# As the published evaluation allows for each test.
_SECONDS_A_TEST = 6
# Several tests share a pair of processes. The first runs alone: most wrong answers end there, the endless ones too.
_TESTS_TOGETHER = 10
_GRACE_SECONDS = 20.0
# The sandbox takes sources of 1 MiB; the rest is for the comparison's own text.
_MOST_PACKED = 1_000_000


def judge_problem(problem: Problem, text: str, *, require: str | None = None) -> Verdict:
    """Verifies what a model wrote; if the sandbox itself fails, the verdict is "error", so undecided.

    Args:
        problem: the task.
        text: the model's answer, code blocks and all.
        require: the weakest confinement to accept; None for any.
    """
    started = time.monotonic()
    code = extract(text, _wanted_name(problem))
    if not code:
        return Verdict("failed", "the answer holds no code")
    try:
        verdict = _judge(problem, _program(problem, code), require)
    except Exception as error:
        # Whatever it is, it says nothing about the answer and must not end the run.
        verdict = Verdict("error", f"the sandbox failed: {type(error).__name__}: {error}")
    return replace(verdict, duration=time.monotonic() - started)


def _judge(problem: Problem, program: str, require: str | None) -> Verdict:
    done = 0
    verdict = Verdict("error", "it has no tests")
    for packed, tests in _packed(problem.tests):
        if not packed:
            reason = f"test {done + 1} of {len(problem.tests)} is larger than the sandbox takes"
            return Verdict("error", reason)
        seconds = _SECONDS_A_TEST * len(tests)
        verdict = verify(
            program,
            entry_point=_ENTRY,
            tests=_tests(packed, "same_value" if problem.function else "same_output"),
            cpu_seconds=seconds,
            wall_seconds=2 * seconds + _GRACE_SECONDS,
            min_calls=len(tests),
            require=require,
        )
        if not verdict.passed:
            number = min(done + max(verdict.calls, 1), len(problem.tests))
            if verdict.status in ("timeout", "killed"):
                number = done + verdict.calls + 1  # the call that it happened in did not come back
            said = verdict.reason.removeprefix(_LOOP_FAILED)
            return replace(verdict, reason=f"test {number} of {len(problem.tests)}: {said}")
        done += len(tests)
    return replace(verdict, reason=f"all {done} tests")


def _wanted_name(problem: Problem) -> str:
    if not problem.function:
        return "main"
    return "Solution" if "class Solution" in problem.starter_code else problem.function


def _program(problem: Problem, code: str) -> str:
    """The answer inside our program; `repr` makes one literal of it, whatever it holds."""
    if problem.function:
        ending = (
            f"_METHOD = load_solution(_SOURCE, {problem.function!r})\n\n\n"
            f"def {_ENTRY}(given):\n    return _METHOD(*given)\n"
        )
    else:
        ending = f"def {_ENTRY}(given):\n    return run_program(_SOURCE, given)\n"
    return f"{_source(livecode_program)}\n\n_SOURCE = {code!r}\n\n\n{ending}"


def _tests(packed: str, same: str) -> tuple[str, ...]:
    """The comparison, the data and the loop, each a source of its own: a failure is described from its source."""
    return (
        _source(livecode_compare),
        f"_TESTS = {packed!r}",
        "for given, wanted in unpack(_TESTS):\n"
        f"    got = {_ENTRY}(given)\n"
        f"    if not {same}(got, wanted):\n"
        "        assert got == wanted\n"
        "        raise AssertionError('not the same')\n",
    )


def _packed(tests: Sequence[Case]) -> Iterator[tuple[str, Sequence[Case]]]:
    """The tests in groups that fit into a source, each packed; "" for one that does not fit even alone."""
    first = 0
    together = 1
    while first < len(tests):
        group = tests[first : first + together]
        packed = _pack(group)
        if len(packed) > _MOST_PACKED and len(group) > 1:
            together = len(group) // 2
            continue
        yield ("" if len(packed) > _MOST_PACKED else packed), group
        first += len(group)
        together = _TESTS_TOGETHER


def _pack(tests: Sequence[Case]) -> str:
    text = json.dumps([[test.given, test.wanted] for test in tests])
    return base64.b64encode(zlib.compress(text.encode())).decode("ascii")


@functools.cache
def _source(module: types.ModuleType) -> str:
    return inspect.getsource(module)
