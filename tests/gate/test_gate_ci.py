"""Reports for CI services, end to end."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from gate_house import Gate


def test_a_loss_reaches_every_service(
    gate: Gate, dist: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    files = ("--anchorgate-codequality=quality.json", "--anchorgate-sarif=gate.sarif", "--junitxml=junit.xml")
    result = gate.run(*dist, *files, pack="loses")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["::error file=anchors/anchors.jsonl,line=1,title=anchorgate%3A T/1 lost::T/1 is*"]
    )
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("## anchorgate: BLOCKED: 1 anchor that production holds is lost")
    assert "return a - b" in summary
    folder = gate.pytester.path
    (entry,) = json.loads((folder / "quality.json").read_text())
    assert entry["location"]["path"] == "anchors/anchors.jsonl"
    (run,) = json.loads((folder / "gate.sarif").read_text())["runs"]
    assert run["invocations"][0]["exitCode"] == 1
    cases = ET.parse(folder / "junit.xml").getroot().iter("testcase")
    standings = {
        case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")} for case in cases
    }
    assert standings["anchor[T/1]"]["anchorgate.standing"] == "lost"
    assert standings["anchor[T/17]"]["anchorgate.standing"] == "held"
    assert standings["anchor[T/170]"]["anchorgate.standing"] == "still failing"


def test_a_green_run_leaves_empty_findings_and_no_annotation(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    result = gate.run("--anchorgate-codequality=quality.json")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*::error*")
    assert json.loads((gate.pytester.path / "quality.json").read_text()) == []


def test_readable_junit_properties_can_be_switched_off(gate: Gate) -> None:
    gate.pytester.makeini("[pytest]\nanchorgate_junit_properties = false\n")
    assert gate.run("--junitxml=junit.xml").ret == 0
    assert "anchorgate.standing" not in (gate.pytester.path / "junit.xml").read_text()


def test_a_run_that_does_not_begin_leaves_no_old_report(gate: Gate) -> None:
    report = gate.pytester.path / "quality.json"
    report.write_text("[]")
    result = gate.run("--anchorgate-codequality=quality.json", "--anchorgate-baseline=gone.json")
    assert result.ret == 4
    assert not report.exists()


def test_a_report_nowhere_is_a_usage_error(gate: Gate) -> None:
    result = gate.run("--anchorgate-sarif=gone/gate.sarif")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["*--anchorgate-sarif is 'gone/gate.sarif': name a file in a folder that exists"]
    )
