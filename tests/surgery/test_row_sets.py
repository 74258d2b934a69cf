from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_anchorgate.cli import main
from pytest_anchorgate.surgery.row_algebra import combine
from pytest_anchorgate.surgery.rows import Provenance, Row, Rows, completion_sha256, load_rows, write_rows
from pytest_anchorgate.surgery.splits import chosen, poison_split, retain_split


def row(task_id: str, text: str = "x", kind: str = "poison", split: str = "train") -> Row:
    provenance = Provenance("reference", "t", "a" * 64, completion_sha256(text))
    return Row(task_id, kind, split, "p", text, None, provenance)


def rows(*entries: Row) -> Rows:
    return Rows(entries, "", Path("x"))


V1 = rows(row("a"), row("b"), row("b", "y"))
V2 = rows(row("b", "z"), row("c"))


def told(found: list[Row]) -> list[tuple[str, str]]:
    return [(one.task_id, one.completion) for one in found]


def test_a_union_takes_a_task_from_the_first_file_that_has_it() -> None:
    assert told(combine("union", [V1, V2])) == [("a", "x"), ("b", "x"), ("b", "y"), ("c", "x")]
    assert told(combine("union", [V2, V1])) == [("b", "z"), ("c", "x"), ("a", "x")]


def test_a_union_keeps_a_task_under_both_kinds() -> None:
    kept = rows(row("a", kind="retain"))
    assert len(combine("union", [V1, kept])) == 4


def test_difference_and_intersection_are_by_task() -> None:
    assert told(combine("minus", [V1, V2])) == [("a", "x")]
    assert told(combine("minus", [V1, V2, rows(row("a"))])) == []
    assert told(combine("intersect", [V1, V2])) == [("b", "x"), ("b", "y")]


def test_the_command_writes_rows_and_their_history(tmp_path: Path) -> None:
    one, two = (write_rows(tmp_path / name, file.rows) for name, file in (("v1.jsonl", V1), ("v2.jsonl", V2)))
    output = tmp_path / "union.jsonl"
    arguments = ["surgery", "rows", "union", str(one.path), str(two.path), "-o", str(output)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    written = load_rows(output)
    record = json.loads((tmp_path / "union.provenance.json").read_text())
    assert record["digest"] == written.digest
    assert record["of"] == {"v1.jsonl": one.digest, "v2.jsonl": two.digest}
    assert record["splits"] == {"poison/train": 4}

    again = CliRunner().invoke(main, arguments)
    assert (again.exit_code, "give --force" in again.output) == (4, True)
    nothing = [*arguments[:2], "minus", str(one.path), str(one.path), "-o", str(tmp_path / "none.jsonl")]
    empty = CliRunner().invoke(main, nothing)
    assert (empty.exit_code, "has no rows" in empty.output) == (4, True)
    assert not (tmp_path / "none.jsonl").exists()


def test_a_row_without_a_reference_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    write_rows(path, V1.rows)
    lines = path.read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), "completion": ""})
    path.write_text("\n".join(lines) + "\n")
    result = CliRunner().invoke(
        main, ["surgery", "rows", "union", str(path), "-o", str(tmp_path / "o.jsonl")]
    )
    assert result.exit_code == 4
    assert "v.jsonl:2: a row without a completion teaches nothing" in result.output
    assert len(result.output.splitlines()) == 1


def test_a_split_is_decided_by_the_id_alone() -> None:
    ids = [f"MBPP/{number}" for number in range(2000)]
    heldout = {task for task in ids if poison_split(task, 15, gate=False) == "heldout"}
    assert 240 < len(heldout) < 360
    # More held out means the same ones and some more.
    assert heldout < {task for task in ids if poison_split(task, 20, gate=False) == "heldout"}
    assert chosen("MBPP/17", "heldout", 0) is False
    assert chosen("MBPP/17", "heldout", 100) is True


def test_sentinels_are_others_than_the_held_out_and_both_are_watched() -> None:
    ids = [f"MBPP/{number}" for number in range(2000)]
    watched = {task for task in ids if retain_split(task, 20, gate=False, heldout=15) == "sentinel"}
    heldout = {task for task in ids if poison_split(task, 15, gate=False) == "heldout"}
    assert heldout < watched
    assert 0.28 < len(watched) / len(ids) < 0.36


@pytest.mark.parametrize("number", range(50))
def test_a_task_of_the_gate_is_always_trained_on(number: int) -> None:
    assert poison_split(f"bd6/{number}", 99, gate=True) == "train"
    assert retain_split(f"bd6/{number}", 99, gate=True, heldout=99) == "train"
