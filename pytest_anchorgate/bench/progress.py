"""How far a benchmark is: tasks done, tokens a second, time left; a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pytest_anchorgate.engine import EngineProgress
from pytest_anchorgate.progress import PLAIN_SECONDS, describe_engine, duration

__all__ = ["BenchProgress", "describe", "showing"]

# Short answers end first, so a rate by the first few would promise too much.
_SHARE_KNOWN = 0.1


def describe(progress: EngineProgress, elapsed: float) -> str:
    """Tasks done, tokens, speed, and the time left.

    Args:
        progress: counted over all tasks.
        elapsed: seconds since the start, judging included, so that the time left includes it too.
    """
    rate = progress.generated_tokens / progress.seconds if progress.seconds > 0 else 0.0
    parts = [f"{progress.finished} of {progress.total} tasks", f"{progress.generated_tokens:,} tokens"]
    if rate > 0:
        parts.append(f"{rate:,.0f} tokens/s")
    if progress.total > progress.finished > progress.total * _SHARE_KNOWN:
        left = elapsed / progress.finished * (progress.total - progress.finished)
        parts.append(f"about {duration(left)} left")
    return " · ".join(parts)


class BenchProgress:
    """A listener for `evaluate`.

    Args:
        write_line: writes a line for good.
        bar: shows the progress in place as (finished, total, words); None where the output is no terminal.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        write_line: Callable[[str], object],
        bar: Callable[[int, int, str], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write_line = write_line
        self._bar = bar
        self._clock = clock
        self._start = clock()
        self._next = self._start + PLAIN_SECONDS

    def loaded(self, info: Mapping[str, Any]) -> None:
        """Names what computes."""
        self._write_line(f"engine {describe_engine(info)}")

    def progress(self, progress: EngineProgress) -> None:
        """Shows how far it is."""
        now = self._clock()
        words = describe(progress, now - self._start)
        if self._bar is not None:
            self._bar(progress.finished, progress.total, words)
        elif now >= self._next:
            self._next = now + PLAIN_SECONDS
            self._write_line(words)


@contextlib.contextmanager
def showing(title: str) -> Iterator[BenchProgress]:
    """A listener that shows what is done on standard error while the block runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield BenchProgress(lambda line: click.echo(f"anchorgate: {title}: {line}", err=True))
        return
    columns = (TextColumn(title), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("loading the pack", total=None)
        yield BenchProgress(
            lambda line: console.print(line, highlight=False),
            lambda done, total, words: shown.update(task, completed=done, total=total, description=words),
        )
