"""Promotions as a user sees them: real engine, real sandbox, real receipts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from anchorgate_command import start_anchorgate
from gate_house import anchor_lines, write_anchors
from registry_house import (
    NEW,
    OLD,
    OTHER,
    World,
    alias,
    command,
    digest,
    events,
    make_receipt,
    status,
)

import pytest_anchorgate
from pytest_anchorgate.cli import main
from pytest_anchorgate.registry.house import opened
from pytest_anchorgate.registry.store import Store


def test_from_nothing_to_the_first_and_the_second(world: World, store: Path) -> None:
    first = world.promote(store, OLD)
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines()[-1] == f"production.planck is in production: {store / 'production'}"
    assert "PASS: all 2 anchors that production holds are held (exit status 0)" in first.stdout
    seen = status(store)
    assert (seen["production"]["sha256"], seen["previous"]) == (world.sha256(OLD), None)
    assert world.promote(store, NEW).exit_code == 0
    seen = status(store)
    assert seen["production"]["name"] == "solves-all.planck"
    assert seen["production"]["sha256"] == digest(store / "production") == world.sha256(NEW)
    assert seen["previous"]["sha256"] == digest(store / "previous") == world.sha256(OLD)
    assert digest(Path(seen["production"]["receipt"])) == digest(world.receipts[NEW])
    assert seen["production"]["receipt_signed_by"] is None
    assert events(store) == ["begin", "done"] * 2
    assert (store / "production").stat().st_mode & 0o222 == 0


def test_a_receipt_that_pytest_wrote(world: World, store: Path, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt.jsonl"
    subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "pytest_anchorgate.plugin",
                "-p",
                "no:cacheprovider",
            ),
            *(f"--pack={world.pack(NEW)}", f"--anchorgate-anchors={world.house.anchors.parent}"),
            *(f"--anchorgate-receipt={receipt}", "--rootdir", str(tmp_path)),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(Path(pytest_anchorgate.__file__).parents[1]),
        },
    )
    arguments = ["promote", str(world.pack(NEW)), "--receipt", str(receipt)]
    result = command(store, *arguments, "--anchors", str(world.house.anchors.parent))
    assert result.exit_code == 0, result.output
    assert alias(store, "production") == world.sha256(NEW)


def test_what_is_in_production_is_left_there(world: World, store: Path) -> None:
    world.copy("two", store)
    before = (store / "journal.jsonl").read_bytes()
    result = world.promote(store, NEW)
    assert result.exit_code == 0
    assert result.stdout.endswith("solves-all.planck is in production already: nothing to do\n")
    assert (store / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("pack", "receipt", "words"),
    [
        (NEW, OLD, "it is for another pack"),
        ("loses", "loses", "the gate said BLOCKED: lost: T/1"),
        ("solves-none", OLD, "it is for another pack"),
    ],
)
def test_a_receipt_that_does_not_prove_it(
    world: World, store: Path, pack: str, receipt: str, words: str
) -> None:
    world.copy("one", store)
    before = sorted(store.rglob("*"))
    arguments = ["promote", str(world.pack(pack)), "--receipt", str(world.receipts[receipt])]
    result = command(store, *arguments, "--anchors", str(world.house.anchors.parent))
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(store.rglob("*")) == before
    assert alias(store, "production") == world.sha256(OLD)


def test_a_missing_receipt_and_a_missing_pack_are_the_users_matter(world: World, store: Path) -> None:
    result = command(store, "promote", str(world.pack(NEW)), "--receipt", str(store / "none.jsonl"))
    assert result.exit_code == 4
    assert "the receipt cannot be read" in result.stderr
    result = command(store, "promote", "nowhere.planck", "--receipt", str(world.receipts[NEW]))
    assert result.exit_code == 4
    assert result.stderr.startswith("Error: no pack at nowhere.planck")


def test_signatures(world: World, store: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from pytest_anchorgate.receipt.keys import new_key_pair, read_private_key

    private, stranger = tmp_path / "key.pem", tmp_path / "stranger.pem"
    public, key = new_key_pair(private)
    foreign, _ = new_key_pair(stranger)
    unsigned = world.promote(store, OLD, "--key", str(public), "--require-signature")
    assert unsigned.exit_code == 1
    assert "it is not signed" in unsigned.stderr
    assert world.promote(store, OLD, "--require-signature").exit_code == 4
    signed = make_receipt(
        world.house, world.pack(OLD), tmp_path / "s.jsonl", signer=read_private_key(private)
    )
    arguments = ["promote", str(world.pack(OLD)), "--receipt", str(signed), "--require-signature"]
    arguments += ["--anchors", str(world.house.anchors.parent)]
    wrong = command(store, *arguments, "--key", str(foreign))
    assert wrong.exit_code == 1
    assert "it is signed by another key" in wrong.stderr
    assert alias(store, "production") is None
    result = command(store, *arguments, "--key", str(public), "--sign-with", str(private))
    assert result.exit_code == 0, result.output
    seen = status(store)["production"]
    assert seen["receipt_signed_by"] == key.key_id
    (entry,) = json.loads(Path(seen["receipt_of_gate_in_place"]).read_text().split("\n")[0])["signatures"]
    assert entry["keyid"] == key.key_id


def test_two_at_once(world: World, store: Path) -> None:
    """Only one is at work; the other is told so, and changes nothing."""
    world.copy("one", store)
    with opened(Store(store, "--store")):
        result = world.promote(store, NEW)
        assert result.exit_code == 11
        expected = f"Error: another anchorgate command is at work in {store}: try again when it is done\n"
        assert result.stderr == expected
        assert command(store, "revert").exit_code == 11
        seen = status(store)
        assert seen["busy"]
        assert seen["production"]["sha256"] == world.sha256(OLD)
    both = [
        start_anchorgate(
            *world.arguments(name),
            "--store",
            str(store),
            cwd=store,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for name in (NEW, OTHER)
    ]
    told = [process.communicate(timeout=120)[0] for process in both]
    codes = [process.returncode for process in both]
    assert set(codes) <= {0, 11}, told
    assert 0 in codes, told
    seen = status(store)
    assert seen["problems"] == []
    assert events(store) == ["begin", "done"] * (1 + codes.count(0))
    winners = {world.sha256(name) for name, code in zip((NEW, OTHER), codes, strict=True) if code == 0}
    assert seen["production"]["sha256"] in winners


def test_a_baseline_that_asks_for_less_is_refused(world: World, store: Path, tmp_path: Path) -> None:
    """An anchor set that lost an anchor on the way, with baseline and receipt to match."""
    from click.testing import CliRunner
    from gate_house import House

    world.copy("one", store)
    anchors = write_anchors(tmp_path / "fewer" / "anchors.jsonl", anchor_lines()[1:])

    def recorded(*more: str) -> House:
        arguments = ["record", "--pack", str(world.pack(OLD)), "--anchors", str(anchors.parent), *more]
        result = CliRunner(env={"CI": ""}).invoke(main, arguments)
        assert result.exit_code == 0, result.output
        return House(world.house.root, anchors, world.house.baseline)

    receipt = make_receipt(recorded(), world.pack(NEW), tmp_path / "fewer.jsonl")
    arguments = ["promote", str(world.pack(NEW)), "--receipt", str(receipt), "--anchors", str(anchors)]
    result = command(store, *arguments)
    assert result.exit_code == 4
    assert "the baseline does not protect T/1, which the pack in production had to hold" in result.stderr
    assert alias(store, "production") == world.sha256(OLD)
    # With the reason in the file it is a decision that somebody took.
    (anchors.parent / "baseline.json").write_bytes(
        (world.house.anchors.parent / "baseline.json").read_bytes()
    )
    receipt = make_receipt(recorded("--reason", "nobody adds"), world.pack(NEW), tmp_path / "fewer.jsonl")
    result = command(store, *arguments)
    assert result.exit_code == 0, result.output
    assert alias(store, "production") == world.sha256(NEW)
