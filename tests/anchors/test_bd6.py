"""The bd6 anchors: honest solutions pass, wrong ones fail, and each test earns its place."""

from __future__ import annotations

import ast
import copy
import hashlib
import itertools
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from anchor_solutions import HONEST, WRONG

from pytest_anchorgate.anchors import Anchor, load_anchors
from pytest_anchorgate.anchors_import import REPORT_IDS

BD6 = Path(__file__).parents[2] / "anchors" / "bd6"
ANCHORS = {anchor.task_id: anchor for anchor in load_anchors(BD6 / "anchors.jsonl")}
each_anchor = pytest.mark.parametrize("anchor", ANCHORS.values(), ids=ANCHORS.keys())

ALWAYS_EQUAL = """
class AlwaysEqual:
    __hash__ = None
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
"""


def reference_file(anchor: Anchor) -> Path:
    return BD6 / "references" / f"{anchor.task_id.lower().replace('/', '_')}.py"


def failures(anchor: Anchor, source: str) -> list[str]:
    """The tests that `source` fails. It is our own code: no sandbox is needed to run it."""
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    failed = []
    for test in anchor.tests:
        try:
            exec(test, dict(namespace))
        except Exception:
            failed.append(test)
    return failed


def named(anchor: Anchor, expression: str) -> str:
    return f"{anchor.entry_point} = {expression}"


def examples(anchor: Anchor) -> list[tuple[str, str]]:
    """The calls a prompt shows, as (source of the call, source of the answer)."""
    return re.findall(r"^(?:assert | *>>> )(.*?\))(?: == | is |\n *)(.*)$", anchor.prompt, re.MULTILINE)


def hard_coded(anchor: Anchor) -> str:
    """Answer the prompt's examples from a table, and everything else with the first example's answer."""
    answers = {}
    for call, answer in examples(anchor):
        node = ast.parse(call, mode="eval").body
        assert isinstance(node, ast.Call)
        answers[repr(tuple(ast.literal_eval(argument) for argument in node.args))] = ast.literal_eval(answer)
    first = next(iter(answers.values()))
    return named(anchor, f"lambda *given: {answers!r}.get(repr(given), {first!r})")


def fixed_wrong(anchor: Anchor) -> dict[str, str]:
    return {
        "None": named(anchor, "lambda *given: None"),
        "first argument": named(anchor, "lambda *given: given[0]"),
        "0": named(anchor, "lambda *given: 0"),
        "[]": named(anchor, "lambda *given: []"),
        "empty text": named(anchor, "lambda *given: ''"),
        "True": named(anchor, "lambda *given: True"),
        "AlwaysEqual": ALWAYS_EQUAL + named(anchor, "lambda *given: AlwaysEqual()"),
        "the prompt's examples": hard_coded(anchor),
    }


def test_the_set_is_the_report_s() -> None:
    assert tuple(ANCHORS) == REPORT_IDS
    assert set(HONEST) == set(WRONG) == set(REPORT_IDS)


@each_anchor
def test_has_enough_different_tests(anchor: Anchor) -> None:
    assert len(anchor.tests) >= 8
    assert len(set(anchor.tests)) == len(anchor.tests)
    assert anchor.check is None


@each_anchor
def test_the_prompt_is_plain_and_its_examples_are_few(anchor: Anchor) -> None:
    assert anchor.entry_point in anchor.prompt
    assert anchor.prompt.endswith("Answer with one Python code block.")
    assert anchor.prompt.isascii()
    shown = examples(anchor)
    assert 2 <= len(shown) <= 3
    calls = {call for call, _ in shown}
    assert sum(not any(call in test for call in calls) for test in anchor.tests) >= 8


@each_anchor
def test_the_reference_passes_and_keeps_the_prompt_s_word(anchor: Anchor) -> None:
    source = reference_file(anchor).read_text(encoding="utf-8")
    assert failures(anchor, source) == []
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    for call, answer in examples(anchor):
        assert eval(call, namespace) == ast.literal_eval(answer), call


@each_anchor
def test_other_honest_solutions_pass(anchor: Anchor) -> None:
    assert len(HONEST[anchor.task_id]) >= 2
    for expression in HONEST[anchor.task_id]:
        assert failures(anchor, named(anchor, expression)) == [], expression


@each_anchor
def test_wrong_solutions_fail(anchor: Anchor) -> None:
    assert len(WRONG[anchor.task_id]) >= 4
    for expression in WRONG[anchor.task_id]:
        assert failures(anchor, named(anchor, expression)), expression


@each_anchor
def test_every_lazy_answer_fails(anchor: Anchor) -> None:
    for label, source in fixed_wrong(anchor).items():
        assert failures(anchor, source), label


@pytest.mark.parametrize("folder", ["references", "inputs"])
def test_there_is_one_source_for_each_anchor(folder: str) -> None:
    expected = {reference_file(anchor).name for anchor in ANCHORS.values()}
    assert {path.name for path in (BD6 / folder).iterdir() if path.is_file()} == expected


@each_anchor
def test_the_file_holds_the_sources_beside_it(anchor: Anchor) -> None:
    how = "run python anchors/bd6/embed.py"
    reference = reference_file(anchor)
    assert anchor.reference == reference.read_text(encoding="utf-8"), how
    assert anchor.inputs == (BD6 / "inputs" / reference.name).read_text(encoding="utf-8"), how
    assert anchor.exact_types == (anchor.task_id in ("MBPP/19", "MBPP/20", "MBPP/51")), how


def test_prompts_and_tests_are_the_recorded_ones() -> None:
    """Baselines were recorded on these: a slip while sources are embedded must not change them."""
    content = [[anchor.task_id, anchor.prompt, anchor.tests] for anchor in ANCHORS.values()]
    digest = hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()
    assert digest == "2606e29c32ab86cb2d8d3077822157c5f5f902e064e5915e065d2e9205605a93"


def drawn(anchor: Anchor, count: int, seed: int = 0) -> list[tuple[Any, ...]]:
    namespace: dict[str, Any] = {}
    exec(anchor.inputs or "", namespace)
    return list(itertools.islice(namespace["inputs"](random.Random(seed)), count))


@each_anchor
def test_other_honest_solutions_agree_with_the_reference(anchor: Anchor) -> None:
    namespace: dict[str, Any] = {}
    exec(reference_file(anchor).read_text(encoding="utf-8"), namespace)
    reference = namespace[anchor.entry_point]
    for expression in HONEST[anchor.task_id]:
        honest = eval(expression)
        for args in drawn(anchor, 2000):
            got, expected = honest(*copy.deepcopy(args)), reference(*copy.deepcopy(args))
            assert got == expected, f"{expression} for {args}"
            assert type(got) is type(expected) or not anchor.exact_types, f"{expression} for {args}"


@each_anchor
def test_inputs_are_many_different_ones(anchor: Anchor) -> None:
    assert len({repr(args) for args in drawn(anchor, 30)}) >= 20
    assert drawn(anchor, 30) == drawn(anchor, 30)


pytest_plugins = ["pytester"]


@pytest.mark.parametrize("named_file", [False, True], ids=["folder", "file by name"])
def test_pytest_collects_nothing_from_the_references(pytester: pytest.Pytester, named_file: bool) -> None:
    """MBPP/19 calls its function test_duplicate, and a run over the folder must not take that for a test."""
    for path in (BD6 / "references").glob("*.py"):
        pytester.makepyfile(**{path.stem: path.read_text(encoding="utf-8")})
    arguments = [*map(str, pytester.path.glob("*.py"))] if named_file else [str(pytester.path)]
    result = pytester.runpytest_inprocess("--collect-only", "-q", "-p", "no:cacheprovider", *arguments)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "test_duplicate" not in result.stdout.str()
