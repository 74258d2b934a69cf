"""`anchorgate surgery train`: what it says, and one line with status 4 for a mistake."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("torch")
pytest.importorskip("peft")

from pytest_anchorgate.cli import main
from pytest_anchorgate.surgery.stepper import Stepper

if TYPE_CHECKING:
    from small_organ import Learned

Write = Callable[..., Path]


def command(*args: object) -> Result:
    return CliRunner().invoke(main, ["surgery", "train", *map(str, args)])


def refused(result: Result, *says: str) -> None:
    assert result.exit_code == 4, result.output
    lines = [line for line in result.stderr.splitlines() if not line.startswith("anchorgate: ")]
    assert len(lines) == 1, result.stderr
    for one in says:
        assert one in lines[0]


def test_a_run_says_what_it_trains_on_and_what_came_of_it(settings_file: Write, tmp_path: Path) -> None:
    result = command(settings_file(), "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "--- poison P/" in result.stderr
    assert "--- anchor S/" in result.stderr
    assert "certified, least margin" in result.stdout
    assert "held out: 4 rows, cross entropy" in result.stdout
    assert f"{tmp_path / 'run'}: 12 steps in " in result.stdout
    again = command(settings_file(), "-o", tmp_path / "run", "--resume")
    assert again.exit_code == 0
    assert "this run is finished; nothing to resume" in again.stdout


def test_an_early_stop_is_said(settings_file: Write, tmp_path: Path) -> None:
    settings = settings_file(
        losses="{retain_ce: 0, kl: 0}",
        optimizer="{lr: 1e-2}",
        epochs="20",
        certificate="{every: 1}",
        output="run",
    )
    result = command(settings)
    assert result.exit_code == 0, result.output
    assert "anchors lost their certificate; the adapter is that of step" in result.stdout
    assert (tmp_path / "run" / "adapter_model.safetensors").exists()


def test_an_interruption_says_how_to_go_on(
    settings_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Stepper.step

    def interrupted(self: Stepper, step: int, *args: Any) -> Any:
        if step == 4:
            raise KeyboardInterrupt
        return original(self, step, *args)

    settings = settings_file()
    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "step", interrupted)
        result = command(settings, "-o", tmp_path / "run")
    assert result.exit_code == 130
    assert "interrupted; the checkpoint of step 3 is whole; go on with --resume" in result.stderr
    assert command(settings, "-o", tmp_path / "run", "--resume").exit_code == 0


def test_a_file_that_is_not_there_or_no_pack(settings_file: Write, tmp_path: Path) -> None:
    refused(command(tmp_path / "none.yaml"), "none.yaml: No such file")
    refused(
        command(settings_file(parent="nonsense"), "-o", tmp_path / "run"),
        "nonsense",
        "no recipe of that name",
    )
    (tmp_path / "bad.planck").write_bytes(b"no pack")
    refused(
        command(settings_file(parent="bad.planck"), "-o", tmp_path / "run"),
        "the parent must be a pack",
        "bad.planck",
    )
    refused(command(settings_file()), "names no output; give -o DIR")
    (tmp_path / "rows.jsonl").unlink()
    path = settings_file()
    (tmp_path / "rows.jsonl").unlink()
    refused(command(path, "-o", tmp_path / "run"), "rows.jsonl")
    refused(command(settings_file(lora="{rnak: 3}"), "-o", tmp_path / "run"), "train.yaml:", "lora.rnak")
    assert not (tmp_path / "run").exists()


def test_rows_that_cannot_be_trained_on(settings_file: Write, tmp_path: Path, organ19: Learned) -> None:
    anchor = organ19.retain[0]
    elsewhere = replace(anchor, provenance=replace(anchor.provenance, parent="0" * 64))
    path = settings_file([*organ19.poison[:2], elsewhere])
    refused(command(path, "-o", tmp_path / "run"), "rows.jsonl:3: S/0: made from the pack 000000000000")
    path = settings_file()
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    record = json.loads(lines[4])
    record["completion"] = ""
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines[:4], json.dumps(record), *lines[5:]]) + "\n")
    refused(command(path, "-o", tmp_path / "run"), "rows.jsonl:5: a row without a completion teaches nothing")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written(settings_file: Write, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(command(settings_file(), "-o", tmp_path / "file"), "is no folder of a run")
    refused(
        command(settings_file(), "-o", tmp_path / "file" / "run"),
        "Not a directory",
        "there is no checkpoint yet",
    )
