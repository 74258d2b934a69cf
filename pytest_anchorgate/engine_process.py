"""The engine host as a process: started clean, spoken to under one deadline, never left behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_anchorgate.frames import FrameReader
from pytest_anchorgate.wire import printable

# Isolated and without site: the child starts with the standard library alone, so that a `json.py` among a
# user's tests, which pytest puts in front of everything else, cannot take its place; the rest comes behind.
_START = (
    "import sys; sys.path += sys.argv[1:-1]; "
    "from pytest_anchorgate.engine_host import main; sys.exit(main(sys.argv[-1:]))"
)
_STDERR_TAIL = 4096
_LAST_LINES = 5
MESSAGE_LIMIT = 600
_GRACE_SECONDS = 5.0
_LONGEST_WAIT = 3600.0  # of one system call
# What Python, the dynamic linker and sanitizers need, and the choice of kernels, which does not change a bit.
_KEPT_VARIABLES = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "ANCHORGATE_ISA"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS"),
)


class EngineError(RuntimeError):
    """The engine gave no answer; the message says why, in one line. Nothing is known about the pack."""


class EngineCrashed(EngineError):
    """The host ended by a signal or with an exit status, or spoke nonsense."""


class EngineTimeout(EngineError):
    """The deadline passed; the host was killed."""


class HostProcess:
    """The child process and its three pipes, all non-blocking, so that one deadline covers every wait."""

    def __init__(self, command: Sequence[str]) -> None:
        self._timeout = self._deadline = float("inf")
        self._closed = False
        self._reader = FrameReader()
        self._messages: list[dict[str, Any]] = []
        self._stderr = b""
        self._to_send = memoryview(b"")
        self._frames, theirs = os.pipe()  # not inheritable: only this child gets the other end
        try:
            self._process = subprocess.Popen(
                [*command, str(theirs)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs,),
                env=_environment(),
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            os.close(self._frames)
            raise
        finally:
            os.close(theirs)
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        self._stdin, self._errors = self._process.stdin.fileno(), self._process.stderr.fileno()
        self._selector = selectors.DefaultSelector()
        for descriptor in (self._frames, self._errors, self._stdin):
            os.set_blocking(descriptor, False)
        self._selector.register(self._frames, selectors.EVENT_READ)
        self._selector.register(self._errors, selectors.EVENT_READ)

    def close(self) -> None:
        """Ends it, whatever it is doing; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        # The group first: while the leader is not reaped, its number cannot belong to anyone else.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._selector.close()
        os.close(self._frames)
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def tell(self, frame: bytes) -> None:
        """Sends as much as the pipe takes at once; the rest leaves while messages are awaited."""
        waiting = bool(self._to_send)
        self._to_send = memoryview(bytes(self._to_send) + frame)
        if not waiting:
            self._selector.register(self._stdin, selectors.EVENT_WRITE)
            self._send()

    def request(self, frame: bytes) -> None:
        """Sends the request. The pipe stays open as a sign of life."""
        self.tell(frame)

    def deadline_in(self, seconds: float) -> None:
        """Everything that is still awaited has to come within `seconds` from now."""
        self._timeout = seconds
        self._deadline = time.monotonic() + seconds

    def receive(self) -> dict[str, Any]:
        """The next message.

        Raises:
            EngineTimeout: the deadline passed first.
            EngineCrashed: the host ended first.
        """
        while not self._messages:
            left = self._deadline - time.monotonic()
            ready = self._selector.select(min(left, _LONGEST_WAIT)) if left > 0 else []
            if not ready and time.monotonic() >= self._deadline:
                raise EngineTimeout(f"the engine was not done within {self._timeout:g} s and was killed")
            for key, _ in ready:
                self._serve(key.fd)
        return self._messages.pop(0)

    def _serve(self, descriptor: int) -> None:
        if descriptor == self._stdin:
            self._send()
            return
        data = os.read(descriptor, 1 << 16)
        if descriptor == self._errors:
            self._stderr = (self._stderr + data)[-_STDERR_TAIL:]
            if not data:
                self._selector.unregister(descriptor)
        elif data:
            self._messages.extend(self._reader.feed(data))
        elif not self._messages:
            raise EngineCrashed(self._last_words())

    def _send(self) -> None:
        try:
            self._to_send = self._to_send[os.write(self._stdin, self._to_send) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._to_send = memoryview(b"")  # it died; the end of the frames will say so
        if not self._to_send:
            self._selector.unregister(self._stdin)

    def _last_words(self) -> str:
        """How the host ended, and the end of what it wrote to standard error."""
        try:
            status = self._process.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            how = "closed its pipe and did not end"
        else:
            how = f"ended with exit status {status}"
            if status < 0:
                how = f"was killed by signal {-status} ({_signal_name(-status)})"
            if status == -signal.SIGKILL:
                how += ", which is what the kernel does when memory runs out"
        with contextlib.suppress(BlockingIOError):
            self._stderr = (self._stderr + os.read(self._errors, 1 << 16))[-_STDERR_TAIL:]
        tail = [line for line in self._stderr.decode("utf-8", errors="replace").splitlines() if line.strip()]
        said = " | ".join(line.strip() for line in tail[-_LAST_LINES:])
        return f"the engine {how}" + (f": {printable(said, MESSAGE_LIMIT)}" if said else "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def host_command() -> list[str]:
    """The child's command line; it imports this very package, wherever that lies and however it was found."""
    paths = [Path(__file__).parents[1], *map(Path, sys.path)]
    return [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", _START, *(str(p.absolute()) for p in paths)]


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
