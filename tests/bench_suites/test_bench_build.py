"""`anchorgate anchors build`: what a pack solves twice becomes anchors, and no set shrinks by accident."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from bench_house import adding, anchorgate, answer_pack, only_line, write_humaneval, write_mbpp

from pytest_anchorgate.anchors import load_anchors
from pytest_anchorgate.bench import build as building
from pytest_anchorgate.bench.evaluate import TaskResult

NAMES = ["zero", "one", "two", "three", "four", "five"]
HUMANEVAL = ("--suite", "humaneval")
BOTH = (*HUMANEVAL, "--suite", "mbpp100")


def solving(*numbers: int) -> str:
    return "".join(f"def {NAMES[n]}(x):\n    return x + {n}\n" for n in numbers)


@pytest.fixture(autouse=True)
def no_files_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HUMANEVAL", "MBPP"):
        monkeypatch.delenv(f"ANCHORGATE_{name}", raising=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("build")
    answer_pack(root / "three.planck", adding([11]) + solving(0, 1, 4))
    answer_pack(root / "more.planck", solving(0, 1, 4, 5))
    answer_pack(root / "less.planck", solving(0, 1, 5))
    answer_pack(root / "none.planck", "def other():\n    pass\n")
    write_mbpp(root / "mbpp.jsonl")
    write_humaneval(root / "humaneval.jsonl", NAMES)
    return root


def build(
    root: Path,
    output: Path,
    *args: object,
    pack: str = "three",
    code: int = 0,
    suites: tuple[str, ...] = HUMANEVAL,
) -> Any:
    files = ("--humaneval", root / "humaneval.jsonl", "--mbpp", root / "mbpp.jsonl")
    common = ("anchors", "build", "--pack", root / f"{pack}.planck", "--threads", 1, "-o", output)
    return anchorgate(*common, *files, *suites, *args, code=code)


def provenance(output: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((output / "provenance.json").read_text())
    return value


def ids(output: Path) -> list[str]:
    return [anchor.task_id for anchor in load_anchors(output / "anchors.jsonl")]


def altered(monkeypatch: pytest.MonkeyPatch, changes: dict[tuple[int, str], dict[str, Any]]) -> None:
    """Changes what the n-th look sees of a task."""
    real, looks = building.evaluate, []

    def evaluate(*args: Any, **kwargs: Any) -> list[TaskResult]:
        looks.append(args)
        return [
            dataclasses.replace(result, **changes.get((len(looks), result.task_id), {}))
            for result in real(*args, **kwargs)
        ]

    monkeypatch.setattr(building, "evaluate", evaluate)


def test_what_the_pack_solves_becomes_anchors(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    result = build(root, out, suites=())
    solved = ["HumanEval/0", "HumanEval/1", "HumanEval/4", "MBPP/11"]
    assert ids(out) == solved
    written = load_anchors(out / "anchors.jsonl")
    assert "4 anchors of 106 tasks (102 failed, 0 unstable)" in result.stdout
    assert written.digest in result.stdout
    said = provenance(out)
    assert said["anchors_digest"] == written.digest
    assert said["anchors"] == solved
    assert len(said["failed"]) == 102
    assert (said["unstable"], said["dropped"]) == ({}, [])
    assert [(suite["name"], suite["tasks"]) for suite in said["suites"]] == [
        ("humaneval", 6),
        ("mbpp100", 100),
    ]
    assert said["pack"]["name"] == "three.planck"
    # As an import of the same tasks would have written them.
    imported = tmp_path / "imported"
    files = ("--humaneval", root / "humaneval.jsonl", "--mbpp", root / "mbpp.jsonl")
    anchorgate("anchors", "import", *files, "--ids", ",".join(solved), "-o", imported)
    assert load_anchors(imported / "anchors.jsonl").digest == written.digest


def test_one_suite_and_the_same_bytes_again(root: Path, tmp_path: Path) -> None:
    build(root, tmp_path)
    assert ids(tmp_path) == ["HumanEval/0", "HumanEval/1", "HumanEval/4"]
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    build(root, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_differs_the_second_time_is_left_out(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[tuple[int, str], dict[str, Any]] = {
        (2, "HumanEval/1"): {"status": "timeout", "reason": "used more than 10 s"},
        (2, "HumanEval/0"): {"token_ids": (1, 2)},
    }
    altered(monkeypatch, changes)
    result = build(root, tmp_path)
    assert ids(tmp_path) == ["HumanEval/4"]
    unstable = provenance(tmp_path)["unstable"]
    assert set(unstable) == {"HumanEval/1", "HumanEval/0"}
    assert unstable["HumanEval/1"].endswith("timeout: used more than 10 s")
    assert "unstable, left out: HumanEval/0: the second answer is another" in result.stdout
    assert "(3 failed, 2 unstable)" in result.stdout


def test_only_what_was_solved_is_asked_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = building.evaluate

    def counting(pack: Path, tasks: Any, **kwargs: Any) -> Any:
        asked.append(len(tasks))
        assert "drafts" not in kwargs
        return real(pack, tasks, **kwargs)

    monkeypatch.setattr(building, "evaluate", counting)
    build(root, tmp_path)
    assert asked == [6, 3]


@pytest.mark.parametrize("look", [1, 2])
def test_what_cannot_be_judged_writes_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    altered(monkeypatch, {(look, "HumanEval/1"): {"status": "error", "reason": "the judge died"}})
    line = only_line(build(root, tmp_path / "set", code=11))
    assert "HumanEval/1: error: the judge died" in line
    assert not (tmp_path / "set").exists()


def test_a_set_may_grow(root: Path, tmp_path: Path) -> None:
    build(root, tmp_path)
    build(root, tmp_path, pack="more")
    assert ids(tmp_path) == ["HumanEval/0", "HumanEval/1", "HumanEval/4", "HumanEval/5"]
    assert provenance(tmp_path)["dropped"] == []


def test_a_set_shrinks_only_with_a_reason_that_is_kept(root: Path, tmp_path: Path) -> None:
    build(root, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    line = only_line(build(root, tmp_path, pack="less", code=4))
    assert "holds HumanEval/4, which the new set would not hold" in line
    assert "--reason" in line
    only_line(build(root, tmp_path, "--reason", "  ", pack="less", code=4))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    result = build(root, tmp_path, "--reason", "the new product does not need four", pack="less")
    assert "given up: HumanEval/4: the new product" in result.stdout
    assert ids(tmp_path) == ["HumanEval/0", "HumanEval/1", "HumanEval/5"]
    first = provenance(tmp_path)["dropped"]
    assert [(drop["task_ids"], drop["reason"]) for drop in first] == [
        (["HumanEval/4"], "the new product does not need four")
    ]
    build(root, tmp_path, "--reason", "nor five", pack="three")
    drops = provenance(tmp_path)["dropped"]
    assert drops[:1] == first
    assert drops[1]["task_ids"] == ["HumanEval/5"]
    assert drops[1]["pack"] == provenance(tmp_path)["pack"]["identity"]


def test_what_is_not_even_asked_is_told_before_the_work(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(root, tmp_path, suites=BOTH)

    def work(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(building, "evaluate", work)
    line = only_line(build(root, tmp_path, code=4))
    assert "holds MBPP/11, which" in line


def test_an_anchor_in_other_words_is_not_the_same(root: Path, tmp_path: Path) -> None:
    build(root, tmp_path)
    path = tmp_path / "anchors.jsonl"
    path.write_text(path.read_text().replace("assert candidate(1) == 2", "assert candidate(2) == 3"))
    assert "holds HumanEval/1, which" in only_line(build(root, tmp_path, code=4))


def test_a_pack_that_solves_nothing(root: Path, tmp_path: Path) -> None:
    line = only_line(build(root, tmp_path / "set", pack="none", code=4))
    assert "none.planck solves none of the 6 tasks" in line
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "not JSON"), ("{}", "lacks 'schema'"), ('{"schema": 1, "schema": 1}', "stands there twice")],
)
def test_a_damaged_provenance_file_is_not_overwritten(
    root: Path, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "provenance.json"
    path.write_text(text)
    line = only_line(build(root, tmp_path, code=4))
    assert str(path) in line
    assert words in line
    assert path.read_text() == text


def test_bad_options_are_one_line(root: Path, tmp_path: Path) -> None:
    line = only_line(build(root, tmp_path, suites=("--suite", "mbpp", "--suite", "mbpp100"), code=4))
    assert "part of mbpp" in line
    assert "livecodebench" in only_line(build(root, tmp_path, suites=("--suite", "livecodebench"), code=4))
    pack = root / "three.planck"
    assert "no file given" in only_line(
        anchorgate("anchors", "build", "--pack", pack, "--suite", "mbpp100", "-o", tmp_path, code=4)
    )
