from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_anchorgate.cli import main
from pytest_anchorgate.surgery.attempts import append, read_ledger
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.history import begin_ledger
from pytest_anchorgate.surgery.report import NOT_MEASURED, cell, render

GROUP = {
    "tasks": 19,
    "before": 19,
    "after": 17,
    "lost": ["bd6/MBPP/17", "bd6/MBPP/19"],
    "won": [],
    "both_wrong_changed": 0,
    "both_right_changed": 4,
    "undecided": [],
    "nfr": "0.105",
    "nfr_of_held": "0.105",
    "mcnemar_p": "0.5",
}
RECORD: dict[str, Any] = {
    "name": "path-a",
    "organ": "tiny",
    "seed": 2,
    "status": "blocked",
    "parent": {"name": "base", "identity": "ab" * 32},
    "pack": {"identity": "cd" * 32, "scale": "0.5", "adapter": "ef" * 32, "tensors_changed": 96},
    "settings": {
        "dataset": "fresh + kept",
        "rows": 245,
        "retain_rows": 120,
        "rank": 8,
        "alpha": "16",
        "lr": "1e-4",
        "epochs": 1,
        "losses": {"poison_ce": "1", "retain_ce": "1"},
        "trainable": 1081344,
        "parameters": 494032768,
        "trainable_percent": "0.22",
    },
    "training": {
        "steps": 62,
        "machine": ["cpu", "float32"],
        "seconds": "12.5",
        "final_loss": "0.4484",
        "anchors": {"rows": 19, "certified": 15, "least_margin": "-0.5", "kl_mean": "0.01", "kl_max": "0.2"},
    },
    "scores": {
        "anchors": {"before": 19, "after": 17, "of": 19, "revert": 19},
        "mbpp100": {"before": 13, "after": 15, "of": 100},
    },
    "gate": {
        "tasks": ["bd6/MBPP/17", "bd6/MBPP/19"],
        "before": ["bd6/MBPP/17"],
        "after": [],
        "revert": ["bd6/MBPP/17"],
    },
    "comparisons": {"gate": GROUP, "held out": {**GROUP, "lost": [], "won": ["MBPP/99"]}},
    "partings": [
        {"task_id": "bd6/MBPP/17", "token": 3, "parent_margin": None, "held": False, "reason": "a | b `c`"}
    ],
    "files": ["attempts/path-a-s2/train"],
}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.jsonl"
    begin_ledger(path)
    append(path, RECORD)
    return path


def table_row(text: str, label: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {label} |"))
    return [entry.strip() for entry in line.strip("|").split(" | ")][1:]


def test_the_table_sets_the_attempt_beside_the_reports_own(ledger: Path) -> None:
    text = render(read_ledger(ledger))
    assert table_row(text, "") == [
        "BD6 pass-1 (published)",
        "BD6.2 (published)",
        "BD6.3 (published)",
        "path-a (seed 2)",
    ]
    assert table_row(text, "rank") == ["16", "16", "8", "8"]
    assert table_row(text, "trainable %") == ["0.44", "0.44", "0.22", "0.22"]
    assert table_row(text, "final loss") == ["0.21", "0.18", "0.45", "0.4484"]
    assert table_row(text, "anchors")[2:] == ["19 -\\> 0 / 19", "19 -\\> 17 / 19"]
    assert table_row(text, "MBPP") == ["13 / 100", "6 / 100", NOT_MEASURED, "13 -\\> 15 / 100"]
    assert table_row(text, "HumanEval")[3] == NOT_MEASURED
    assert table_row(text, "won, held out") == [NOT_MEASURED] * 3 + ["1"]


def test_it_has_the_reports_parts_and_the_measured_figures(ledger: Path) -> None:
    text = render(read_ledger(ledger))
    assert text.startswith("# path-a (seed 2): anchor gate FAILED\n")
    for part in ("Pipeline", "Settings vs. previous attempts", "Anchors", "Flips", "Why", "Files"):
        assert f"\n## {part}\n" in text
    assert "Pre-merge, on the parent: **1 of 2 held.**" in text
    assert "Post-merge, on the attempt: **0 of 2 held.**" in text
    assert "Post-revert, on the parent again: **1 of 2 held.**" in text
    assert "| bd6/MBPP/17 | 3 | not measured | no | a \\| b \\`c\\` |" in text
    assert "15 of 19 anchor rows" in text
    assert "attempts/path-a-s2/train" in text
    assert "loss rate" not in text


def test_nothing_lost_is_bounded_and_nothing_reverted(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    held = {**GROUP, "lost": [], "after": 19}
    gate = {key: value for key, value in RECORD["gate"].items() if key != "revert"}
    append(path, {**RECORD, "status": "held", "comparisons": {"gate": held}, "gate": gate})
    text = render(read_ledger(path))
    assert "0 of 19 lost bounds the loss rate below 14.6 %" in text
    assert "Post-revert: not measured" in text


def test_a_record_with_nothing_in_it_says_not_measured_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    begin_ledger(path)
    text = render(read_ledger(path), "BD6.3")
    assert "Figures as the BD6 report published them" in text
    assert text.count(NOT_MEASURED) >= 5
    assert "19 -> 0 / 19" in text


def test_the_command_writes_it(ledger: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.md"
    result = CliRunner().invoke(main, ["surgery", "report", str(ledger), "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert output.read_text() == render(read_ledger(ledger))
    unknown = CliRunner().invoke(main, ["surgery", "report", str(ledger), "--attempt", "x"])
    assert (unknown.exit_code, "has no attempt 'x'" in unknown.output) == (4, True)


def test_an_empty_ledger_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(SurgeryError, match="holds no attempts"):
        render(read_ledger(tmp_path / "none.jsonl"))


def test_what_a_model_said_cannot_break_out_of_its_cell() -> None:
    assert cell("a\n| <b> `x` [y](z)") == "a \\| \\<b\\> \\`x\\` \\[y\\](z)"
