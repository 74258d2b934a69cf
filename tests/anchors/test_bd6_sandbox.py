"""The bd6 anchors through the real sandbox, where only plain data crosses: what the gate itself will see."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from anchor_solutions import HONEST
from test_bd6 import each_anchor, fixed_wrong, named, reference_file

from pytest_anchorgate.anchor_verdict import verify_anchor
from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.sandbox import verify


def table(anchor: Anchor) -> str:
    """Every call of the listed tests with its right answer, and the first answer for everything else."""
    reference: dict[str, Any] = {}
    exec(reference_file(anchor).read_text(encoding="utf-8"), reference)
    answers = {}
    for test in anchor.tests:
        for node in ast.walk(ast.parse(test)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == anchor.entry_point:
                call = ast.unparse(node)
                given = ast.unparse(ast.List(node.args, ast.Load()))
                answers[repr(eval(given))] = eval(call, dict(reference))
    first = next(iter(answers.values()))
    return f"def {anchor.entry_point}(*given):\n    return {answers!r}.get(repr([*given]), {first!r})\n"


@each_anchor
def test_honest_solutions_pass(anchor: Anchor) -> None:
    reference = reference_file(anchor).read_text(encoding="utf-8")
    for code in (reference, *(named(anchor, expression) for expression in HONEST[anchor.task_id])):
        verdict = verify_anchor(anchor, code)
        assert verdict.passed, f"{code}: {verdict.status}, {verdict.reason}"


@each_anchor
@pytest.mark.parametrize("label", ["AlwaysEqual", "the prompt's examples"])
def test_lazy_answers_fail(anchor: Anchor, label: str) -> None:
    verdict = verify_anchor(anchor, fixed_wrong(anchor)[label])
    assert verdict.status == "failed", f"{verdict.status}, {verdict.reason}"


@each_anchor
def test_a_table_of_the_listed_tests_fails(anchor: Anchor) -> None:
    code = table(anchor)
    assert verify(code, entry_point=anchor.entry_point, tests=anchor.tests).passed
    verdict = verify_anchor(anchor, code)
    assert verdict.status == "failed"
    assert verdict.reason.startswith("extra input ")


@each_anchor
def test_no_answer_never_passes(anchor: Anchor) -> None:
    assert not verify_anchor(anchor, "").passed
