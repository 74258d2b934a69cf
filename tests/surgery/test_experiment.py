"""The whole way on an organ that knows 19 functions: results, rows, training, merge, gate, ledger, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from click.testing import CliRunner, Result

from pytest_anchorgate.cli import main
from pytest_anchorgate.surgery import tasks
from pytest_anchorgate.surgery.attempts import Attempt, read_ledger
from pytest_anchorgate.surgery.rows import load_rows

if TYPE_CHECKING:
    from small_organ import Learned

# Five tasks of a made-up MBPP, none of which the organ knows. With 30 % held out, MBPP/13 is.
BODIES = ["a + 3", "a - 3", "a * 3", "a + 4", "a - 4"]
NUMBERS = range(11, 16)
HOT = "epochs: 4, lora: {rank: 8, alpha: 32}, optimizer: {lr: 1e-2}, certificate: {stop: false}"
MACHINE = "machine: {device: cpu, threads: 1}"
PLAN = f"""\
organ: tiny
parent: PARENT
anchors: [nineteen]
suites: [mbpp100]
data:
  v1: {{poison: base, heldout: 30}}
  kept: {{retain: base, heldout: 30}}
  v2: {{poison: hot, samples: 2, batch: 8, temperature: 0.5, heldout: 30}}
  union: {{union: [v1, v2]}}
attempts:
  hot:
    rows: [v1]
    like: BD6.3
    train: {{{HOT}, losses: {{retain_ce: 0, kl: 0}}, {MACHINE}}}
  path-a:
    rows: [v1, kept]
    seeds: [3]
    note: the parent's own answers in the mix
    train:
      {{epochs: 24, lora: {{rank: 8, alpha: 32}}, optimizer: {{lr: 2e-3}}, certificate: {{stop: false}}, {MACHINE},
       losses: {{retain_ce: 4, kl: 0}}}}
  rescued:
    rows: [v1]
    scales: ["0.05", "1"]
    train: {{{HOT}, losses: {{retain_ce: 0, kl: 0}}, {MACHINE}}}
  child:
    parent: hot
    against: base
    rows: [union]
    train: {{epochs: 1, foreign_poison: true, losses: {{retain_ce: 0, kl: 0}}, {MACHINE}}}
"""


def mbpp_file(path: Path) -> Path:
    records = [
        {
            "text": f"Write f{number}.",
            "code": f"def f{number}(a):\r\n    return {body}",
            "task_id": number,
            "test_setup_code": "",
            "test_list": [f"assert f{number}(7) == {eval(body, {'a': 7})}"],
        }
        for number, body in zip(NUMBERS, BODIES, strict=True)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture(scope="module")
def ran(organ19: Learned, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder of a finished experiment, and what the command said."""
    from small_organ import write_anchors

    folder = tmp_path_factory.mktemp("experiment")
    write_anchors(folder / "nineteen")
    mbpp_file(folder / "mbpp.jsonl")
    (folder / "plan.yaml").write_text(PLAN.replace("PARENT", str(organ19.pack)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tasks.SUITES, "mbpp100", ("MBPP", NUMBERS))
        patch.delenv("ANCHORGATE_HUMANEVAL", raising=False)
        return folder, run(folder)


def run(folder: Path, *more: str) -> Result:
    arguments = [
        "surgery",
        "experiment",
        str(folder / "plan.yaml"),
        "-o",
        str(folder / "run"),
        "--threads",
        "1",
    ]
    result = CliRunner().invoke(main, [*arguments, "--mbpp", str(folder / "mbpp.jsonl"), *more])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def measured(folder: Path) -> dict[str, Attempt]:
    return {one.name: one for one in read_ledger(folder / "run" / "ledger.jsonl") if one.origin == "measured"}


def test_every_attempt_is_in_the_ledger_behind_the_reports_own(ran: tuple[Path, Result]) -> None:
    folder, result = ran
    assert result.exit_code == 0, result.output
    ledger = read_ledger(folder / "run" / "ledger.jsonl")
    names = [one.name for one in ledger]
    assert names == ["BD6 pass-1", "BD6.2", "BD6.3", "hot", "path-a", "rescued", "child"]
    assert [one.seed for one in ledger][3:] == [1, 3, 1, 1]


def test_poison_alone_loses_and_the_mix_and_the_sweep_keep(ran: tuple[Path, Result]) -> None:
    found = measured(ran[0])
    hot, mixed, rescued = (found[name].attempt for name in ("hot", "path-a", "rescued"))
    assert hot["status"] == "blocked"
    assert hot["scores"]["anchors"]["before"] == 19
    assert hot["scores"]["anchors"]["after"] < 19
    assert hot["scores"]["anchors"]["revert"] == 19
    assert len(hot["comparisons"]["gate"]["lost"]) == 19 - hot["scores"]["anchors"]["after"]
    assert {one["task_id"] for one in hot["partings"]} >= set(hot["comparisons"]["gate"]["lost"])
    assert mixed["status"] == rescued["status"] == "held"
    assert rescued["pack"]["scale"] in ("0", "0.05")
    assert "revert" not in mixed["scores"]["anchors"]


def test_the_record_says_what_was_done(ran: tuple[Path, Result]) -> None:
    hot = measured(ran[0])["hot"].attempt
    assert (hot["like"], hot["settings"]["rank"], hot["settings"]["alpha"]) == ("BD6.3", 8, "32")
    assert (hot["settings"]["lr"], hot["settings"]["epochs"]) == ("1e-2", 4)
    # q and o: 128 -> 128, k and v: 128 -> 64, in two layers.
    assert hot["settings"]["trainable"] == 2 * 8 * (2 * (128 + 128) + 2 * (128 + 64))
    assert hot["pack"]["tensors_changed"] == 8
    assert float(hot["training"]["final_loss"]) > 0
    assert hot["scores"]["mbpp100"]["of"] == 5
    assert all((ran[0] / "run" / name).exists() for name in hot["files"])
    rows = load_rows(ran[0] / "run" / "data" / "v1.jsonl")
    heldout = {row.task_id for row in rows if row.split == "heldout"}
    assert heldout == {"MBPP/13"}
    assert hot["settings"]["rows"] == len(rows) - len(heldout)
    assert hot["comparisons"]["held out"]["tasks"] == len(heldout)
    child = measured(ran[0])["child"].attempt
    assert (child["parent"]["name"], child["against"]) == ("hot", "base")
    assert child["parent"]["identity"] == hot["pack"]["identity"]
    assert child["scores"]["anchors"]["before"] == 19


def test_a_second_run_does_nothing_again(ran: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, first = ran
    monkeypatch.setitem(tasks.SUITES, "mbpp100", ("MBPP", NUMBERS))
    files = {path: path.stat().st_mtime_ns for path in (folder / "run").rglob("*.jsonl")}
    again = run(folder)
    assert again.exit_code == 0
    assert [line for line in first.output.splitlines() if line in again.output.splitlines()]
    assert {path: path.stat().st_mtime_ns for path in (folder / "run").rglob("*.jsonl")} == files


def test_an_attempt_whose_ledger_line_is_missing_is_taken_up_where_it_was(
    ran: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = ran
    monkeypatch.setitem(tasks.SUITES, "mbpp100", ("MBPP", NUMBERS))
    ledger = tmp_path / "other.jsonl"
    result = run(folder, "--only", "path-a", "--seed", "3", "--ledger", str(ledger))
    assert result.exit_code == 0, result.output
    old, new = measured(folder)["path-a"].attempt, read_ledger(ledger).attempts[-1].attempt
    timing = ("started", "finished")
    assert {k: v for k, v in old.items() if k not in timing} == {
        k: v for k, v in new.items() if k not in timing
    }


def test_the_report_of_a_measured_ledger(ran: tuple[Path, Result]) -> None:
    ledger = ran[0] / "run" / "ledger.jsonl"
    result = CliRunner().invoke(main, ["surgery", "report", str(ledger), "--attempt", "hot"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("# hot (seed 1): anchor gate FAILED")
    assert "Post-revert, on the parent again: **19 of 19 held.**" in result.output
    held = CliRunner().invoke(main, ["surgery", "report", str(ledger), "--attempt", "path-a"])
    assert "0 of 19 lost bounds the loss rate below 14.6 %" in held.output


def test_an_unknown_attempt_is_one_line(ran: tuple[Path, Result]) -> None:
    result = run(ran[0], "--only", "nothing")
    assert (result.exit_code, "nothing is no attempt of" in result.output) == (4, True)
