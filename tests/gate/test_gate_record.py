"""`anchorgate record`: the same bytes each time, never in CI, and nothing dropped without a word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from gate_house import Gate, House, anchor_lines, write_anchors

from pytest_anchorgate import anchor_verdict
from pytest_anchorgate.cli import main
from pytest_anchorgate.sandbox import Verdict


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_anchors(tmp_path / "anchors" / "anchors.jsonl", anchor_lines())
    return tmp_path


def record(house: House, folder: Path, pack: str, *args: str, ci: str = "") -> Result:
    command = ["record", "--pack", str(house.pack(pack)), "--anchors", str(folder / "anchors"), *args]
    return CliRunner(env={"CI": ci}).invoke(main, command)


def test_recording_tells_what_is_held_and_repeats_itself_to_the_byte(house: House, folder: Path) -> None:
    result = record(house, folder, "production")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "T/1    held"
    assert lines[1] == "T/17   held"
    assert lines[2].startswith("T/170  not held: failed: ")
    assert (
        lines[4]
        == f"2 of 4 anchors held by production.planck: written to {folder / 'anchors' / 'baseline.json'}"
    )
    written = (folder / "anchors" / "baseline.json").read_bytes()
    assert written == (house.anchors.parent / "baseline.json").read_bytes()
    assert record(house, folder, "production", "--threads=2").exit_code == 0
    assert (folder / "anchors" / "baseline.json").read_bytes() == written


def test_the_gate_on_the_recorded_pack_passes(gate: Gate, house: House) -> None:
    target = gate.pytester.path / "anchors" / "baseline.json"
    target.unlink()
    assert record(house, gate.pytester.path, "solves-all").exit_code == 0
    result = gate.run(pack="solves-all")
    assert result.ret == 0
    assert "PASS: all 4 anchors that production holds are held (exit status 0)" in result.outlines
    assert gate.run(pack="production").ret == 1


def test_never_in_ci(house: House, folder: Path) -> None:
    result = record(house, folder, "production", ci="true")
    assert result.exit_code == 4
    assert result.stderr == (
        "Error: the environment variable CI is set: a baseline is recorded by a person and reviewed, "
        "never by the job that it judges\n"
    )
    assert not (folder / "anchors" / "baseline.json").exists()


def test_what_was_held_is_dropped_with_a_reason_only(house: House, folder: Path) -> None:
    target = folder / "anchors" / "baseline.json"
    assert record(house, folder, "production").exit_code == 0
    before = target.read_bytes()
    refused = record(house, folder, "loses")
    assert refused.exit_code == 4
    assert refused.stderr.splitlines()[-1] == (
        f"Error: {target} holds T/1, which loses.planck does not hold: "
        "give --reason TEXT to drop them for good"
    )
    assert target.read_bytes() == before
    assert record(house, folder, "loses", "--reason", "nobody adds any more").exit_code == 0
    (dropped,) = json.loads(target.read_text())["dropped"]
    assert (dropped["task_id"], dropped["reason"]) == ("T/1", "nobody adds any more")
    assert record(house, folder, "production").exit_code == 0
    assert json.loads(target.read_text())["dropped"] == [dropped]


def test_an_anchor_that_leaves_the_set_is_dropped_too(house: House, folder: Path) -> None:
    assert record(house, folder, "production").exit_code == 0
    write_anchors(folder / "anchors" / "anchors.jsonl", anchor_lines()[1:])
    result = record(house, folder, "production")
    assert result.exit_code == 4
    assert "holds T/1, which production.planck does not hold" in result.stderr


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (
            Verdict("timeout", "took too long"),
            "T/1 is flaky: the same answer was judged passed (fine), then timeout (took too long)",
        ),
        (Verdict("error", "no sandbox"), "T/1 could not be judged: error: no sandbox"),
    ],
)
def test_a_judgement_that_wavers_is_not_recorded(
    house: House, folder: Path, monkeypatch: pytest.MonkeyPatch, second: Verdict, words: str
) -> None:
    calls: list[str] = []

    def wavering(code: str, *, entry_point: str, **_: object) -> Verdict:
        calls.append(entry_point)
        return second if calls.count("add") == 2 and entry_point == "add" else Verdict("passed", "fine")

    monkeypatch.setattr(anchor_verdict, "verify", wavering)
    result = record(house, folder, "production")
    assert result.exit_code == 11
    assert result.stderr.splitlines()[-1] == f"Error: {words}"
    assert not (folder / "anchors" / "baseline.json").exists()


def test_mistakes_exit_with_4(house: House, folder: Path) -> None:
    target = folder / "anchors" / "baseline.json"
    target.write_text("{}")
    assert "lacks 'schema'" in record(house, folder, "production").stderr
    assert (
        "is not a folder" in record(house, folder, "production", "-o", str(folder / "no" / "b.json")).stderr
    )
    for args in (
        ["record"],
        ["record", "--pack", "p", "--nonsense"],
        ["nonsense"],
        ["record", "--pack", "p", "--threads=0"],
    ):
        result = CliRunner(env={"CI": ""}).invoke(main, args)
        assert result.exit_code == 4, args
        assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_help_and_version_are_quick() -> None:
    import subprocess
    import sys

    source = """
import sys
from pytest_anchorgate.cli import main
try:
    main(["--help"])
except SystemExit as end:
    assert end.code == 0
print(sorted({"numpy", "pytest", "pytest_anchorgate._organ", "rich"} & sys.modules.keys()))
"""
    result = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    for name in ("record", "pack", "anchors"):
        assert f"  {name} " in result.stdout
    assert CliRunner().invoke(main, ["--version"]).output.startswith("anchorgate, version ")
