"""Progress of long work: a bar on a terminal, a few plain lines in a log. Both on stderr."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

Advance = Callable[[int], None]
_LINES_PER_TASK = 4
_QUIET_SECONDS = 2.0


@contextlib.contextmanager
def task(description: str, total: int, *, shown: bool = True) -> Iterator[Advance]:
    """Shows work on `total` bytes while the block runs; the block calls the yielded function with bytes done.

    Args:
        description: what is being done, a few words.
        total: bytes in all.
        shown: False shows nothing.
    """
    if not shown:
        yield lambda _: None
    elif sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
            handle = bar.add_task(description, total=total)
            yield lambda count: bar.advance(handle, count)
    else:
        yield _Lines(description, total).advance


class _Lines:
    """Says how far the work is at each quarter, and nothing at all about work that is quickly done."""

    def __init__(self, description: str, total: int) -> None:
        self._description, self._total = description, max(total, 1)
        self._done, self._said, self._start = 0, 0, time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        quarter = min(self._done * _LINES_PER_TASK // self._total, _LINES_PER_TASK)
        if quarter > self._said and time.monotonic() - self._start > _QUIET_SECONDS:
            self._said = quarter
            percent = 100 * quarter // _LINES_PER_TASK
            print(
                f"anchorgate: {self._description}: {percent} % of {self._total / 1e6:,.0f} MB",
                file=sys.stderr,
            )


def say(message: str, *, shown: bool = True) -> None:
    """One plain line about what happens next."""
    if shown:
        print(f"anchorgate: {message}", file=sys.stderr)
