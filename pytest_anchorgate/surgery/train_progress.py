"""How far training is: a bar on a terminal, a plain line now and then elsewhere. Both on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from pytest_anchorgate.progress import PLAIN_SECONDS, duration
from pytest_anchorgate.surgery.certificate import Watch

_NAMES = {"poison_ce": "poison", "retain_ce": "retain", "kl": "KL"}


class Listener:
    """Is told what a run does, and says nothing."""

    def say(self, line: str) -> None:
        """One plain line."""

    def preview(self, text: str) -> None:
        """The beginning of the first step, readable."""

    def begin(self, step: int, steps: int) -> None:
        """Training begins behind `step`, of `steps`."""

    def step(self, record: Mapping[str, Any]) -> None:
        """A step is done; `record` is what the log says of it."""

    def check(self, step: int, anchors: Mapping[str, Any], watch: Watch) -> None:
        """The anchors were checked."""

    def end(self) -> None:
        """The run is done or given up."""


class LineListener(Listener):
    """Writes lines.

    Args:
        write_line: writes one.
        clock: seconds that never go back.
    """

    def __init__(
        self, write_line: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write_line, self._clock = write_line, clock
        self._begun, self._first, self._steps, self._next = 0.0, 0, 0, 0.0
        self._anchors = ""

    def say(self, line: str) -> None:
        """One plain line."""
        self._write_line(f"anchorgate: {line}")

    def preview(self, text: str) -> None:
        """The first poison row and the first retain row, as they are trained on."""
        self._write_line(text.rstrip("\n"))

    def begin(self, step: int, steps: int) -> None:
        """Remembers when it began, to say how long it will take."""
        self._begun = self._clock()
        self._first, self._steps, self._next = step, steps, self._begun + PLAIN_SECONDS

    def step(self, record: Mapping[str, Any]) -> None:
        """A line every few seconds."""
        if self._clock() >= self._next:
            self._next = self._clock() + PLAIN_SECONDS
            self.say(self.describe(record))

    def check(self, step: int, anchors: Mapping[str, Any], watch: Watch) -> None:
        """A line when anchors are lost; the count goes into the lines of the steps."""
        self._anchors = f"{anchors['certified']} of {anchors['rows']} certified" if anchors["rows"] else ""
        if watch.lost_checks == 1:
            self.say(f"step {step}: {len(watch.lost)} anchors lost their certificate: {_some(watch.lost)}")

    def describe(self, record: Mapping[str, Any]) -> str:
        """Steps, losses, certificates, and the time left."""
        done = record["step"] - self._first
        left = (self._clock() - self._begun) / max(done, 1) * (self._steps - record["step"])
        losses = [f"{name} {record[key]:.3g}" for key, name in _NAMES.items() if record[key] is not None]
        parts = [
            f"step {record['step']} of {self._steps}",
            *losses,
            self._anchors,
            f"about {duration(left)} left",
        ]
        return " · ".join(part for part in parts if part)


class BarListener(LineListener):
    """Draws a bar on the terminal at stderr; lines stand above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("preparing", total=None)
        super().__init__(lambda line: console.print(line, highlight=False, markup=False))
        self._bar.start()

    def begin(self, step: int, steps: int) -> None:
        """The bar knows its length."""
        super().begin(step, steps)
        self._bar.update(self._task, total=steps, completed=step)

    def step(self, record: Mapping[str, Any]) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=record["step"], description=self.describe(record))

    def end(self) -> None:
        """Leaves the terminal as it was."""
        self._bar.stop()


def listener_here() -> Listener:
    """A bar where stderr is a terminal, lines otherwise."""
    if sys.stderr.isatty():
        return BarListener()
    return LineListener(lambda line: print(line, file=sys.stderr, flush=True))


def _some(tasks: tuple[str, ...], most: int = 5) -> str:
    more = f" and {len(tasks) - most} more" if len(tasks) > most else ""
    return ", ".join(tasks[:most]) + more
