"""`anchorgate anchors check` through the real judge, on anchors small enough to be judged in a moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pytest_anchorgate import anchors_check
from pytest_anchorgate.anchors import Anchor, parse_anchors
from pytest_anchorgate.anchors_check import CheckImpossible, Mutation, Report, check_anchor
from pytest_anchorgate.anchors_check_mutants import Mutant, mutants
from pytest_anchorgate.cli import main
from pytest_anchorgate.sandbox import Verdict

GOOD: dict[str, Any] = {
    "task_id": "A/1",
    "entry_point": "f",
    "prompt": "Write f.",
    "tests": ["assert f(1, 2) == 3", "assert f(2, 3) == 6"],
    "reference": "def f(a, b):\n    return a * b + (a == 1)\n",
    "inputs": "def inputs(random):\n    while True:\n        yield (random.randint(0, 9), random.randint(0, 9))\n",
}


def lines(**changes: Any) -> str:
    record = {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}
    return json.dumps(record) + "\n"


def anchor(**changes: Any) -> Anchor:
    return parse_anchors(lines(**changes).encode(), Path("anchors.jsonl")).anchors[0]


def test_a_good_anchor_has_nothing_to_mend() -> None:
    report = check_anchor(anchor())
    assert report.problems == []
    assert report.mutation is not None
    assert report.mutation.survived == ()
    left_out = len(report.mutation.equivalent)
    assert report.mutation.killed == report.mutation.counted >= 8
    assert report.mutation.killed + left_out == len(mutants(GOOD["reference"]))
    assert report.mutation.score == 100


def test_mutants_that_answer_alike_are_left_out() -> None:
    reference = "def f(a, b):\n    c = 5\n    c = 6\n    return a + b\n"
    mutation = check_anchor(anchor(tests=["assert f(2, 3) == 5"], reference=reference)).mutation
    assert mutation is not None
    assert {(mutant.line, mutant.what) for mutant in mutation.equivalent} == {
        *((line, "statement removed") for line in (2, 3)),
        *((2, "6 for 5"), (2, "4 for 5"), (3, "7 for 6"), (3, "5 for 6")),
    }
    assert mutation.survived == ()


def test_mistakes_that_only_a_rare_input_shows_survive_and_count() -> None:
    rare = """
def inputs(random):
    while True:
        yield (random.choice([1] * 400 + [2]), 0)
"""
    reference = "def f(a, b):\n    return a ** 3\n"
    mutation = check_anchor(anchor(tests=["assert f(1, 0) == 1"], reference=reference, inputs=rare)).mutation
    assert mutation is not None
    assert {mutant.what for mutant in mutation.survived} >= {"4 for 3", "2 for 3"}
    assert mutation.score < 100


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"reference": "def f(a, b):\n    return a + b\n"},
            "the reference does not pass: test 2 failed",
        ),
        (
            {
                "reference": "import random\ndef f(a, b):\n    return a * b + (a == 1) + (a > 2) * random.random()\n"
            },
            "the reference does not pass: extra input",
        ),
        (
            {"tests": ["assert f(1, 2) != 4"], "reference": ..., "inputs": ...},
            "a program that always answers None passes",
        ),
        (
            {
                "reference": "def f(a, b):\n    return 3\n",
                "tests": ["assert f(1, 2) == 3"],
            },
            "a program that always answers the answer to its first test passes",
        ),
        (
            {"inputs": "def inputs(random):\n    while True:\n        yield (1, 2)\n"},
            "a program that always answers the answers to its tests from a table passes",
        ),
        (
            {"code_prompt": "def g(a, b):\n    return a * b + int(a == 1)\n"},
            "g of setup or code_prompt is a solution that the candidate can call",
        ),
        (
            {"tests": [*GOOD["tests"], "for x in f(1, 2), :\n    assert not x > 3"]},
            "test 3 negates an ordering",
        ),
        ({"setup": "def f(a, b): return a * b"}, "setup defines f itself"),
        (
            {"tests": ["assert f(1, 2) == g(1)"], "setup": "def g(x):\n    raise LookupError"},
            "the reference does not pass: test 1 failed",
        ),
    ],
)
def test_names_what_is_to_be_mended(
    changes: dict[str, Any], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchors_check, "mutants", lambda _: [])
    problems = check_anchor(anchor(**changes)).problems
    assert any(problem in line for line in problems), problems
    assert all("; " in line and "\n" not in line for line in problems)


def test_the_score_is_a_share_of_what_is_wrong() -> None:
    one = mutant("one")
    assert Mutation(2, (one,), (one,)).score == pytest.approx(200 / 3)
    assert Mutation(0, (), (one,)).score == 100


def test_an_undecided_mutant_never_helps_the_score(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = GOOD["reference"]

    def judge(_: Anchor, code: str, *limits: float) -> Verdict:
        return Verdict("passed" if code == reference else "error", "said")

    monkeypatch.setattr(anchors_check, "_judge", judge)
    report = check_anchor(anchor())
    assert report.mutation is not None
    assert report.mutation.score == 0
    assert "a program that always answers None cannot be judged: said; correct the anchor" in report.problems


def test_a_machine_that_cannot_judge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        anchors_check, "verify_anchor", lambda *_, **__: Verdict("refused", "no seccomp here")
    )
    with pytest.raises(CheckImpossible, match="no seccomp here"):
        check_anchor(anchor())


def run(folder: Path, text: str, *options: str) -> Result:
    (folder / "anchors.jsonl").write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, ["anchors", "check", str(folder), *options])


def test_the_command_reports_each_anchor_and_the_sum(tmp_path: Path) -> None:
    weak = lines(task_id="A/22", tests=["assert f(1, 2)"], reference=..., inputs=...)
    result = run(tmp_path, lines() + weak, "--jobs", "2")
    assert result.exit_code == 1
    assert "A/1   ok       100.0 %" in result.output
    assert "A/22  problem  no mutants without a reference that passes" in result.output
    place = f"{tmp_path / 'anchors.jsonl'}:2: A/22: "
    assert f"{place}a program that always answers 1 passes; add a test that it fails" in result.output
    assert "problems; mutation score 100.0 % (" in result.output
    assert "1 without a reference, which a table of their tests can pass" in result.output
    assert "anchorgate: checked A/1 (" in result.output
    assert " of 2)" in result.output


def mutant(what: str) -> Mutant:
    return Mutant(2, what, "source")


def test_the_command_fails_below_the_least_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation = Mutation(3, (mutant("4 for 3"),), (mutant("Lt for LtE"),))
    monkeypatch.setattr(anchors_check, "check_anchor", lambda given: Report(given, [], mutation))
    result = run(tmp_path, lines(), "--min-score", "75.5")
    assert result.exit_code == 1
    assert "survived: 4 for 3 in line 2 of the reference" in result.output
    assert "mutation score 75.0 % (3 of 4 killed, 1 equivalent left out), below 75.5 %" in result.output
    assert "equivalent: Lt for LtE" not in result.output
    passed = run(tmp_path, lines(), "--min-score", "75", "-v")
    assert passed.exit_code == 0
    assert "equivalent: Lt for LtE in line 2 of the reference" in passed.output
    assert ", below" not in passed.output


def test_the_command_says_when_nothing_can_be_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        anchors_check, "verify_anchor", lambda *_, **__: Verdict("refused", "no seccomp here")
    )
    result = run(tmp_path, lines())
    assert result.exit_code == 11
    assert "no seccomp here" in result.output


@pytest.mark.parametrize("options", [["--min-score", "101"], ["--jobs", "0"], ["--nope"], ["a", "b"]])
def test_usage_errors_have_status_4(tmp_path: Path, options: list[str]) -> None:
    assert run(tmp_path, lines(), *options).exit_code == 4


def test_a_file_that_cannot_be_used_has_status_4(tmp_path: Path) -> None:
    assert run(tmp_path, lines(reference=...)).exit_code == 4
    assert CliRunner().invoke(main, ["anchors", "check", str(tmp_path / "none")]).exit_code == 4
