from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_anchorgate.cli import main
from pytest_anchorgate.surgery.attempts import FIRST, PUBLISHED, append, read_ledger, repair
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.history import begin_ledger, published


def attempt(name: str = "a", **more: Any) -> dict[str, Any]:
    return {"name": name, "status": "held", **more}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.jsonl"
    for name in "abc":
        append(path, attempt(name, seed=1))
    return path


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["surgery", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_each_line_names_the_one_before(ledger: Path) -> None:
    found = read_ledger(ledger)
    assert [one.number for one in found] == [1, 2, 3]
    assert found.attempts[0].previous == FIRST
    assert [one.previous for one in found][1:] == [one.digest for one in found][:-1]
    assert found.head == found.attempts[-1].digest
    assert found.find("b", 1) is found.attempts[1]
    assert found.find("b", 2) is None


def test_a_missing_ledger_is_an_empty_one(tmp_path: Path) -> None:
    assert len(read_ledger(tmp_path / "none.jsonl")) == 0


@pytest.mark.parametrize("line", [0, 1])
def test_a_changed_line_breaks_the_chain(ledger: Path, line: int) -> None:
    lines = ledger.read_text().splitlines()
    lines[line] = lines[line].replace('"held"', '"lost"')
    ledger.write_text("\n".join(lines) + "\n")
    with pytest.raises(SurgeryError, match=rf"ledger\.jsonl:{line + 2}: the chain breaks here"):
        read_ledger(ledger)


def test_the_last_line_is_pinned_by_its_digest(ledger: Path) -> None:
    head = read_ledger(ledger).head
    assert run("attempts", "verify", ledger, "--head", head)[0] == 0
    lines = ledger.read_text().splitlines()
    ledger.write_text("\n".join(lines[:-1]) + "\n")
    status, said = run("attempts", "verify", ledger, "--head", head)
    assert status == 4
    assert "lines are missing or new" in said


def test_a_dropped_or_moved_line_breaks_the_chain(ledger: Path) -> None:
    first, second, third = ledger.read_text().splitlines()
    for lines in ([first, third], [second, third], [first, third, second]):
        ledger.write_text("\n".join(lines) + "\n")
        with pytest.raises(SurgeryError, match="the chain breaks here"):
            read_ledger(ledger)


def test_another_spelling_of_a_line_is_an_edit(ledger: Path) -> None:
    lines = ledger.read_text().splitlines()
    lines[2] = json.dumps(json.loads(lines[2]), sort_keys=True)
    ledger.write_text("\n".join(lines) + "\n")
    with pytest.raises(SurgeryError, match=r":3: not in the form"):
        read_ledger(ledger)


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_torn_last_line_is_reported_and_moved_aside_never_dropped(ledger: Path, kept: int) -> None:
    whole = ledger.read_bytes()
    last = whole.splitlines(keepends=True)[-1][:kept]
    torn = whole[: len(whole) - len(whole.splitlines(keepends=True)[-1])] + last
    ledger.write_bytes(torn)
    assert read_ledger(ledger).torn == last
    with pytest.raises(SurgeryError, match=r":3: the last line is torn"):
        append(ledger, attempt("d"))
    status, said = run("attempts", "list", ledger)
    assert (status, "2 attempts are whole" in said) == (4, True)
    assert ledger.read_bytes() == torn

    assert run("attempts", "verify", ledger, "--repair")[0] == 0
    aside = list(ledger.parent.glob("ledger.jsonl.torn-*"))
    assert [path.read_bytes() for path in aside] == [last]
    assert append(ledger, attempt("d")).number == 3
    assert repair(ledger) is None


def test_a_full_disk_leaves_the_ledger_as_it_was(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ledger.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        append(ledger, attempt("d"))
    monkeypatch.undo()
    assert ledger.read_bytes() == before
    assert append(ledger, attempt("d")).number == 4


def test_several_at_a_time_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: (begin_ledger(path), append(path, attempt(f"n{i}"))), range(12)))
    found = read_ledger(path)
    assert len(found) == 12 + len(published())
    assert {one.name for one in found} >= {f"n{i}" for i in range(12)}


def test_an_attempt_has_a_name_and_a_status(tmp_path: Path) -> None:
    for broken in ({"status": "held"}, {"name": "a"}, {"name": "", "status": "held"}):
        with pytest.raises(SurgeryError, match="the attempt lacks"):
            append(tmp_path / "l.jsonl", broken)


def test_the_reports_attempts_come_first_and_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    begin_ledger(path)
    begin_ledger(path)
    found = read_ledger(path)
    assert [one.name for one in found] == ["BD6 pass-1", "BD6.2", "BD6.3"]
    assert {one.origin for one in found} == {PUBLISHED}
    scores = {one.name: one.attempt["scores"] for one in found}
    assert scores["BD6 pass-1"]["mbpp100"]["after"] == 13
    assert scores["BD6.2"]["humaneval"]["after"] == 8
    assert scores["BD6.3"]["anchors"] == {"before": 19, "after": 0, "revert": 19, "of": 19}
    assert "mbpp100" not in scores["BD6.3"]


def test_the_command_adds_and_lists(tmp_path: Path) -> None:
    ledger, record = tmp_path / "ledger.jsonl", tmp_path / "record.json"
    record.write_text(json.dumps(attempt("mine", scores={"mbpp100": {"after": 3, "of": 100}})))
    assert run("attempts", "add", ledger, record)[0] == 0
    status, said = run("attempts", "list", ledger)
    assert status == 0
    assert "mine: held; mbpp100 3 / 100" in said
    assert "BD6.3: archived; anchors 19 -> 0 / 19 (published in the report, not ours)" in said


@pytest.mark.parametrize(
    ("text", "said"), [("[]", "not a JSON object"), ("{", "not JSON"), ('{"name": "x"}', 'lacks "status"')]
)
def test_a_record_that_is_none_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    record = tmp_path / "record.json"
    record.write_text(text)
    status, words = run("attempts", "add", tmp_path / "ledger.jsonl", record)
    assert status == 4
    assert said in words
    assert len(words.splitlines()) == 1


def test_no_ledger_is_one_line(tmp_path: Path) -> None:
    status, said = run("attempts", "list", tmp_path / "none.jsonl")
    assert (status, "there is no such ledger" in said) == (4, True)
