"""Commands that are stopped in the middle: a double of the gate, and a hand on every step that changes a store.

They run in processes of their own, which die by SIGKILL or find the disk broken at a chosen step.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from click.testing import CliRunner

import pytest_anchorgate.receipt.verify
import pytest_anchorgate.registry.cli
from pytest_anchorgate.cli import main
from pytest_anchorgate.registry.house import opened
from pytest_anchorgate.registry.promote import Wish, promote
from pytest_anchorgate.registry.revert import revert
from pytest_anchorgate.registry.store import Store
from pytest_anchorgate.registry.switch import Proof

_EVENTS = {"open", "os.rename", "os.symlink", "os.remove", "os.mkdir", "os.truncate", "os.chmod"}
_FREES_SPACE = {"os.remove", "os.truncate", "os.chmod"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Believes:
    """Stands for the gate in the live place: says what it is told to, at once."""

    def __init__(self, passed: bool = True) -> None:
        self._passed = passed
        self.regated = None

    def prove(self, *_: object, **__: object) -> Proof:
        return Proof(self._passed, "" if self._passed else "an anchor was lost", b"what the gate saw")


@dataclass(frozen=True)
class Action:
    """promote, "promote in vain" (the gate in place says no), revert, or recover."""

    kind: str
    pack: Path | None = None
    receipt: Path | None = None
    anchors: Path | None = None

    def __call__(self, root: Path) -> None:
        with opened(Store(root, "--store")) as house:
            if self.kind == "revert":
                revert(house, "", Believes(), lambda _: None)  # type: ignore[arg-type]
            elif self.kind != "recover":
                assert self.pack is not None
                assert self.receipt is not None
                wish = Wish(self.pack, self.receipt, anchors=self.anchors)
                live: Any = Believes(passed=self.kind == "promote")
                promote(house, wish, live, lambda _: None)


@dataclass
class Steps:
    """Counts whatever changes something below `root`; before step number `at`, `happen` is called with its name."""

    root: Path
    at: int
    happen: Callable[[str], object]
    count: int = 0
    _busy: bool = field(default=False, repr=False)

    def watch(self) -> None:
        sys.addaudithook(self._heard)
        fsync, write = os.fsync, os.write

        def watched_fsync(descriptor: int) -> None:
            self._step("fsync")
            fsync(descriptor)

        def watched_write(descriptor: int, data: Any) -> int:
            if self.count == self.at:
                write(descriptor, bytes(data)[: len(data) // 2])  # a line may get as far as this
            self._step("write")
            return write(descriptor, data)

        os.fsync = watched_fsync  # type: ignore[assignment]
        os.write = watched_write  # type: ignore[assignment]

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in _EVENTS or self._busy:
            return
        place = args[1 if event == "os.symlink" else 0]
        if not isinstance(place, int):
            self._busy = True
            inside = str(os.fsdecode(place)).startswith(str(self.root))
            self._busy = False
            if not inside or (event == "open" and not args[2] & _WRITES):
                return
        elif event == "open":
            return
        self._step(event)

    def _step(self, name: str) -> None:
        number, self.count = self.count, self.count + 1
        if number >= self.at:
            self.happen(name)


def killed_at(connection: Connection, root: Path, at: int, action: Action) -> None:
    """Runs the action and dies at a step."""
    steps = Steps(root, at, lambda _: os.kill(os.getpid(), signal.SIGKILL))
    steps.watch()
    action(root)
    connection.send(steps.count)


def broken_at(connection: Connection, root: Path, at: int, number: int, arguments: list[str]) -> None:
    """Runs a command on a disk that from a step on is full, or fails in whatever it is asked to do."""

    def refuse(name: str) -> None:
        if number != errno.ENOSPC or name not in _FREES_SPACE:
            raise OSError(number, os.strerror(number))

    live: Any = lambda *_: Believes()  # noqa: E731
    pytest_anchorgate.registry.cli.LiveGate = live  # type: ignore[misc]
    steps = Steps(root, at, refuse)
    steps.watch()
    result = CliRunner().invoke(main, [*arguments, "--store", str(root)])
    steps.at = sys.maxsize
    connection.send((steps.count, result.exit_code, result.stderr, repr(result.exception)))


def run_freely(connection: Connection, root: Path, actions: list[Action]) -> None:
    """Tells that it begins, and does one thing after the other until it is killed."""
    connection.send("begun")
    for action in actions:
        action(root)
