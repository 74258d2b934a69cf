"""Going back: the pack before, verified in its place."""

from __future__ import annotations

import subprocess
from pathlib import Path

from anchorgate_command import start_anchorgate
from registry_house import (
    NEW,
    OLD,
    World,
    alias,
    command,
    digest,
    status,
)


def test_revert_and_revert_again(world: World, store: Path) -> None:
    """Back, rebuilt nothing, verified: one command, from any folder and without naming anchors or baseline."""
    world.copy("two", store)
    result = command(store, "revert", "--reason", "it talks too much")
    assert result.exit_code == 0, result.output
    assert "PASS: all 2 anchors that production holds are held (exit status 0)" in result.stdout
    seen = status(store)
    assert seen["production"]["sha256"] == digest(store / "production") == world.sha256(OLD)
    assert seen["previous"]["sha256"] == world.sha256(NEW)
    assert (seen["production"]["by"], seen["production"]["reason"]) == ("revert", "it talks too much")
    # It was once promoted on a receipt, and has now a receipt of its own besides.
    assert digest(Path(seen["production"]["receipt"])) == digest(world.receipts[OLD])
    own = Path(seen["production"]["receipt_of_gate_in_place"]).read_bytes()
    assert own.count(b"\n") == 2
    assert command(store, "revert").exit_code == 0
    assert alias(store, "production") == world.sha256(NEW)


def test_nothing_to_go_back_to(world: World, tmp_path: Path) -> None:
    for name in ("none", "one"):
        result = command(world.copy(name, tmp_path / name), "revert")
        assert result.exit_code == 4
        assert result.stderr.startswith("Error: there is nothing to go back to: ")
        assert result.stderr.count("\n") == 1


def test_the_receipt_of_the_gate_in_place_verifies(world: World, store: Path) -> None:
    world.copy("two", store)
    assert command(store, "revert", "--reason", "it talks too much").exit_code == 0
    told = status(store)
    for name in ("production", "previous"):
        process = start_anchorgate(
            *("verify", told[name]["receipt_of_gate_in_place"], "--pack", str(store / name)),
            *("--anchors", str(world.house.anchors.parent)),
            cwd=store,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        assert "follows" in stdout
