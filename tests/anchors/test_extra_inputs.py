"""Extra inputs: what the listed tests let through fails against the reference, and honest code does not."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_anchorgate.sandbox import Verdict, verify

REFERENCE = "def f(x):\n    x.sort()\n    return [v + 1 for v in x]\n"
INPUTS = """
def inputs(random):
    while True:
        yield ([random.randint(0, 9) for _ in range(random.randint(2, 5))],)
"""
HONEST = "def f(x):\n    return sorted(v + 1 for v in x)"


def judged(code: str, **changes: Any) -> Verdict:
    given = {"tests": ["assert f([1]) == [2]"], "reference": REFERENCE, "inputs": INPUTS}
    return verify(code, entry_point="f", **{**given, **changes})


def test_an_honest_answer_passes_and_every_input_is_a_call() -> None:
    verdict = judged(HONEST)
    assert verdict.passed, verdict.reason
    assert verdict.calls == 31
    assert judged(HONEST, extra_inputs=4).calls == 5
    assert judged(HONEST, extra_inputs=1000).calls == 1001


def test_a_table_of_the_listed_tests_fails() -> None:
    table = "def f(x):\n    return {(1,): [2]}.get(tuple(x), [])"
    assert judged(table, reference=None, inputs=None).passed
    verdict = judged(table)
    assert verdict.status == "failed"
    assert verdict.reason.startswith("extra input 1 failed: f([")
    assert "got [] (list), expected [" in verdict.reason
    assert verdict.test.startswith("f([")
    assert verdict.got == "[] (list)"
    assert verdict.expected.endswith(" (list)")
    first, got, expected, *others = verdict.detail.split("\n")
    assert first == f"extra input 1: {verdict.test}"
    assert got == "got:      [] (list)"
    assert expected == f"expected: {verdict.expected}"
    assert others[-1] == "calls that came back: 2"
    assert len(others) == 2


def test_a_listed_test_speaks_first() -> None:
    assert judged("def f(x):\n    return []").reason.startswith("test 1 failed")


def test_the_drawing_follows_from_anchor_and_code_alone() -> None:
    code = "def f(x):\n    return [2]"
    first = judged(code)
    assert judged(code).reason == first.reason
    assert judged(code + "\n# another program").reason != first.reason
    assert judged(code, reference=REFERENCE + "# another anchor").reason != first.reason


def test_neither_side_changes_what_the_other_is_given() -> None:
    assert judged("def f(x):\n    x.sort()\n    y = [v + 1 for v in x]\n    x.clear()\n    return y").passed
    shared = (
        "def inputs(random):\n    x = [3, 1]\n    for _ in range(3):\n        yield (x,)\n        x.append(2)"
    )
    verdict = judged(HONEST, inputs=shared)
    assert verdict.passed, verdict.reason
    assert verdict.calls == 4


def test_the_reference_stays_with_the_judge() -> None:
    search = """
import gc

def f(x):
    wanted = "".join(["QX", "KZ"])
    for thing in gc.get_objects():
        if type(thing) in (list, tuple):
            texts = thing
        elif type(thing) is dict:
            texts = [*thing, *thing.values()]
        else:
            continue
        if any(type(text) is str and wanted in text for text in texts):
            return "found"
    return "not found"
"""
    tests = ["assert f(1) == 'not found'"]
    reference = "def f(x):\n    QXKZ = 'QXKZ'\n    return 'not found'\n"
    inputs = "def inputs(random):\n    QXKZ = 'QXKZ'\n    yield (len(QXKZ),)\n"
    verdict = judged(search, tests=tests, reference=reference, inputs=inputs)
    assert verdict.passed, verdict.reason
    seen = judged(search, tests=tests, reference=None, inputs=None, prompt="word = 'QXKZ'")
    assert seen.got == "'found' (str)", "the search itself must work"


@pytest.mark.parametrize(
    ("answer", "right", "strictly_right"),
    [
        ("1", True, True),
        ("True", True, False),
        ("1.0", True, False),
        ("1 if x == 0 else 2", False, False),
    ],
)
def test_exact_types_are_a_choice_of_the_anchor(answer: str, right: bool, strictly_right: bool) -> None:
    changes = {
        "tests": ["assert f(0) == 1"],
        "reference": "def f(x):\n    return 1",
        "inputs": "def inputs(random):\n    yield (0,)\n    yield (5,)",
    }
    code = f"def f(x):\n    return {answer}"
    assert judged(code, **changes).passed is right
    assert judged(code, **changes, exact_types=True).passed is strictly_right


@pytest.mark.parametrize(
    ("answer", "strictly_right"),
    [
        ("{'k': [(1, 2.5)]}", True),
        ("{'k': [(True, 2.5)]}", False),
        ("{'k': [(1.0, 2.5)]}", False),
    ],
)
def test_exact_types_hold_inside_containers(answer: str, strictly_right: bool) -> None:
    changes = {
        "tests": ["assert f(0) != 1"],
        "reference": "def f(x):\n    return {'k': [(1, 2.5)]}",
        "inputs": "def inputs(random):\n    yield (0,)",
    }
    code = f"def f(x):\n    return {answer}"
    assert judged(code, **changes).passed
    assert judged(code, **changes, exact_types=True).passed is strictly_right


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "def f(x):\n    return [2][len(x) - 1:] and [2] if len(x) < 2 else 1 / 0",
            "raised ZeroDivisionError",
        ),
        ("def f(x):\n    return [2] if len(x) < 2 else (v for v in x)", "which is not plain data"),
        (
            "class E:\n    def __eq__(self, other): return True\n"
            "def f(x):\n    return [2] if len(x) < 2 else E()",
            "which is not plain data",
        ),
        ("def f(x):\n    return [2] if len(x) < 2 else None", "got None, expected ["),
        ("import os\ndef f(x):\n    return [2] if len(x) < 2 else os._exit(0)", "left its process"),
    ],
    ids=["raises", "iterator", "equal to everything", "None", "leaves"],
)
def test_a_wrong_answer_to_an_extra_input_fails_by_name(code: str, said: str) -> None:
    verdict = judged(code)
    assert verdict.status == "failed"
    assert said in verdict.reason
    assert verdict.detail


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"reference": "def f(x):\n    return [2] if x == [1] else 1 / 0"},
            "its reference raised ZeroDivisionError",
        ),
        (
            {"reference": "def f(x):\n    return [2] if x == [1] else map(str, x)"},
            "returned an object of type map",
        ),
        ({"reference": "def g(x):\n    return x"}, "its reference defines no function f"),
        ({"reference": "def f(x)"}, "its reference raised SyntaxError"),
        ({"inputs": "def inputs(random):\n    yield [1]"}, "yielded list, not a tuple of arguments"),
        ({"inputs": "def inputs(random):\n    yield from ()"}, "yielded nothing"),
        ({"inputs": "def inputs(random):\n    yield ([1],)\n    raise SystemExit"}, "raised SystemExit"),
        ({"inputs": "def inputs(random):\n    yield (object(),)"}, "arguments that cannot be sent"),
        ({"inputs": "def inputs():\n    yield (1,)"}, "its inputs(random) raised TypeError"),
    ],
)
def test_a_fault_of_the_anchor_is_nobody_s_wrong_answer(changes: dict[str, str], said: str) -> None:
    verdict = judged(HONEST, **changes)
    assert verdict.status == "error"
    assert said in verdict.reason


def test_a_value_that_python_will_not_compare_is_wrong() -> None:
    verdict = judged(
        "from decimal import Decimal\ndef f(x):\n    return Decimal('sNaN')",
        tests=["assert f([1]) is not None"],
        reference="from decimal import Decimal\ndef f(x):\n    return Decimal(len(x))",
    )
    assert verdict.status == "failed"
    assert "got Decimal('sNaN')" in verdict.reason


def test_helpers_of_setup_and_prompt_are_there_but_never_the_code_under_test() -> None:
    changes = {
        "setup": "class P:\n    def __init__(self, n):\n        self.n = n",
        "prompt": "def twice(n):\n    return 2 * n\n",
        "tests": ["assert f(P(1)) == 2"],
        "reference": "def f(p):\n    return twice(p.n)",
        "inputs": "def inputs(random):\n    while True:\n        yield (P(random.randint(0, 9)),)",
    }
    assert judged("def f(p):\n    return twice(p.n)", **changes).passed
    assert not judged("def twice(n):\n    return 2\ndef f(p):\n    return twice(p.n)", **changes).passed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs": None}, "give both reference and inputs"),
        ({"reference": None}, "give both reference and inputs"),
        ({"reference": ""}, "reference must hold 1 to"),
        ({"inputs": b"x"}, "inputs must be a str, not bytes"),
        ({"inputs": "a\0"}, "inputs holds a NUL character"),
        ({"extra_inputs": 0}, "extra_inputs must be a whole number from 1 to 1000"),
        ({"extra_inputs": True}, "extra_inputs must be a whole number"),
        ({"exact_types": 1}, "exact_types must be True or False"),
        ({"reference": None, "inputs": None, "exact_types": True}, "exact_types needs a reference"),
    ],
)
def test_refuses_a_caller_s_mistake(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        judged(HONEST, **changes)


SWAP = {
    "tests": ["x = [2, 1]\nassert f(x) is None\nassert x == [1, 2]"],
    "reference": "def f(x):\n    x.sort()\n",
    "inout": (0,),
}


def test_arguments_edited_in_place_are_compared_too() -> None:
    assert judged("def f(x):\n    x[:] = sorted(x)", **SWAP).passed
    verdict = judged("def f(x):\n    x[:] = x[::-1]", **SWAP)
    assert verdict.status == "failed"
    assert verdict.reason.startswith("extra input ")
    assert "got None leaving [" in verdict.reason
    assert "expected None leaving [" in verdict.reason


def test_the_code_must_answer_as_many_calls_as_the_reference() -> None:
    early = (
        "for x in range(3):\n    try:\n        assert f([x]) == [x + 1]\n    except KeyError:\n        break"
    )
    verdict = judged(
        "def f(x):\n    if x == [1]:\n        raise KeyError(1)\n    return sorted(v + 1 for v in x)",
        tests=[early],
    )
    assert verdict.status == "failed"
    assert verdict.reason == "only 2 calls came back where a right solution answers 3"
    assert judged(HONEST, tests=[early]).passed


def test_the_reference_is_counted_on_copies_like_the_code_s() -> None:
    twice = "x = [2, 1]\nassert f(x) == [2, 3]\nassert f(x) == [2, 3] and x == [2, 1]"
    verdict = judged(HONEST, tests=[twice])
    assert verdict.passed, verdict.reason
    assert judged(HONEST, tests=[twice], prompt="import math\n").calls == 32


def test_a_reference_that_fails_the_tests_is_a_fault_of_the_anchor() -> None:
    verdict = judged("def f(x):\n    return [5]", tests=["assert f([1]) == [5]"])
    assert verdict.status == "error"
    assert "its own reference fails test 1: AssertionError" in verdict.reason
    check = "def check(candidate):\n    assert candidate([1]) == [5]\n"
    verdict = judged("def f(x):\n    return [5]", tests=(), check=check)
    assert "its own reference fails check: AssertionError" in verdict.reason
