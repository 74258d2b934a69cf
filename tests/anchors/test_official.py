"""The real official files, where they are at hand: every task becomes an anchor that means what it meant."""

from __future__ import annotations

import gzip
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from pytest_anchorgate.anchors import Anchor, load_anchors
from pytest_anchorgate.anchors_import import REPORT_IDS, select_tasks, write_anchors
from pytest_anchorgate.anchors_official import OfficialFile, read_humaneval, read_mbpp

BD6 = Path(__file__).parents[2] / "anchors" / "bd6" / "anchors.jsonl"

Records = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def humaneval(humaneval_path: Path) -> Records:
    lines = gzip.decompress(humaneval_path.read_bytes()).splitlines()
    return {record["task_id"]: record for record in map(json.loads, lines)}


@pytest.fixture(scope="module")
def mbpp(mbpp_path: Path) -> Records:
    lines = mbpp_path.read_bytes().splitlines()
    return {f"MBPP/{record['task_id']}": record for record in map(json.loads, lines)}


def imported(file: OfficialFile, folder: Path) -> dict[str, Anchor]:
    written = write_anchors(select_tasks("all", {file.suite: file}), folder, force=False)
    assert load_anchors(folder / "anchors.jsonl") == written
    return {anchor.task_id: anchor for anchor in written}


def run(source: str, namespace: dict[str, Any]) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # official code holds escapes that newer Pythons warn about
        exec(source, namespace)
    return namespace


def test_all_of_humaneval(humaneval_path: Path, humaneval: Records, tmp_path: Path) -> None:
    file = read_humaneval(humaneval_path)
    assert file.known
    anchors = imported(file, tmp_path)
    assert list(anchors) == list(humaneval)
    assert len(anchors) == 164
    for task_id, anchor in anchors.items():
        official = humaneval[task_id]
        assert anchor.entry_point == official["entry_point"]
        assert anchor.check == official["test"]
        assert official["prompt"].strip() in anchor.prompt
        names = run(anchor.code_prompt + official["canonical_solution"], {})
        assert callable(names[anchor.entry_point])


def test_a_body_behind_code_prompt_is_the_official_program(
    humaneval_path: Path, humaneval: Records, tmp_path: Path
) -> None:
    anchors = imported(read_humaneval(humaneval_path), tmp_path)
    for task_id in (task_id for task_id in REPORT_IDS if task_id.startswith("HumanEval/")):
        anchor = anchors[task_id]
        names = run(
            anchor.code_prompt + humaneval[task_id]["canonical_solution"] + "\n" + str(anchor.check), {}
        )
        names["check"](names[anchor.entry_point])


def test_all_of_mbpp(mbpp_path: Path, mbpp: Records, tmp_path: Path) -> None:
    file = read_mbpp(mbpp_path)
    assert file.known
    anchors = imported(file, tmp_path)
    assert list(anchors) == list(mbpp)
    assert len(anchors) == 974
    for task_id, anchor in anchors.items():
        official = mbpp[task_id]
        assert anchor.tests == tuple(test.strip() for test in official["test_list"])
        assert all(test in anchor.prompt for test in anchor.tests)
        assert official["text"].strip() in anchor.prompt
        assert "\r" not in anchor.prompt + anchor.setup
        names = run(official["code"], {})
        assert callable(names[anchor.entry_point])
        assert not isinstance(names[anchor.entry_point], type)


def test_official_solutions_of_the_report_s_tasks_pass_official_tests(
    mbpp_path: Path, mbpp: Records, tmp_path: Path
) -> None:
    anchors = imported(read_mbpp(mbpp_path), tmp_path)
    for task_id in (task_id for task_id in REPORT_IDS if task_id.startswith("MBPP/")):
        run("\n".join((mbpp[task_id]["code"], anchors[task_id].setup, *anchors[task_id].tests)), {})


@pytest.mark.parametrize("task_id", REPORT_IDS)
def test_official_solutions_pass_our_tests(task_id: str, request: pytest.FixtureRequest) -> None:
    anchor = next(anchor for anchor in load_anchors(BD6) if anchor.task_id == task_id)
    if task_id.startswith("MBPP/"):
        source = request.getfixturevalue("mbpp")[task_id]["code"]
    else:
        official = request.getfixturevalue("humaneval")[task_id]
        source = official["prompt"] + official["canonical_solution"]
    for test in anchor.tests:
        run(test, run(source, {}))


def squeezed(text: str) -> str:
    return re.sub(r"[^a-z0-9+-]", "", text.lower())


def official_sentences(humaneval: Records, mbpp: Records) -> dict[str, list[str]]:
    """Per task: its sentences, doctests and asserts, so far as they say more than a name."""
    found = {task_id: [record["text"], *record["test_list"]] for task_id, record in mbpp.items()}
    for task_id, record in humaneval.items():
        test = record["test"].replace("candidate", record["entry_point"])
        lines = [*record["prompt"].splitlines(), *test.splitlines()]
        found[task_id] = [line for line in lines if not re.match(r"\s*(def |\d+$|\"\"\"$|$)", line)]
    return found


def test_our_set_holds_no_official_text(humaneval: Records, mbpp: Records) -> None:
    official = official_sentences(humaneval, mbpp)
    # The length of "" is 0 and its flipped case is "", whoever asks.
    facts = {"assertstrlen0", "assertflipcase"}
    for anchor in load_anchors(BD6):
        ours = {squeezed(line) for line in anchor.prompt.splitlines()} | {
            squeezed(test) for test in anchor.tests
        }
        theirs = {squeezed(text) for text in official[anchor.task_id]}
        assert (ours & theirs) - facts - {""} == set()
        for sentence in theirs:
            assert len(sentence) < 20 or not any(sentence in line for line in ours), sentence
