"""What begins before the gate knows its question: it saves time, decides nothing, and is never left behind."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from gate_house import Gate, House

from pytest_anchorgate.engine import Engine, EngineCrashed, EngineRefused, Request, Start, generate
from pytest_anchorgate.progress import Quiet

# Writes down what engines are asked, and which were started after conftests were loaded.
WATCH = """
    import json, pathlib
    from pytest_anchorgate.engine import Engine

    def note(*what):
        with pathlib.Path("notes.jsonl").open("a") as file:
            file.write(json.dumps(what) + "\\n")

    def ask(self, request, really=Engine.ask):
        if self.asked is None:
            note("asked", len(request.prompts))
        really(self, request)

    def init(self, start, command=None, really=Engine.__init__):
        note("late", start.pack.name)
        really(self, start, command)

    Engine.ask, Engine.__init__ = ask, init
"""


def notes(gate: Gate) -> list[list[object]]:
    path = gate.pytester.path / "notes.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_the_engine_that_began_early_answers(gate: Gate, dist: tuple[str, ...]) -> None:
    gate.pytester.makeconftest(WATCH)
    result = gate.run(*dist, "--anchorgate-partial", "--anchorgate-recheck=0", subprocess=True)
    assert result.ret == 11
    assert notes(gate) == [["asked", 4]]


def test_a_selection_is_asked_for_alone(gate: Gate) -> None:
    gate.pytester.makeconftest(WATCH)
    args = ("--anchorgate-partial", "--anchorgate-recheck=0", "-k", "T/17]")
    assert gate.run(*args, subprocess=True).ret == 11
    assert notes(gate) == [["asked", 1]]


def test_a_selection_that_nobody_could_foresee_starts_another(gate: Gate) -> None:
    gate.pytester.makeconftest(
        WATCH
        + """
    def pytest_collection_modifyitems(items):
        del items[1:]
"""
    )
    args = ("--anchorgate-partial", "--anchorgate-recheck=0")
    assert gate.run(*args, subprocess=True).ret == 11
    assert notes(gate) == [["asked", 4], ["late", "production.planck"], ["asked", 1]]


@pytest.mark.parametrize(
    "args",
    [("--no-such-flag",), ("--anchorgate-timeout=x",), ("--anchorgate-baseline=none.json",), ("--co",)],
    ids=["unknown", "value", "baseline", "co"],
)
def test_no_engine_outlives_a_session_that_ends_at_once(
    gate: Gate, args: tuple[str, ...], workers: tuple[str, ...]
) -> None:
    result = gate.run(*args, *workers, subprocess=True)
    assert result.ret in (4, 11)
    deadline = time.monotonic() + 20
    while engines(gate) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert engines(gate) == []


def engines(gate: Gate) -> list[str]:
    """Engine hosts that have this test's pack mapped, or were told to."""
    pack = str(gate.house.pack("production"))
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if "engine_host" in (process / "cmdline").read_text() and pack in (process / "maps").read_text():
                found.append(process.name)
        except OSError:
            continue  # it has ended, or is somebody else's
    return found


def test_an_engine_that_does_not_fit_is_replaced(house: House) -> None:
    request = Request(house.pack("production"), ["p"], [4], [None], threads=1)
    ahead = Engine(Start(house.pack("production"), threads=2))
    assert not ahead.fits(request)
    assert generate(request, timeout=60, listener=Quiet(), engine=ahead).info["threads"] == 1


def test_a_pack_that_is_refused_ahead_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.planck").write_bytes(b"no pack")
    request = Request(tmp_path / "p.planck", ["p" * 200_000], [4], [None])
    ahead = Engine(request.start)
    time.sleep(0.5)  # by now it has said no and ended
    with pytest.raises(EngineRefused):
        generate(request, timeout=60, listener=Quiet(), engine=ahead)


def test_a_host_that_dies_before_the_question_is_a_crash() -> None:
    request = Request(Path("/none"), ["p"], [4], [None])
    ahead = Engine(request.start, [sys.executable, "-c", "import os; os._exit(3)"])
    with pytest.raises(EngineCrashed, match="ended with exit status 3"):
        generate(request, timeout=60, listener=Quiet(), engine=ahead)
