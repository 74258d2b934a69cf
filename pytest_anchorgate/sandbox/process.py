"""One confined child process: start it, kill it with its group, learn how it ended and what it used."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_CHILD = str(Path(__file__).with_name("child.py"))
# Not -I: it ignores PYTHONHASHSEED, and with random string hashes the order of a set, so a verdict, would
# change from run to run. All that -I adds is here by other means: no user site (-s), no unsafe path (-P, and
# child.py on 3.10), and an environment that holds nothing but what is written below.
_FLAGS = ["-s", "-S", "-B", "-X", "utf8", *(["-P"] if sys.version_info >= (3, 11) else [])]
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "TZ": "UTC"}
_POLL = 0.002


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended: exit status or -signal (None if nobody could tell), and its CPU seconds."""

    code: int | None
    cpu_seconds: float


class Child:
    """A running child. Leaving the `with` block kills it and waits: no process outlives a verification."""

    def __init__(self, role: str, descriptors: list[int], *, cpu_seconds: int, memory_mb: int) -> None:
        numbers = [os.getpid(), cpu_seconds, memory_mb, *descriptors]
        self._process = subprocess.Popen(
            [sys.executable, *_FLAGS, _CHILD, role, *map(str, numbers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_ENVIRONMENT,
            close_fds=True,
            pass_fds=descriptors,
            start_new_session=True,
        )
        self._ending: Ending | None = None

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def alive(self) -> bool:
        """Whether the process still runs."""
        if self._ending is not None:
            return False
        try:
            found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return found is None

    def wait(self, seconds: float) -> Ending | None:
        """How it ended, or None if it still runs after `seconds`."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() >= deadline:
                return None
            time.sleep(_POLL)
        return self._reap()

    def kill(self) -> Ending:
        """Kill the process and everything in its group, and wait for its end.

        The number cannot belong to anybody else: it stays taken until `_reap`.
        """
        if self._ending is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        return self._reap()

    def _reap(self) -> Ending:
        if self._ending is None:
            try:
                _, status, usage = os.wait4(self._process.pid, 0)
            except ChildProcessError:  # the host program ignores SIGCHLD or waits for all children itself
                self._ending = Ending(None, 0.0)
                self._process.returncode = 0
            else:
                code = os.waitstatus_to_exitcode(status)
                self._ending = Ending(code, usage.ru_utime + usage.ru_stime)
                self._process.returncode = code
        return self._ending
