"""Killed at every step and at random moments: production is always whole, and status tells the truth."""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import multiprocessing.forkserver
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from anchorgate_command import start_anchorgate
from registry_house import NEW, OLD, OTHER, World, alias, command, digest, events, status
from stopping import Action, broken_at, killed_at, run_freely

from pytest_anchorgate.registry.errors import RegistryBusy
from pytest_anchorgate.registry.house import locked
from pytest_anchorgate.registry.store import Store
from pytest_anchorgate.runtime import Organ

FORKS = multiprocessing.get_context("forkserver")
MOST_STEPS = 300


@pytest.fixture(scope="module", autouse=True)
def fork_server() -> None:
    """One process that has imported everything, to fork from; it does not take over sys.path by itself."""
    FORKS.set_forkserver_preload(["stopping"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        multiprocessing.forkserver.ensure_running()


def start(function: Callable[..., None], *arguments: object) -> tuple[Any, Connection]:
    here, there = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=function, args=(there, *arguments))
    process.start()
    there.close()
    return process, here


def kill_at(root: Path, at: int, action: Action) -> bool:
    """Whether the action was killed; otherwise it had fewer steps."""
    process, connection = start(killed_at, root, at, action)
    process.join(60)
    with connection:
        assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
        return bool(process.exitcode)


def every_step(root: Path, prepare: Callable[[Path], object], action: Action) -> Iterator[Path]:
    """One store for each step at which the action can be killed."""
    for at in range(MOST_STEPS):
        store = root / f"at-{at}"
        prepare(store)
        if not kill_at(store, at, action):
            assert at > 5, "hardly anything was watched"
            return
        yield store
    raise AssertionError("there is no end of steps")


def examine(store: Path, before: str | None, after: str | None) -> bool:
    """Everything that has to hold after a kill; returns whether something had to be taken back."""
    raw = alias(store, "production")
    assert raw in {before, after}
    loads(store)
    told = events(store)
    unfinished = bool(told) and told[-1] == "begin"
    seen = status(store)
    assert seen["problems"] == []
    assert seen["journal"]["open"] is None
    assert (seen["journal"]["taken_back_now"] is not None) is unfinished
    assert events(store) == [*told, *(["taken back"] if unfinished else [])]
    now = alias(store, "production")
    assert (seen["production"] or {}).get("sha256") == now
    assert now == (before if unfinished or raw != after else after)
    assert (seen["previous"] or {}).get("sha256") == alias(store, "previous")
    loads(store)
    left = [path.name for path in store.rglob(".*")] if store.exists() else []
    assert left == []
    return unfinished


def loads(store: Path) -> None:
    """The pack in production is loaded, as by somebody who knows nothing but the alias."""
    sha256 = alias(store, "production")
    if sha256 is not None:
        assert Organ.load(store / "production", threads=1).info["pack_sha256"] == sha256


def promotion(world: World, name: str, kind: str = "promote") -> Action:
    return Action(kind, world.pack(name), world.receipts[name], world.house.anchors)


@pytest.mark.parametrize(
    ("start_with", "kind", "before", "after"),
    [
        ("none", "promote", None, OLD),
        ("one", "promote", OLD, NEW),
        ("two", "promote", NEW, OTHER),
        ("one", "promote in vain", OLD, NEW),
        ("two", "revert", NEW, OLD),
    ],
    ids=["the first", "the second", "the third", "in vain", "revert"],
)
def test_killed_at_every_step(
    world: World, tmp_path: Path, start_with: str, kind: str, before: str | None, after: str
) -> None:
    was, new = world.sha256(before) if before else None, world.sha256(after)
    action = Action("revert") if kind == "revert" else promotion(world, after, kind)
    taken_back = finished = 0
    for store in every_step(tmp_path, lambda store: world.copy(start_with, store), action):
        taken_back += examine(store, was, new)
        finished += alias(store, "production") == new
        # What was interrupted can be done again, to the end.
        if taken_back % 5 == 1:
            action(store)
            assert alias(store, "production") == (was if kind == "promote in vain" else new)
            assert status(store)["problems"] == []
    assert taken_back >= 5
    assert finished <= 3, "only at the very end"


def test_a_recovery_killed_at_every_step_is_recovered_from(world: World, tmp_path: Path) -> None:
    was, new = world.sha256(OLD), world.sha256(NEW)
    broken = tmp_path / "broken"
    for at in itertools.count():
        world.copy("one", broken.with_name(f"broken-{at}"))
        kill_at(broken.with_name(f"broken-{at}"), at, promotion(world, NEW))
        if alias(broken.with_name(f"broken-{at}"), "production") == new:
            broken = broken.with_name(f"broken-{at}")
            break

    def prepare(store: Path) -> None:
        subprocess.run(["cp", "-a", str(broken), str(store)], check=True)

    stores = list(every_step(tmp_path, prepare, Action("recover")))
    assert [examine(store, was, new) for store in stores].count(True) >= 5
    assert {alias(store, "production") for store in stores} == {was}


def test_a_hundred_kills_at_random_moments(world: World, store: Path) -> None:
    """On one store, which lives on: promotions and reverts in turn, each killed at some moment."""
    world.copy("two", store)
    chance = random.Random(6)
    actions = [promotion(world, NEW), Action("revert"), promotion(world, OTHER), promotion(world, OLD)]
    known = {world.sha256(name) for name in (OLD, NEW, OTHER)}
    # About when each of the four is in the middle of what the journal has begun.
    taken_back, middle = 0, [0.02] * len(actions)
    for number in range(100):
        kind, ended = number % len(actions), len(events(store))
        process, connection = start(run_freely, store, actions[kind:])
        with connection:
            assert connection.recv() == "begun"
            time.sleep(middle[kind] * chance.uniform(0.5, 1.5))
            process.kill()
            process.join(60)
        told = events(store)[ended:]
        middle[kind] *= 0.9 if "done" in told else 1.0 if "begin" in told else 1.1
        assert {alias(store, "production"), alias(store, "previous")} <= known
        loads(store)
        unfinished = events(store)[-1] == "begin"
        seen = status(store)
        assert seen["problems"] == []
        assert (seen["journal"]["taken_back_now"] is not None) is unfinished
        assert seen["production"]["sha256"] == alias(store, "production")
        assert seen["previous"]["sha256"] == alias(store, "previous")
        taken_back += unfinished
    assert taken_back >= 5, "the kills came too early or too late"
    assert events(store).count("done") >= 10


def await_lock(store: Path) -> None:
    """Waits until the lock is free: a process that was forked but has not exec'ed yet holds a copy for a moment."""
    deadline = time.monotonic() + 10
    while True:
        try:
            with locked(Store(store, "--store")):
                return
        except RegistryBusy:
            assert time.monotonic() < deadline
            time.sleep(0.002)


def test_killed_while_it_is_gated_in_the_live_place(world: World, store: Path) -> None:
    """The real command with the real engine: the lock is soon free, and nothing it started goes on."""
    world.copy("one", store)
    chance = random.Random(7)
    line = [*world.arguments(NEW), "--store", str(store)]
    unfinished = 0
    for _ in range(4):
        process = start_anchorgate(*line, cwd=store, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while events(store)[-1] != "begin" and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        process.wait()
        await_lock(store)
        unfinished += examine(store, world.sha256(OLD), world.sha256(NEW))
    assert unfinished
    assert world.promote(store, NEW).exit_code == 0


@pytest.mark.parametrize("what", ["promote", "revert"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_disk_that_fails_from_any_step_on(world: World, tmp_path: Path, number: int, what: str) -> None:
    names = (OLD, NEW) if what == "promote" else (NEW, OLD)
    was, new = map(world.sha256, names)
    arguments = world.arguments(NEW) if what == "promote" else ["revert"]
    for at in range(MOST_STEPS):
        store = world.copy("one" if what == "promote" else "two", tmp_path / f"{at}")
        process, connection = start(broken_at, store, at, number, arguments)
        with connection:
            count, exit_code, stderr, exception = connection.recv()
        process.join(60)
        if count <= at:
            assert exit_code in (0, 11), stderr
            break
        assert exit_code == 4, (at, stderr, exception)
        assert [line.startswith("Error: ") for line in stderr.splitlines()] == [True]
        assert os.strerror(number) in stderr
        told = (
            "the next command will take it back" in stderr,
            "is for `anchorgate status` to read" in stderr,
        )
        assert told[0] <= (events(store)[-1] == "begin") <= any(told)
        examine(store, was, new)
    assert at > 15


def test_a_file_that_may_not_grow_is_no_half_pack(world: World, store: Path) -> None:
    """A real limit of the system instead of a double: the copy of the pack stops in the middle."""
    world.copy("one", store)
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
        "from pytest_anchorgate.cli import main; main(sys.argv[1:])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *world.arguments(NEW), "--store", str(store)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 4
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert "File too large" in result.stderr
    assert [digest(path) for path in (store / "packs").iterdir()] == [world.sha256(OLD)]
    assert not examine(store, world.sha256(OLD), world.sha256(NEW))


def test_the_store_is_read_only(world: World, store: Path) -> None:
    """Nothing is changed, and one can still look."""
    world.copy("one", store)
    found: dict[str, tuple[int, str, str]] = {}
    for name, arguments in {"promote": world.arguments(NEW), "status": ["status"]}.items():
        process, connection = start(broken_at, store, 0, errno.EROFS, arguments)
        with connection:
            _, *rest = connection.recv()
        process.join(60)
        found[name] = tuple(rest)
    assert found["promote"][0] == 4, found
    assert found["promote"][1].count("\n") == 1
    assert "Read-only file system" in found["promote"][1]
    assert found["status"][0] == 0, found
    assert command(store, "status").exit_code == 0
    assert alias(store, "production") == world.sha256(OLD)
