"""Where the store is, and what a program is served that was built with the alias's path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gate_house import anchor_lines
from registry_house import (
    NEW,
    World,
    command,
)

from pytest_anchorgate.cli import main


def test_where_the_store_is(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    def told(*args: str) -> str:
        result = CliRunner().invoke(main, ["status", *args])
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()[0]

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("ANCHORGATE_STORE", raising=False)
    assert told() == f"store       {tmp_path / 'data' / 'anchorgate'} (the default place)"
    monkeypatch.setenv("ANCHORGATE_STORE", str(tmp_path / "named"))
    assert told() == f"store       {tmp_path / 'named'} (named by ANCHORGATE_STORE)"
    assert told("--store", str(tmp_path / "x")) == f"store       {tmp_path / 'x'} (named by --store)"
    assert not list(tmp_path.iterdir()), "looking makes nothing"
    monkeypatch.setenv("ANCHORGATE_STORE", "relative")
    result = CliRunner().invoke(main, ["status"])
    assert result.exit_code == 4
    assert "give an absolute path" in result.stderr


def test_a_command_without_python_serves_what_the_alias_names(world: World, store: Path) -> None:
    """A program whose path of the pack is compiled in, and points to the alias, needs no rebuild."""
    from gate_house import ANSWERS
    from organ_command import run_organ

    world.copy("one", store)
    prompt = {"prompt": anchor_lines()[2]["prompt"]}
    pack_of_the_program = str(store / "production")

    def served() -> str:
        result = run_organ("--pack", pack_of_the_program, requests=[prompt])
        assert result.returncode == 0, result.stderr
        text: str = json.loads(result.stdout)["text"]
        return text

    assert served() == ANSWERS["neg-wrong"]
    assert world.promote(store, NEW).exit_code == 0
    assert served() == ANSWERS["neg"]
    assert command(store, "revert").exit_code == 0
    assert served() == ANSWERS["neg-wrong"]
