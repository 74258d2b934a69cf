"""How far the engine is: a line that rewrites itself on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pytest_anchorgate.engine import EngineProgress

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_SECONDS = 5.0
_RATE_IS_KNOWN = 0.05


def describe_engine(info: Mapping[str, Any]) -> str:
    """What computes, and on which bytes: numerics, instruction set, threads, digest of the pack's file."""
    threads = info.get("threads")
    parts = [str(info.get(key)) for key in ("numerics", "isa") if info.get(key)]
    parts += [f"{threads} thread{'' if threads == 1 else 's'}"] if threads else []
    # The identity in a pack's header is what the pack says of itself; this digest is of what was loaded.
    digest = str(info.get("pack_sha256", ""))
    parts += [f"pack sha256 {digest[:12]}"] if digest else []
    return ", ".join(parts) or "unknown"


def describe(progress: EngineProgress, expected_tokens: int, guess: str = "about") -> str:
    """Anchors done, tokens, speed, and the time left.

    Args:
        progress: how far the batch is.
        expected_tokens: how many there will be.
        guess: "about" if that is what production needed, "at most" if it is the limit.
    """
    rate = progress.generated_tokens / progress.seconds if progress.seconds > 0 else 0.0
    parts = [f"{progress.finished} of {progress.total} anchors", f"{progress.generated_tokens:,} tokens"]
    if rate > 0:
        parts.append(f"{rate:,.0f} tokens/s")
        left = (expected_tokens - progress.generated_tokens) / rate
        # While prompts are still being read, hardly any tokens are written and the rate means nothing.
        if left > 0 and progress.generated_tokens > expected_tokens * _RATE_IS_KNOWN:
            parts.append(f"{guess} {_whole(left)} left")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """Seconds for people: `0.04 s`, `4.2 s`, `42 s`, `3 min 20 s`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    return f"{seconds:.1f} s" if seconds < 10 else _whole(seconds)


def _whole(seconds: float) -> str:
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Quiet:
    """A listener that says nothing."""

    def loaded(self, info: Mapping[str, Any]) -> None:
        """Nothing."""

    def progress(self, progress: EngineProgress) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class LineProgress:
    """A listener that writes lines.

    Args:
        write_line: writes a line for good.
        expected_tokens: see `describe`; likewise `guess`.
        in_place: writes over the current line; None where the output is no terminal.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        write_line: Callable[[str], object],
        *,
        expected_tokens: int,
        guess: str = "about",
        in_place: Callable[[str], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write_line = write_line
        self._in_place = in_place
        self._expected = expected_tokens
        self._guess = guess
        self._clock = clock
        self._next = clock() + PLAIN_SECONDS
        self._open = False
        if in_place is not None:
            self._rewrite("loading the pack")

    def loaded(self, info: Mapping[str, Any]) -> None:
        """Names what computes."""
        line = f"anchorgate: engine {describe_engine(info)}"
        if self._in_place is None:
            self._write_line(line)
        else:
            self._in_place(line)
            self._write_line("")
            self._open = False

    def progress(self, progress: EngineProgress) -> None:
        """Shows how far the batch is: at once on a terminal, every few seconds and at the end elsewhere."""
        text = describe(progress, self._expected, self._guess)
        if self._in_place is not None:
            self._rewrite(text)
        elif self._clock() >= self._next:
            self._next = self._clock() + PLAIN_SECONDS
            self._write_line(f"anchorgate: {text}")

    def close(self) -> None:
        """Leaves the cursor on a line of its own."""
        if self._open:
            self._write_line("")
            self._open = False

    def _rewrite(self, text: str) -> None:
        assert self._in_place is not None
        self._in_place(f"anchorgate: {text}")
        self._open = True


class RichProgress:
    """A listener that draws a bar on a terminal; to be used as a context manager.

    Args:
        console: where to draw.
        at_most_tokens: the limit of all answers together; most end earlier.
    """

    def __init__(self, console: Console, at_most_tokens: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("loading the pack", total=None)
        self._at_most = at_most_tokens

    def __enter__(self) -> RichProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def loaded(self, info: Mapping[str, Any]) -> None:
        """Names what computes."""
        self._bar.console.print(f"engine {describe_engine(info)}", highlight=False)

    def progress(self, progress: EngineProgress) -> None:
        """Moves the bar by anchors done; the tokens beside it show that something happens in between."""
        self._bar.update(
            self._task,
            total=progress.total,
            completed=progress.finished,
            description=describe(progress, self._at_most, "at most"),
        )
