"""The mutator: every kind of mistake, nothing that cannot be told apart by calling, and no more than asked."""

from __future__ import annotations

import ast

import pytest

from pytest_anchorgate import anchors_check_mutants
from pytest_anchorgate.anchors_check_mutants import mutants


def bodies(statement: str) -> set[str]:
    """The mutants of a function with one statement, without its head."""
    source = f"def f(a, b):\n    {statement}\n"
    return {mutant.source.removeprefix("def f(a, b):\n").strip() for mutant in mutants(source)}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("return a < b", {"return a <= b", "return a >= b", "return"}),
        ("return a == b", {"return a != b", "return a <= b", "return a >= b", "return"}),
        ("return a in b", {"return a not in b", "return"}),
        (
            "return a - b",
            {
                "return a + b",
                "return b - a",
                "return a",
                "return b",
                "return a - a",
                "return b - b",
                "return",
            },
        ),
        ("return a and b", {"return a or b", "return"}),
        ("return not a", {"return a", "return"}),
        ("return 3", {"return 4", "return 2", "return"}),
        ("return True", {"return False", "return"}),
        ("return 'no'", {"return ''", "return"}),
        ("return ''", {"return 'x'", "return"}),
        ("return g(a, b)", {"return g(b, a)", "return"}),
        ("return a[b:]", {"return a[:]", "return"}),
        ("return any(a)", {"return all(a)", "return"}),
        ("return a.lower()", {"return a.upper()", "return"}),
        ("return [x for x in a if x]", {"return [x for x in a if not x]", "return [x for x in a]", "return"}),
        ("return a if b else c", {"return a if not b else c", "return"}),
        ("a += b", {"a -= b", "a *= b", "pass"}),
        ("g(a)", {"pass"}),
    ],
)
def test_makes_exactly_these_mistakes(statement: str, expected: set[str]) -> None:
    assert bodies(statement) == expected


def test_conditions_and_jumps() -> None:
    source = "def f(a):\n    while a:\n        if a:\n            break\n        g()\n"
    made = {mutant.source for mutant in mutants(source)}
    assert source.replace("while a", "while not a") in made
    assert source.replace("if a", "if not a") in made
    assert source.replace("break", "continue") in made
    assert source.replace("break", "pass") in made
    assert source.replace("g()", "pass") in made


def test_what_nobody_can_tell_apart_stays() -> None:
    source = (
        '"""Text."""\nimport os\n__all__ = ["f"]\n\ndef f(a: "int > 3" = None) -> "1 + 2":\n    """More."""\n'
    )
    assert mutants(source) == []


def test_mutants_name_their_line_and_differ() -> None:
    source = "def f(a):\n    a = a + 1\n    return [x for x in a if x > 1]\n"
    made = mutants(source)
    assert {mutant.line for mutant in made} == {2, 3}
    assert len({mutant.source for mutant in made}) == len(made)
    assert ast.unparse(ast.parse(source)) + "\n" not in {mutant.source for mutant in made}
    assert all(mutant.what for mutant in made)


def test_a_long_reference_is_thinned_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = "".join(f"    a = a * {number} + 7\n" for number in range(7))
    source = f"def f(a):\n{steps}    return a\n"
    whole = mutants(source)
    monkeypatch.setattr(anchors_check_mutants, "MAX_MUTANTS", 40)
    made = mutants(source)
    assert 100 < len(whole) < 150
    assert len(made) == 40
    assert set(made) < set(whole)
    assert {mutant.line for mutant in made} >= set(range(2, 9))
