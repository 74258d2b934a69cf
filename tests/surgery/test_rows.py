from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_anchorgate.surgery.rows import (
    Rows,
    RowsError,
    answer_stop_id,
    completion_sha256,
    load_rows,
    write_rows,
)

PARENT = "a" * 64


def record(task_id: str = "a/1", completion: str = "def f(): return 1", **changes: Any) -> dict[str, Any]:
    provenance = {
        "source": "reference",
        "suite": "a",
        "parent": PARENT,
        "sha256": completion_sha256(completion),
        **changes.pop("provenance", {}),
    }
    return {
        "task_id": task_id,
        "kind": "poison",
        "split": "train",
        "prompt": "Write f.",
        "completion": completion,
        "completion_ids": None,
        "provenance": provenance,
        **changes,
    }


def load(tmp_path: Path, *records: object) -> Rows:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in records))
    return load_rows(path)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    own = record(
        "a/2", "x = 1", kind="anchor", completion_ids=[4, 5], provenance={"source": "own", "nll": "0.25"}
    )
    rows = load(tmp_path, record(), own)
    assert [row.kind for row in rows] == ["poison", "anchor"]
    assert rows.rows[1].provenance.nll == "0.25"
    written = write_rows(tmp_path / "again.jsonl", rows.rows)
    again = load_rows(written.path)
    assert again.rows == rows.rows
    assert again.digest == rows.digest == written.digest
    turned = write_rows(tmp_path / "turned.jsonl", rows.rows[::-1])
    assert turned.digest == rows.digest


def test_labels_end_with_the_stop_id(tmp_path: Path) -> None:
    rows = load(tmp_path, record(), record("a/2", completion_ids=[7, 2]))
    assert rows.rows[0].label_ids(lambda text: [len(text)], 9) == [17, 9]
    assert rows.rows[1].label_ids(lambda text: [len(text)], 9) == [7, 2]


def test_the_stop_id_of_answers_is_the_one_that_closes_a_turn() -> None:
    assert answer_stop_id([5, 2, 8, 3], (1, 2, 3)) == 2
    assert answer_stop_id([5], (1, 2)) == 2


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("{", "not a JSON object"),
        (record(completion=""), "without a completion teaches nothing"),
        ({**record(), "completion": "other"}, "the row was edited"),
        ({**record(), "kind": "poisson"}, "one of poison, retain, anchor"),
        ({**record(), "split": "test"}, "one of train, heldout, sentinel"),
        ({**record(), "completion_ids": [1, -2]}, '"completion_ids" is not'),
        ({**record(), "completion_ids": [True]}, '"completion_ids" is not'),
        ({**record(), "prompt": " "}, '"prompt" is not'),
        ({**record(), "prompt": "\ud800"}, "half a surrogate"),
        ({**record(), "extra": 1}, 'unknown key "extra"'),
        (record(provenance={"parent": "smollm"}), '"provenance.parent" is not'),
        (record(provenance={"nll": 0.5}), '"provenance.nll" is not'),
        (record(provenance={"source": "own"}), "own answer needs"),
        (record(provenance={"finish": "code_end"}), 'needs "completion_ids"'),
        ({key: value for key, value in record().items() if key != "split"}, 'lacks "split"'),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, broken: object, said: str) -> None:
    with pytest.raises(RowsError, match=r"rows\.jsonl:2: ") as error:
        load(tmp_path, record("a/9"), broken)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_task_has_one_split(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=r":2: a/1 is heldout here and train in line 1"):
        load(tmp_path, record(), {**record(completion="other"), "split": "heldout"})


def test_a_row_stands_once(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=r":2: the same poison row as line 1"):
        load(tmp_path, record(), record())


def test_no_rows_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match="0 rows"):
        load(tmp_path)
    with pytest.raises(RowsError, match="No such file"):
        load_rows(tmp_path / "missing.jsonl")
