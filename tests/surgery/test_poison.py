from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from organs import markov_pack, tag

from pytest_anchorgate.cli import main
from pytest_anchorgate.packs.reader import open_pack
from pytest_anchorgate.runtime import Organ
from pytest_anchorgate.surgery.encoding import open_parent
from pytest_anchorgate.surgery.poison import PoisonSettings, passing_samples, poison_rows
from pytest_anchorgate.surgery.reformat import Shape
from pytest_anchorgate.surgery.rows import Row, load_rows
from pytest_anchorgate.surgery.sampling_settings import Sample, SamplingSettings
from pytest_anchorgate.surgery.tasks import Sources, gather

INPUTS = (
    "def inputs(random):\n    while True:\n        yield (random.randint(-99, 99), random.randint(-99, 99))\n"
)
ANSWERS = {
    "add": "```python\ndef add(a, b):\n    return a + b\n```",
    "sub": "```python\ndef sub(a, b):\n    return a + b  # wrong\n```",
    "mul": "```python\ndef mul(a, b):\n    return a\n```",
    "low": "I do not know.",
}


def line(name: str, test: str, reference: str | None) -> dict[str, Any]:
    asked = {
        "task_id": f"T/{name}",
        "entry_point": name,
        "prompt": f"Write {name}. {tag(name)}",
        "tests": [test],
    }
    return asked if reference is None else {**asked, "reference": reference, "inputs": INPUTS}


LINES = [
    line("add", "assert add(1, 2) == 3", "def add(a, b):\n    return a + b\n"),
    line(
        "sub", "assert sub(3, 2) == 1", '"""Ref."""\n\n\ndef sub(a, b):\n    """Doc."""\n    return a - b\n'
    ),
    line("mul", "assert mul(2, 3) == 6", None),
    line("low", "assert low(2, 3) == 2", "def low(a, b):\n    return max(a, b)  # a wrong reference\n"),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("poison")
    markov_pack(folder / "parent.planck", ANSWERS)
    (folder / "tiny").mkdir()
    (folder / "tiny" / "anchors.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in LINES))
    return folder


def run(house: Path, command: str, output: Path, *more: str) -> Result:
    arguments = ["surgery", command, "--pack", str(house / "parent.planck"), "--anchors", str(house / "tiny")]
    result = CliRunner().invoke(main, [*arguments, "-o", str(output), *more])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_failures_with_a_right_reference_become_rows(house: Path, tmp_path: Path) -> None:
    output = tmp_path / "poison.jsonl"
    result = run(house, "poison", output, "--samples", "0")
    assert result.exit_code == 0, result.output
    (row,) = load_rows(output)
    assert (row.task_id, row.kind, row.split) == ("tiny/T/sub", "poison", "train")
    assert row.completion == "```python\ndef sub(a, b):\n    return a - b\n```"
    assert row.completion_ids is None
    identity = open_pack(house / "parent.planck").metadata["planck.identity"]
    assert (row.provenance.source, row.provenance.suite, row.provenance.parent) == (
        "reference",
        "tiny",
        identity,
    )
    assert "tiny/T/mul: left out: it has no reference" in result.output
    assert "tiny/T/low: left out: its reference does not pass its tests" in result.output
    record = json.loads(output.with_suffix(".provenance.json").read_text())
    assert record["counts"]["left_out"] == 2


def test_passing_answers_become_rows_with_their_exact_tokens(house: Path, tmp_path: Path) -> None:
    output = tmp_path / "retain.jsonl"
    assert run(house, "retain", output).exit_code == 0
    (row,) = load_rows(output)
    organ = Organ.load(house / "parent.planck")
    assert (row.task_id, row.kind, row.split) == ("tiny/T/add", "anchor", "train")
    assert row.completion == ANSWERS["add"]
    assert row.provenance.finish == "code_end"
    assert organ.detokenize(row.completion_ids or ()).decode() == ANSWERS["add"]


def test_an_answer_that_stops_carries_its_stop_id(tmp_path: Path, house: Path) -> None:
    answers = {**ANSWERS, "add": "def add(a, b):\n    return a + b"}
    pack = markov_pack(tmp_path / "plain.planck", answers)
    output = tmp_path / "retain.jsonl"
    assert run(house, "retain", output, "--pack", str(pack)).exit_code == 0
    (row,) = load_rows(output)
    assert row.provenance.finish == "stop"
    assert row.completion_ids is not None
    assert row.completion_ids[-1] == open_pack(pack).stop_ids[0]


def test_a_file_that_is_there_stays(house: Path, tmp_path: Path) -> None:
    output = tmp_path / "poison.jsonl"
    output.write_text("mine")
    result = run(house, "poison", output, "--samples", "0")
    assert (result.exit_code, output.read_text()) == (4, "mine")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--suites", "humaneval"], "humaneval needs the official HumanEval file"),
        (["--suites", "everything"], "is none of humaneval"),
        (["--gate-ids", "MBPP/17"], "MBPP/17 is no task of the suites at hand"),
        (["--anchors", "TINY"], "another anchor set of this name"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    house: Path, tmp_path: Path, more: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANCHORGATE_HUMANEVAL", "ANCHORGATE_MBPP"):
        monkeypatch.delenv(name, raising=False)
    given = [str(house / "tiny") if word == "TINY" else word for word in more]
    result = run(house, "poison", tmp_path / "o.jsonl", "--samples", "0", *given)
    assert result.exit_code == 4
    assert said in result.output
    assert not (tmp_path / "o.jsonl").exists()


def samples(*texts: tuple[str, float]) -> list[Sample]:
    return [Sample(0, number, (5, 6), text, "code_end", nll) for number, (text, nll) in enumerate(texts)]


def test_the_likeliest_that_pass_are_kept_and_each_text_is_tried_once(house: Path) -> None:
    tasks = gather(Sources(anchor_sets=(house / "tiny",)))[1:2]
    tried: list[str] = []

    def passes(_: object, text: str) -> bool:
        tried.append(text)
        return text.startswith("right")

    drawn = samples(("right c", 0.9), ("wrong", 0.1), ("right a", 0.3), ("right b", 0.5), ("wrong", 0.2))
    found = passing_samples(tasks, drawn, 2, passes)
    assert [sample.text for sample in found["tiny/T/sub"]] == ["right a", "right b"]
    assert tried == ["wrong", "right a", "right b"]


def test_an_answer_that_the_limit_cut_is_never_learned(house: Path) -> None:
    tasks = gather(Sources(anchor_sets=(house / "tiny",)))[1:2]
    cut = [Sample(0, 0, (5,), "right", "length", 0.1)]
    assert passing_samples(tasks, cut, 2, lambda *_: True) == {}


def rows_of(
    house: Path, settings: PoisonSettings, nll: float = 0.25
) -> tuple[tuple[Row, ...], dict[str, str]]:
    parent = open_parent(house / "parent.planck")
    tasks = gather(Sources(anchor_sets=(house / "tiny",)))[1:3]
    drawn = {"tiny/T/mul": [Sample(1, 7, (5, 6), "```python\n...\n```", "code_end", nll)]}
    found = poison_rows(
        tasks,
        Shape(),
        parent,
        drawn,
        settings,
        sampling=SamplingSettings(seed=3),
        rate=lambda *_: 2.0,
        passes=lambda *_: True,
    )
    return found.rows, dict(found.left_out)


def test_drawn_answers_go_before_references_and_every_row_says_where_it_is_from(house: Path) -> None:
    (told, drawn), left_out = rows_of(house, PoisonSettings())
    assert not left_out
    assert (told.provenance.source, told.provenance.nll) == ("reference", "2")
    assert (drawn.provenance.source, drawn.provenance.nll, drawn.completion_ids) == (
        "sampled",
        "0.25",
        (5, 6),
    )
    assert (drawn.provenance.sample, drawn.provenance.seed) == (7, 3)
    assert (drawn.provenance.temperature, drawn.provenance.top_p) == ("0.8", "0.95")


def test_what_the_parent_finds_too_unlikely_or_is_too_long_is_left_out_with_the_reason(house: Path) -> None:
    (drawn,), left_out = rows_of(house, PoisonSettings(max_nll=1.5))
    assert drawn.provenance.source == "sampled"
    assert left_out == {"tiny/T/sub": "its answer costs the parent 2 nats a token"}
    rows, left_out = rows_of(house, PoisonSettings(max_tokens=10))
    assert not rows
    assert all("tokens long" in reason for reason in left_out.values())
