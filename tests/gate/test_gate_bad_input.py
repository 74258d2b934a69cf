"""Mistakes of the user: one clear line, exit status 4, before any worker or engine starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gate_house import Gate, anchor_lines, write_anchors

from pytest_anchorgate.anchors import read_anchors
from pytest_anchorgate.places import find_anchors


def refused(gate: Gate, *args: str, pack: str | None = "production") -> str:
    result = gate.run(*args, pack=pack)
    assert result.ret == 4
    errors = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(errors) == 1
    assert not result.outlines
    return errors[0].removeprefix("ERROR: ")


def test_no_baseline(gate: Gate) -> None:
    path = gate.pytester.path / "anchors" / "baseline.json"
    path.unlink()
    assert refused(gate) == (
        f"no baseline at {path}: record one with `anchorgate record --pack PRODUCTION -o {path}`, "
        "PRODUCTION being the pack that is in use now"
    )


def test_missing_pack(gate: Gate) -> None:
    line = refused(gate, "--pack=nowhere/candidate.planck", pack=None)
    assert "nowhere/candidate.planck" in line


def test_truncated_pack(gate: Gate) -> None:
    pack = gate.house.pack("production").read_bytes()
    for size in (4, 2000, len(pack) - 64):
        path = gate.pytester.path / "cut.planck"
        path.write_bytes(pack[:size])
        assert "cut.planck" in refused(gate, "--pack=cut.planck", pack=None)


def test_not_a_pack(gate: Gate) -> None:
    (gate.pytester.path / "notes.planck").write_text(
        "# Notes\n\nThis is not a pack but a text of some length.\n"
    )
    assert "notes.planck" in refused(gate, "--pack=notes.planck", pack=None)


def test_unknown_recipe(gate: Gate) -> None:
    assert "smollm9" in refused(gate, "--pack=smollm9-1t", pack=None)


def test_empty_pack_option(gate: Gate) -> None:
    assert refused(gate, "--pack=", pack=None) == "--pack is empty: name a .planck file or a recipe"


def test_a_broken_line_of_the_anchors(gate: Gate) -> None:
    path = gate.pytester.path / "anchors" / "anchors.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1][:-9], *lines[2:]]) + "\n")
    assert refused(gate).startswith(f"{path}:2: not JSON at column ")


def test_a_duplicate_id(gate: Gate) -> None:
    lines = anchor_lines()
    path = write_anchors(gate.pytester.path / "anchors" / "anchors.jsonl", [*lines, lines[0]])
    assert refused(gate).startswith(f"{path}:5: task_id T/1 is already taken by line 1")


def test_an_empty_set(gate: Gate) -> None:
    path = write_anchors(gate.pytester.path / "anchors" / "anchors.jsonl", [])
    assert refused(gate).startswith(f"{path}: 0 anchors prove nothing")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:3], "gone: T/19"),
        (lambda lines: [*lines, {**lines[0], "task_id": "T/2"}], "new: T/2"),
        (lambda lines: [{**lines[0], "prompt": "Other."}, *lines[1:]], "changed: T/1"),
    ],
)
def test_a_baseline_of_another_anchor_set(gate: Gate, change: object, words: str) -> None:
    assert callable(change)
    write_anchors(gate.pytester.path / "anchors" / "anchors.jsonl", change(anchor_lines()))
    path = gate.pytester.path / "anchors" / "baseline.json"
    line = refused(gate)
    digest = json.loads(path.read_text())["anchors_digest"][:12]
    assert line.startswith(
        f"baseline {path} was recorded for another anchor set (digest {digest}, this set is "
    )
    assert line.endswith(f"; {words}): record a new one with `anchorgate record --pack PRODUCTION`")


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda text: text[:0], "not JSON: Expecting value"),
        (lambda text: text.replace('"schema": 1', '"schema": 2'), "schema is 2, this release reads 1"),
        (
            lambda text: text.replace('"held": true', '"held": false', 1),
            "anchors.T/1.held is not in agreement",
        ),
        (lambda text: text.replace('"numerics"', '"numbers"'), "the file lacks 'numerics'"),
        (
            lambda text: text.replace('"margins": [', '"margins": [1.0, ', 1),
            "anchors.T/1.margins is not as long",
        ),
        (
            lambda text: text.replace('"margins": [', '"margins": [NaN, ', 1),
            "NaN is not a number that JSON has",
        ),
    ],
)
def test_a_broken_baseline(gate: Gate, break_it: object, words: str) -> None:
    path = gate.pytester.path / "anchors" / "baseline.json"
    assert callable(break_it)
    path.write_text(break_it(path.read_text()))
    line = refused(gate)
    assert line.startswith(f"{path}: ")
    assert words in line


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("--anchorgate-timeout=soon", "--anchorgate-timeout is 'soon', not a positive number of seconds"),
        ("--anchorgate-timeout=0", "--anchorgate-timeout is '0', not a positive number of seconds"),
        ("--anchorgate-threads=0", "--anchorgate-threads is '0', not a number from 1 to 1024"),
        ("--anchorgate-anchors=", "--anchorgate-anchors is empty: name a path"),
    ],
)
def test_options_that_make_no_sense(gate: Gate, option: str, line: str) -> None:
    assert refused(gate, option) == line


def test_anchors_that_are_not_there(gate: Gate) -> None:
    place = Path(gate.pytester.path) / "nowhere"
    assert refused(gate, "--anchorgate-anchors=nowhere").startswith(f"{place}: does not exist")


def test_workers_do_not_start_on_bad_input(gate: Gate) -> None:
    assert "smollm9" in refused(gate, "--pack=smollm9-1t", "-n2", pack=None)


def test_a_pack_without_identity(gate: Gate) -> None:
    pack = gate.house.pack("production").read_bytes()
    path = gate.pytester.path / "anonymous.planck"
    path.write_bytes(pack.replace(b"planck.identity", b"planck.identitx", 1))
    assert refused(gate, f"--pack={path}", pack=None) == f"{path}: metadata lacks planck.identity"


def test_without_anchors_of_its_own_a_project_gets_the_set_that_comes_along(tmp_path: Path) -> None:
    place = find_anchors(tmp_path)
    assert len(read_anchors(place).anchors) == 19
    (tmp_path / "anchors").mkdir()
    assert find_anchors(tmp_path) == place
    write_anchors(tmp_path / "anchors" / "mine" / "anchors.jsonl", anchor_lines())
    assert find_anchors(tmp_path) == tmp_path / "anchors"
    assert len(read_anchors(find_anchors(tmp_path)).anchors) == 4
