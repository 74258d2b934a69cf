"""What fails in the live place is taken back, whatever it is that fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from registry_house import (
    NEW,
    OLD,
    OTHER,
    World,
    alias,
    command,
    events,
    status,
)

from pytest_anchorgate import anchor_verdict, engine
from pytest_anchorgate.sandbox import Verdict
from pytest_anchorgate.sandbox.levels import LEVELS


def fail_the_sandbox(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    def verdict(*_: object, **__: object) -> Verdict:
        return Verdict(status, "as the test says", level=LEVELS[0])

    monkeypatch.setattr("pytest_anchorgate.evidence.verify_anchor", verdict)
    assert anchor_verdict.verify_anchor is not verdict


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
    from pytest_anchorgate.anchors import read_anchors
    from pytest_anchorgate.baseline import read_baseline
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
