"""The bd6 anchors through the real sandbox, where only plain data crosses: what the gate itself will see."""

from __future__ import annotations

import pytest
from anchor_solutions import HONEST
from test_bd6 import each_anchor, fixed_wrong, named, reference_file

from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.sandbox import Verdict, verify


def judged(anchor: Anchor, code: str) -> Verdict:
    return verify(
        code,
        entry_point=anchor.entry_point,
        tests=anchor.tests,
        setup=anchor.setup,
        prompt=anchor.code_prompt,
    )


@each_anchor
def test_honest_solutions_pass(anchor: Anchor) -> None:
    reference = reference_file(anchor).read_text(encoding="utf-8")
    for code in (reference, *(named(anchor, expression) for expression in HONEST[anchor.task_id])):
        verdict = judged(anchor, code)
        assert verdict.passed, f"{code}: {verdict.status}, {verdict.reason}"


@each_anchor
@pytest.mark.parametrize("label", ["AlwaysEqual", "the prompt's examples"])
def test_lazy_answers_fail(anchor: Anchor, label: str) -> None:
    verdict = judged(anchor, fixed_wrong(anchor)[label])
    assert verdict.status == "failed", f"{verdict.status}, {verdict.reason}"


@each_anchor
def test_no_answer_never_passes(anchor: Anchor) -> None:
    assert not judged(anchor, "").passed
