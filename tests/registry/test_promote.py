"""Promote, revert and status as a user sees them: real engine, real sandbox, real receipts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
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
from pytest_anchorgate import anchor_verdict, engine
from pytest_anchorgate.cli import main
from pytest_anchorgate.registry.house import opened
from pytest_anchorgate.registry.store import Store
from pytest_anchorgate.sandbox import Verdict
from pytest_anchorgate.sandbox.levels import LEVELS


def fail_the_sandbox(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    def verdict(*_: object, **__: object) -> Verdict:
        return Verdict(status, "as the test says", level=LEVELS[0])

    monkeypatch.setattr("pytest_anchorgate.evidence.verify_anchor", verdict)
    assert anchor_verdict.verify_anchor is not verdict


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


def test_the_receipt_of_the_gate_in_place_verifies(world: World, store: Path) -> None:
    world.copy("two", store)
    assert command(store, "revert", "--reason", "it talks too much").exit_code == 0
    told = status(store)
    for name in ("production", "previous"):
        result = subprocess.run(
            [
                *(sys.executable, "-m", "pytest_anchorgate.cli", "verify"),
                *(told[name]["receipt_of_gate_in_place"], "--pack", str(store / name)),
                *("--anchors", str(world.house.anchors.parent)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert "follows" in result.stdout


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


@pytest.mark.parametrize(
    ("status_of_all", "exit_code", "words"),
    [
        ("failed", 1, "BLOCKED: 2 anchors that production holds are lost (exit status 1)"),
        ("error", 11, "UNDECIDED: no anchor was decided (exit status 11)"),
    ],
)
@pytest.mark.parametrize("start", ["none", "one"])
def test_what_fails_in_the_live_place_is_taken_back(
    world: World,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    start: str,
    status_of_all: str,
    exit_code: int,
    words: str,
) -> None:
    world.copy(start, store)
    before = alias(store, "production")
    with monkeypatch.context() as patch:
        fail_the_sandbox(patch, status_of_all)
        result = world.promote(store, NEW)
    assert result.exit_code == exit_code
    assert words in result.stdout
    assert "taken back, " in result.stderr
    assert alias(store, "production") == before
    assert alias(store, "previous") is None
    assert events(store)[-2:] == ["begin", "taken back"]
    last = json.loads((store / "journal.jsonl").read_text().splitlines()[-1])
    assert last["why"] == words
    assert (store / "receipts" / f"sha256-{last['receipt']}.jsonl").is_file()  # what failed is kept
    assert status(store)["problems"] == []
    assert world.promote(store, NEW).exit_code == 0


def test_a_crash_in_the_live_place_is_taken_back(
    world: World, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.copy("two", store)
    crash = [sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"]
    monkeypatch.setattr(engine, "host_command", lambda: crash)
    for arguments in (["revert"], world.arguments(OTHER)):
        result = command(store, *arguments)
        assert result.exit_code == 11
        assert "the engine was killed by signal 11 (SIGSEGV)" in result.stdout
        assert alias(store, "production") == world.sha256(NEW)
        assert alias(store, "previous") == world.sha256(OLD)
        assert events(store)[-1] == "taken back"


def test_a_pack_that_answers_otherwise_than_its_receipt_says(world: World, store: Path) -> None:
    """As if the machine of production computed other tokens than the one that gated."""
    from pytest_anchorgate.baseline import read_baseline
    from pytest_anchorgate.gate import read_anchors
    from pytest_anchorgate.progress import Quiet
    from pytest_anchorgate.regate import Limits, Question, regate
    from pytest_anchorgate.verdict import Outcome

    world.copy("one", store)
    anchors, baseline = (
        read_anchors(world.house.anchors),
        read_baseline(world.house.anchors.with_name("baseline.json")),
    )
    question = Question(
        store / "production",
        "production",
        "p",
        world.sha256(OLD),
        anchors,
        baseline,
        tokens={"T/1": "0" * 64},
    )
    seen = regate(question, Limits(60.0, 1), Quiet())
    assert seen.decision.outcome is Outcome.UNDECIDED
    assert [i.text for i in seen.decision.incidents] == [
        "NONDETERMINISTIC: T/1 is answered with other tokens than the receipt saw"
    ]


def damage(path: Path) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_pack_is_seen_and_never_switched_to(world: World, store: Path) -> None:
    world.copy("two", store)
    damage((store / "previous").resolve())
    told = status(store, exit_code=1)
    assert not told["previous"]["whole"]
    assert told["production"]["whole"]
    assert "DAMAGED" in command(store, "status").stdout
    result = command(store, "revert")
    assert result.exit_code == 4
    assert "the stored pack is damaged" in result.stderr
    assert events(store)[-1] == "done"
    # Promoting it again replaces what is damaged.
    assert world.promote(store, OLD).exit_code == 0
    assert status(store)["production"]["whole"]
    damage((store / "production").resolve())
    assert not status(store, exit_code=1)["production"]["whole"]
    assert world.promote(store, OLD).stdout.endswith("in production already: nothing to do\n")
    assert status(store)["production"]["whole"]


def test_a_pack_that_is_damaged_after_it_was_stored(
    world: World, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest that counts is the one of the mapped bytes."""
    world.copy("one", store)
    keep = Store.keep_file

    def keep_and_damage(self: Store, kind: object, source: Path, sha256: str) -> Path:
        kept = keep(self, kind, source, sha256)  # type: ignore[arg-type]
        damage(kept)
        return kept

    monkeypatch.setattr(Store, "keep_file", keep_and_damage)
    result = world.promote(store, NEW)
    assert result.exit_code in (1, 11)
    assert f"{store / 'production'} led to another pack" in result.stdout
    assert alias(store, "production") == world.sha256(OLD)
    assert status(store)["production"]["whole"]


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
    line = [sys.executable, "-m", "pytest_anchorgate.cli"]
    both = [
        subprocess.Popen(
            [*line, *world.arguments(name), "--store", str(store)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
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


def test_an_edited_journal_is_seen(world: World, store: Path) -> None:
    world.copy("two", store)
    path = store / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"solves-all.planck", b"solves-nil.planck", 1))
    told = status(store, exit_code=1)
    assert told["problems"] == [
        f"{path}:4: last is not the digest of the line before: the file was edited; "
        "restore the journal from a backup"
    ]
    assert told["production"]["sha256"] == world.sha256(NEW)
    for arguments in (["revert"], world.arguments(OTHER)):
        result = command(store, *arguments)
        assert result.exit_code == 4
        assert "journal.jsonl:4: last is not" in result.stderr
    assert alias(store, "production") == world.sha256(NEW)


@pytest.mark.parametrize("key", ["schema", "last", "time", "event", "why", "receipt"])
def test_a_journal_line_without_a_key_is_no_line(world: World, store: Path, key: str) -> None:
    world.copy("two", store)
    path = store / "journal.jsonl"
    *lines, last = path.read_text().splitlines()
    record = json.loads(last)
    del record[key]
    path.write_text("\n".join([*lines, json.dumps(record)]) + "\n")
    (problem,) = status(store, exit_code=1)["problems"]
    assert f"{path}:4: the line " in problem
    assert key in problem


def test_an_alias_that_others_changed_is_seen(world: World, store: Path) -> None:
    world.copy("two", store)
    link = store / "production"
    link.unlink()
    link.symlink_to(f"packs/sha256-{world.sha256(OLD)}.planck")
    told = status(store, exit_code=1)
    assert f"{link} was changed by other hands" in told["problems"][0]
    assert told["production"]["sha256"] == world.sha256(OLD)
    result = command(store, "revert")
    assert result.exit_code == 4
    assert f"point it back to packs/sha256-{world.sha256(NEW)}.planck" in result.stderr
    link.unlink()
    link.write_bytes(b"a copy")
    assert "was not made by anchorgate (no symlink)" in status(store, exit_code=1)["problems"][0]


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
