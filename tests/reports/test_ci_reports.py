"""The reports for CI services against their documented formats and limits."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pytest_anchorgate.reports import github
from pytest_anchorgate.reports.findings import Outcomes, Place, findings, place_of
from pytest_anchorgate.reports.gitlab import code_quality
from pytest_anchorgate.reports.publish import Wishes, publish, remove_stale, wishes_of
from pytest_anchorgate.reports.sarif import sarif
from pytest_anchorgate.reports.terminal import Run
from pytest_anchorgate.verdict import Decision, Judgement, Outcome, Standing

EVIL = "got '%0A::error::x', expected\r\n<img src=x onerror=alert(1)> | `y` **z** [a](b)"


def outcomes(*standings: Standing, reason: str = "add(1, 2) gave -1", card: str = "| - a\n| + b") -> Outcomes:
    judgements = tuple(Judgement(f"T/{i}", s, reason) for i, s in enumerate(standings, 1))
    lost = [j for j in judgements if j.standing is Standing.LOST]
    undecided = [j for j in judgements if j.standing is Standing.UNDECIDED]
    outcome = Outcome.BLOCKED if lost else Outcome.UNDECIDED if undecided else Outcome.PASS
    return Outcomes(
        decision=Decision(outcome, judgements, (), len(judgements)),
        exit_status=int(outcome),
        run=Run(1.0, 1.0, 10, "candidate.planck", "production.planck"),
        places={j.task_id: Place("anchors/anchors.jsonl", i) for i, j in enumerate(judgements, 1)},
        cards={j.task_id: card for j in lost},
    )


MIXED = (Standing.HELD, Standing.UNDECIDED, Standing.GAINED, Standing.LOST, Standing.STILL_FAILING)


def test_losses_come_first_and_what_is_well_is_no_finding() -> None:
    assert [(f.task_id, f.rule) for f in findings(outcomes(*MIXED))] == [
        ("T/4", "negative-flip"),
        ("T/2", "undecided"),
    ]
    assert findings(outcomes(Standing.HELD, Standing.GAINED)) == []


def test_an_annotation_is_one_escaped_workflow_command() -> None:
    lines = github.workflow_commands(outcomes(Standing.LOST, reason="a,b: 100 %\nnext"))
    assert lines == [
        "::error file=anchors/anchors.jsonl,line=1,title=anchorgate%3A T/1 lost::T/1 is lost: a,b: 100 %25\\nnext"
    ]
    (line,) = github.workflow_commands(outcomes(Standing.LOST, reason=EVIL))
    assert "\n" not in line
    assert "\r" not in line
    # GitHub reads a command only at the start of a line, and undoes %0A inside of it: none of theirs may be left.
    assert line.count("%0A") == 0
    assert "%250A" in line


@pytest.mark.parametrize("count", [9, 10, 11, 300])
def test_a_step_never_has_more_annotations_than_github_shows(count: int) -> None:
    lines = github.workflow_commands(outcomes(*[Standing.LOST] * count))
    assert len(lines) == min(count, 10)
    if count > 10:
        assert lines[-1].startswith(f"::error title=anchorgate::{count - 9} more anchors")


def test_the_step_summary_lists_losses_first_and_explains_them() -> None:
    text = github.step_summary(outcomes(*MIXED))
    lines = text.splitlines()
    assert lines[0].startswith("## anchorgate: BLOCKED: 1 anchor that production holds is lost")
    rows = [line for line in lines if line.startswith("| T/")]
    assert rows == [
        "| T/4 | **lost** | add\\(1, 2\\) gave -1 |",
        "| T/2 | **undecided** | add\\(1, 2\\) gave -1 |",
        "| T/3 | gained |  |",
        "| T/5 | still failing | add\\(1, 2\\) gave -1 |",
        "| T/1 | held |  |",
    ]
    assert "<details><summary>T/4: add\\(1, 2\\) gave -1</summary>" in text
    assert "```diff\n| - a\n| + b\n```" in text


def test_words_of_the_model_stay_text_in_the_step_summary() -> None:
    text = github.step_summary(outcomes(Standing.LOST, reason=EVIL, card="```\n<b>\n````"))
    outside = re.sub(r"`````diff\n.*?\n`````", "", text, flags=re.DOTALL)
    assert outside != text  # the fence is longer than any run of backticks inside
    assert "<img" not in outside
    assert "<b>" not in outside
    (row,) = [line for line in outside.splitlines() if line.startswith("| T/1")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 4
    assert re.search(r"(?<!\\)[`*\[]", row.replace("**lost**", "")) is None


def test_the_step_summary_keeps_below_one_mebibyte() -> None:
    big = outcomes(*[Standing.LOST] * 40, card="| é" * 20_000)
    text = github.step_summary(big)
    assert 900_000 < len(text.encode()) < github.SUMMARY_BYTES
    assert re.search(r"\d+ more explanations are in the log", text)
    assert text.count("| **lost** |") == 40
    # What other commands of the step wrote counts too, and a table that does not fit is left out whole.
    assert len(github.step_summary(big, already=900_000).encode()) < github.SUMMARY_BYTES - 900_000
    assert github.step_summary(big, already=github.SUMMARY_BYTES) == ""


def test_code_quality_has_the_required_keys_and_stable_fingerprints() -> None:
    entries = json.loads(code_quality(outcomes(*MIXED)))
    assert [(e["severity"], e["check_name"]) for e in entries] == [
        ("blocker", "anchorgate/negative-flip"),
        ("critical", "anchorgate/undecided"),
    ]
    assert entries[0]["location"] == {"path": "anchors/anchors.jsonl", "lines": {"begin": 4}}
    assert entries[0]["description"] == "T/4 is lost: add(1, 2) gave -1"
    again = json.loads(code_quality(outcomes(*MIXED, reason="another reason")))
    assert [e["fingerprint"] for e in again] == [e["fingerprint"] for e in entries]
    assert len({e["fingerprint"] for e in entries}) == 2
    assert json.loads(code_quality(outcomes(Standing.HELD))) == []


def test_sarif_names_its_rules_and_says_whether_the_gate_did_its_work() -> None:
    log = json.loads(sarif(outcomes(*MIXED)))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert [(r["ruleId"], r["level"]) for r in run["results"]] == [
        ("negative-flip", "error"),
        ("undecided", "warning"),
    ]
    assert {r["ruleId"] for r in run["results"]} <= rules
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] == 4
    assert run["invocations"] == [{"exitCode": 1, "executionSuccessful": True}]
    undecided = json.loads(sarif(outcomes(Standing.UNDECIDED)))
    assert undecided["runs"][0]["invocations"] == [{"exitCode": 11, "executionSuccessful": False}]


def test_a_path_is_relative_to_the_checkout_or_bare() -> None:
    root = Path("/checkout")
    assert place_of(root / "anchors" / "anchors.jsonl", 3, root) == Place("anchors/anchors.jsonl", 3)
    assert place_of(Path("/elsewhere/anchors.jsonl"), 3, root) == Place("anchors.jsonl", 3)


@pytest.mark.parametrize(
    ("option", "actions", "on"),
    [("auto", "true", True), ("auto", "", False), ("off", "true", False), ("on", "", True)],
)
def test_github_is_spoken_to_where_it_listens(option: str, actions: str, on: bool) -> None:
    environment = {"GITHUB_ACTIONS": actions, "GITHUB_STEP_SUMMARY": "/s"}
    wishes = wishes_of(option, None, None, environment)
    assert wishes == Wishes(on, Path("/s") if on else None, None, None)


def test_publishing_appends_to_the_summary_and_replaces_the_rest(tmp_path: Path) -> None:
    wishes = Wishes(True, tmp_path / "summary.md", tmp_path / "quality.json", tmp_path / "a.sarif")
    (tmp_path / "summary.md").write_text("before\n")
    (tmp_path / "quality.json").write_text("old")
    said: list[str] = []
    assert publish(outcomes(Standing.LOST), wishes, said.append) == []
    assert said[0].startswith("::error ")
    assert (tmp_path / "summary.md").read_text().startswith("before\n## anchorgate: BLOCKED")
    assert len(json.loads((tmp_path / "quality.json").read_text())) == 1
    remove_stale(wishes)
    assert [p.name for p in tmp_path.iterdir()] == ["summary.md"]


def test_a_report_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    wishes = Wishes(code_quality=tmp_path / "gone" / "quality.json", sarif=tmp_path / "a.sarif")
    (line,) = publish(outcomes(Standing.LOST), wishes, print)
    assert line == f"{wishes.code_quality} could not be written: No such file or directory"
    assert json.loads((tmp_path / "a.sarif").read_text())["version"] == "2.1.0"
