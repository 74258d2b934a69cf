"""The part of the authoring lint that looks at the text of tests, setup and prompt."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.anchors_check_lint import problems_of_tests
from pytest_anchorgate.anchors_check_wrong import borrowed_solutions, problems_of_setup, wrong_solutions


def anchor(
    *tests: str,
    check: str | None = None,
    setup: str = "",
    code_prompt: str = "",
    reference: str | None = None,
) -> Anchor:
    return Anchor("A/1", "f", "Write f.", tests, check, setup, 256, "", 1, code_prompt, reference, reference)


SOUND = {
    "plain": "assert f(1) == 2",
    "by a variable": "x = f(1)\nassert x == 2",
    "by a loop": "for x, y in [(1, 2), (3, 4)]:\n    assert f(x) == y",
    "by a range": "for x in range(3):\n    assert f(x) == x + 1",
    "by enumerate": "for i, x in enumerate([5, 6]):\n    assert f(x) == [6, 7][i]",
    "by enumerate of text": "for i, x in enumerate('ab'):\n    assert f(x) == i",
    "by zip": "for x, y in zip([1, 2], (3, 4)):\n    assert f(x) == y",
    "by a dict": "for x in {1: 2}:\n    assert f(x) == 2",
    "by an annotated variable": "x: int = f(1)\nassert x == 2",
    "raising where it does not assert": "if f(1) != 2:\n    raise ValueError\nelse:\n    assert f(2) == 3",
    "on both branches": "if f(1) == 2:\n    assert f(2) == 3\nelse:\n    assert f(2) == 4",
    "by a helper": "def same(x, y):\n    assert f(x) == y\nsame(1, 2)",
    "an exception that must come": (
        "try:\n    f('')\nexcept ValueError as error:\n    seen = error\nelse:\n    seen = None\n"
        "assert isinstance(seen, ValueError) and f(1) == 2"
    ),
    "an except for something else around an assert": (
        "try:\n    assert f(1) == 2\nexcept ValueError:\n    assert f(2) == 3"
    ),
    "an except Exception around no assert": (
        "try:\n    x = f(1)\nexcept Exception:\n    x = None\nassert x == 2"
    ),
    "finally": "try:\n    x = f(1)\nfinally:\n    assert f(2) == 3",
    "a loop with break before it": "for x in range(3):\n    if x:\n        break\nassert f(x) == 2",
    "in a with statement": "import io\nwith io.StringIO() as file:\n    assert f(1) == 2",
    "a float": "assert abs(f(1) - 2.5) < 1e-6",
    "an expression of its argument": "x = [3, 1]\nassert f(x) == sorted(x)",
    "an or about the answer": "assert f(1) == 2 or f(1) == 3",
}


@pytest.mark.parametrize("test", SOUND.values(), ids=SOUND.keys())
def test_sound_tests_are_left_alone(test: str) -> None:
    assert problems_of_tests(anchor(test)) == []
    body = "".join(f"    {line}\n" for line in test.replace("f(", "candidate(").split("\n"))
    assert problems_of_tests(anchor(check=f"def check(candidate):\n{body}")) == []


PASSABLE = "can end without an assert about f"
UNSOUND = {
    "only if": ("if f(1) == 2:\n    assert f(2) == 3", PASSABLE),
    "only in a loop of unknown length": ("for x in f(1):\n    assert x == 2", PASSABLE),
    "only in a loop over nothing": ("for x in range(0):\n    assert f(x) == 2", PASSABLE),
    "only in a loop over what may be nothing": ("for x in [*f(1)]:\n    assert x == 2", PASSABLE),
    "only in a loop over a copied dict": ("for x in {**f(1)}:\n    assert x == 2", PASSABLE),
    "only in a loop over an empty dict": ("for x in {}:\n    assert f(x) == 2", PASSABLE),
    "only in a loop over an empty zip": ("for x, y in zip([1], []):\n    assert f(x) == y", PASSABLE),
    "only in a loop over a zip of nothing": ("for x in zip():\n    assert f(x) == 1", PASSABLE),
    "only in a range of unknown length": ("for x in range(f(1)):\n    assert f(x) == 2", PASSABLE),
    "only in a loop over some call": ("for x in tuple(f(1)):\n    assert x == 2", PASSABLE),
    "after a break": ("for x in [1]:\n    break\n    assert f(x) == 2", PASSABLE),
    "only in a while loop": ("while f(1):\n    assert f(2) == 2", PASSABLE),
    "in a function nobody calls": ("def same():\n    assert f(1) == 2", PASSABLE),
    "about something else": ("f(1)\nassert 1 == 1", PASSABLE),
    "after a way out": ("def go():\n    if f(1):\n        return\n    assert f(2) == 3\ngo()", PASSABLE),
    "a handler without an assert": ("try:\n    assert f(1) == 2\nexcept TypeError:\n    pass", PASSABLE),
    "suppressed": (
        "import contextlib\nwith contextlib.suppress(AssertionError):\n    assert f(1) == 2",
        PASSABLE,
    ),
    "suppressed beside something else": (
        "import io\nfrom contextlib import suppress\n"
        "with io.StringIO() as file, suppress(AssertionError):\n    assert f(1) == 2",
        PASSABLE,
    ),
    "bare except": ("try:\n    x = f(1)\nexcept:\n    x = 2\nassert x == 2", "bare except"),
    "except BaseException": (
        "try:\n    x = f(1)\nexcept BaseException:\n    x = 2\nassert x == 2",
        "bare except",
    ),
    "eats its own assert": (
        "try:\n    assert f(1) == 2\nexcept Exception:\n    assert f(1) == 3",
        "catches what its own assert raises",
    ),
    "a tuple": ("assert (f(1) == 2, 'said')", "asserts a tuple"),
    "or True": ("assert f(1) == 2 or True", "does not depend on the answer"),
    "negated ordering": ("assert not (abs(f(1) - 2) > 1e-6)", "holds for nan"),
    "negated ordering of a variable": ("x = f(1)\nassert not x < 2", "holds for nan"),
    "its own oracle": ("assert f([2, 1]) == f([1, 2])", "compares the function with itself"),
    "its own oracle by a variable": ("x = f(1)\nassert f(1) == x", "compares the function with itself"),
    "a name of nobody": (
        "assert f(1) == helper(1)",
        "the tests use helper, which nothing of the anchor defines",
    ),
}


@pytest.mark.parametrize(("test", "problem"), UNSOUND.values(), ids=UNSOUND.keys())
def test_unsound_tests_are_named(test: str, problem: str) -> None:
    found = problems_of_tests(anchor("assert f(0) == 1", test))
    assert any(problem in line for line in found), found
    assert all(line.startswith(("test 2 ", "the tests ")) and "; " in line for line in found)


def test_a_check_that_asks_the_entry_point_by_its_own_name_is_its_own_oracle() -> None:
    check = "def check(candidate):\n    assert candidate([2, 1]) == f([2, 1])\n"
    assert any("compares the function with itself" in line for line in problems_of_tests(anchor(check=check)))


def test_names_of_setup_prompt_and_other_tests_are_known() -> None:
    tests = ("y = twice(1)\nassert f(1) == y", "assert f(y) == half(8)")
    given = {"setup": "from math import ceil as half", "code_prompt": "def twice(n):\n    return 2 * n\n"}
    assert problems_of_tests(anchor(*tests, **given)) == []
    assert (
        problems_of_tests(anchor(*tests, **{**given, "code_prompt": given["code_prompt"] + "def f(x):"}))
        == []
    )
    assert problems_of_tests(anchor(*tests)) != []
    assert problems_of_tests(anchor("assert __name__ and f(1) == 2")) == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"setup": "def f(x):\n    return x + 1"}, "setup defines f itself"),
        ({"setup": "f = abs"}, "setup defines f itself"),
        ({"code_prompt": "def f(x):\n    'Add one.'\n    return x + 1"}, "code_prompt defines f itself"),
        ({"setup": "ANSWERS = {1: 'a long answer'}"}, "setup holds an expected value"),
        ({"code_prompt": "NUMBERS = [3, [1, 2, 9]]"}, "code_prompt holds an expected value"),
        ({"setup": "LIMIT = 123456"}, "setup holds an expected value"),
    ],
)
def test_setup_and_prompt_must_give_nothing_away(given: dict[str, str], problem: str) -> None:
    tests = ("assert f(1) == 'a long answer'", "assert f(2) == [1, 2, 9]", "assert f(3) == 123456")
    assert [line for line in problems_of_setup(anchor(*tests, **given)) if problem in line]


@pytest.mark.parametrize(
    "prompt",
    [
        "import math\n\ndef f(x):\n    '''Say a long answer, as in [1, 2, 9].'''\n",
        "def f(x):\n",
        "def f(x):\n    import math\n    '''Add.'''\n",
        "def f(x):\n    raise NotImplementedError\n",
        "LIMIT = 2\n",
    ],
)
def test_an_ordinary_prompt_gives_nothing_away(prompt: str) -> None:
    tests = ("assert f(1) == 'a long answer'", "assert f(2) == [1, 2, 9]", "assert f(3) == 2")
    assert problems_of_setup(anchor(*tests, code_prompt=prompt)) == []


def test_wrong_solutions_take_what_the_tests_show() -> None:
    tests = (
        "assert f(1, [2]) == 3",
        "for x in range(3):\n    assert f(x, x) == 2 * x",
        "assert f(4, []) is None",
    )
    with_reference = wrong_solutions(anchor(*tests, reference="def f(x, y): ..."))
    assert "table" not in "".join(wrong_solutions(anchor(*tests)))
    namespace: dict[str, object] = {}
    exec(with_reference["the answers to its tests from a table"], namespace)
    f = namespace["f"]
    assert callable(f)
    assert [f(1, [2]), f(4, []), f(0, 0)] == [3, None, 3]
    for source in with_reference.values():
        compile(source, "wrong", "exec")


def test_the_wrong_programs_answer_what_they_say() -> None:
    answers = {}
    for what, source in wrong_solutions(anchor("assert f(7, 8) == 9", "assert f(1, 1) == 2")).items():
        namespace: dict[str, Any] = {}
        exec(source, namespace)
        answers[what] = namespace["f"](7, 8)
    equal = answers.pop("an object equal to everything")
    assert equal == 1
    assert (equal != 1) is False
    assert repr(answers) == repr(
        {
            **{"None": None, "its first argument": 7, "0": 0, "1": 1, "True": True, "False": False},
            **{"an empty list": [], "an empty text": "", "the answer to its first test": 9},
        }
    )


def test_helpers_are_tried_as_solutions() -> None:
    given = {"setup": "def g(x):\n    return x", "code_prompt": "def h(x):\n    return x\n\ndef f(x):\n"}
    assert borrowed_solutions(anchor("assert f(1) == 1", **given)) == {"g": "f = g\n", "h": "f = h\n"}
