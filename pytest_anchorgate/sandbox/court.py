"""Courts: a warm parent of candidates and one of judges, kept from one verification to the next.

A court does one verification at a time; several threads get several courts. One that showed anything odd is
closed and never used again. A process that was forked off this one gets courts of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections.abc import Iterator

from .levels import LEVELS
from .pair import Allowance, Pair
from .warm import START_SECONDS, LevelNotOffered, Parent, ParentError


class NoLevel(Exception):
    """No level, or not the wanted one, is offered on this machine; the text says why."""


class Court:
    """Two warm parents that confine at one level."""

    def __init__(self, level: str) -> None:
        """Start both.

        Raises:
            LevelNotOffered, LayerFailed: What they said about the level.
            OSError: They could not be started.
        """
        self.level = level
        self.sound = True
        self._spare: Pair | None = None
        self._allowance: Allowance | None = None
        self.zygote = Parent("candidate", level)
        try:
            self.bench = Parent("judge", level)
        except BaseException:
            self.zygote.close()
            raise
        try:
            deadline = time.monotonic() + START_SECONDS
            self.zygote.await_ready(deadline)
            self.bench.await_ready(deadline)
        except BaseException:
            self.close()
            raise

    def seat(self, allowance: Allowance) -> Pair:
        """A pair for one verification: the spare one if it was made for this allowance, or a new one.

        Raises:
            ParentError: A warm parent does not do what it should.
        """
        spare, self._spare = self._spare, None
        self._allowance = allowance
        if spare is not None:
            if spare.allowance == allowance:
                return spare
            spare.dismiss()
        return Pair(self.zygote, self.bench, allowance)

    def prepare(self) -> None:
        """Have a spare pair confined for the next verification, which mostly has the allowance of the last."""
        if self._spare is None and self._allowance is not None:
            self._spare = Pair(self.zygote, self.bench, self._allowance)

    def healthy(self) -> bool:
        """Whether both parents are there and wait, and so does the spare pair if there is one."""
        try:
            fit = self._spare is None or self._spare.alive()
        except ParentError:
            return False
        return fit and self.sound and self.zygote.healthy() and self.bench.healthy()

    def close(self) -> None:
        """End everything."""
        if self._spare is not None:
            self._spare.close()
        for parent in (self.zygote, self.bench):
            parent.hang_up()  # so that one ends while the other is waited for
        for parent in (self.zygote, self.bench):
            parent.close()

    def forget(self) -> None:
        """In a process that was forked off this one: let go of what belongs to the other."""
        if self._spare is not None:
            self._spare.forget()
        self.zygote.forget()
        self.bench.forget()


class Courthouse:
    """The courts of this process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._idle: list[Court] = []
        self._busy: list[Court] = []
        self._places = max(2, len(os.sched_getaffinity(0)))
        self._taken = 0
        self._best: str | None = None
        self._missing: dict[str, str] = {}

    @contextlib.contextmanager
    def sitting(self, level: str | None) -> Iterator[Court]:
        """A court for one verification, at the best level that is offered or at exactly `level`.

        Raises:
            NoLevel: It is not offered.
            OSError: The court could not be opened.
        """
        with self._changed:
            while self._taken >= self._places:
                self._changed.wait()
            self._taken += 1
        court = None
        try:
            court = self._take(level or self.best())
            yield court
        finally:
            self._give_back(court)

    def best(self) -> str:
        """The strongest level that this machine offers; found out once.

        Raises:
            NoLevel: There is none; the text names what is missing.
            OSError: A layer that is there could not be set up, or no process could be started.
        """
        with self._changed:
            if self._best is None:
                self._best = self._find_best()
            return self._best

    def missing(self) -> dict[str, str]:
        """Why stronger levels than the best are not offered, by level."""
        self.best()
        return dict(self._missing)

    def close(self) -> None:
        """End every court that is not in use."""
        with self._changed:
            idle, self._idle = self._idle, []
        for court in idle:
            court.close()

    def abandon(self) -> None:
        """After a fork, in the new process: forget the courts, which belong to the old one."""
        for court in (*self._idle, *self._busy):
            court.forget()

    @property
    def foreign(self) -> bool:
        """Whether it was made in another process."""
        return self._pid != os.getpid()

    def _find_best(self) -> str:
        for level in LEVELS:
            try:
                self._idle.append(Court(level))
            except LevelNotOffered as error:
                self._missing[level] = str(error)
            else:
                return level
        raise NoLevel("; ".join(f"{level}: {why}" for level, why in self._missing.items()))

    def _take(self, level: str) -> Court:
        with self._changed:
            # The one that was used last: it has a spare pair, and most likely for the same allowance.
            court = next((court for court in reversed(self._idle) if court.level == level), None)
            if court is not None:
                self._idle.remove(court)
        if court is not None and not _fit(court):
            court = None
        if court is None:
            court = self._open(level)
        with self._changed:
            self._busy.append(court)
        return court

    def _open(self, level: str) -> Court:
        try:
            return Court(level)
        except LevelNotOffered as error:
            if level == self._best:
                raise ParentError(
                    f"the level {level}, which was offered before, is not any more: {error}"
                ) from None
            raise NoLevel(f"{level}: {error}") from None

    def _give_back(self, court: Court | None) -> None:
        keep = False
        try:
            keep = court is not None and _fit(court, prepare=True)
        finally:
            with self._changed:
                self._taken -= 1
                if court is not None:
                    self._busy.remove(court)
                    if keep:
                        self._idle.append(court)
                self._changed.notify()


def _fit(court: Court, *, prepare: bool = False) -> bool:
    """Whether a court can serve on, with a spare pair ordered if so wanted; one that cannot is closed."""
    fit = False
    try:
        if court.healthy():
            if prepare:
                court.prepare()
            fit = True
    except ParentError:
        pass
    finally:
        if not fit:
            court.close()
    return fit


_house: Courthouse | None = None
_house_lock = threading.Lock()


def courthouse() -> Courthouse:
    """The one of this process."""
    global _house
    with _house_lock:
        if _house is None or _house.foreign:
            _house = Courthouse()
        return _house


def close() -> None:
    """End the idle courts of this process; the next verification opens a new one."""
    if _house is not None and not _house.foreign:
        _house.close()


def _after_fork() -> None:
    # A thread of the old process may have held the lock, and its sockets must not keep courts alive.
    global _house, _house_lock
    _house_lock = threading.Lock()
    house, _house = _house, None
    if house is not None:
        house.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(close)
