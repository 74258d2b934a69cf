"""The launcher's side of a warm parent: start it, have it fork a child, follow the child to its end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import packets

_CHILD = str(Path(__file__).with_name("child.py"))
# Not -I: it ignores PYTHONHASHSEED, and with random string hashes the order of a set, so a verdict, would
# change from run to run. All that -I adds is here by other means: no user site (-s), no unsafe path (-P, and
# child.py on 3.10), and an environment that holds nothing but what is written below.
_FLAGS = ["-s", "-S", "-B", "-X", "utf8", *(["-P"] if sys.version_info >= (3, 11) else [])]
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "TZ": "UTC"}
_PACKET = 8192
START_SECONDS = 60.0
_CLOSE_SECONDS = 5.0


class ParentError(OSError):
    """A warm parent could not be started, or died."""


class LevelNotOffered(ParentError):
    """This machine does not offer the level; the text says which layer is missing."""


class LayerFailed(ParentError):
    """A layer that this machine offers could not be set up."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended: exit status or -signal (None if nobody could tell), and its CPU seconds."""

    code: int | None
    cpu_seconds: float


class Parent:
    """One running warm parent. Start it, then `await_ready`; `close` ends it and its child."""

    def __init__(self, role: str, level: str) -> None:
        """Start the interpreter; OSError if that is not possible."""
        self.role = role
        self._here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with there:
                self._process = subprocess.Popen(
                    command(role, level, there.fileno()),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env=_ENVIRONMENT,
                    close_fds=True,
                    pass_fds=[there.fileno()],
                    start_new_session=True,
                )
        except BaseException:
            self._here.close()
            raise

    def await_ready(self, deadline: float) -> None:
        """Wait for its first word.

        Raises:
            LevelNotOffered, LayerFailed: What it said.
            ParentError: It said nothing.
        """
        word, _ = self.receive(deadline)
        text = word[1:].decode("utf-8", "replace")
        if word[:1] == packets.ABSENT:
            raise LevelNotOffered(text)
        if word[:1] == packets.REFUSED:
            raise LayerFailed(text)
        if word != packets.READY:
            raise ParentError(f"the parent of the {self.role}s said something odd")

    def order(self, descriptors: Sequence[int], *, cpu_seconds: int, memory_mb: int) -> None:
        """Ask for a child that gets these descriptors; `started` gives it."""
        try:
            limits = packets.ORDER.pack(min(cpu_seconds, 1 << 31), min(memory_mb, 1 << 31))
            socket.send_fds(self._here, [limits], list(descriptors))
        except OSError as error:
            raise ParentError(f"the parent of the {self.role}s is gone: {error}") from None

    def started(self, deadline: float) -> Child:
        """The child that was ordered."""
        word, descriptors = self.receive(deadline)
        if word[:1] == packets.FAILED:
            raise ParentError(f"the {self.role} could not be forked: {word[1:].decode('utf-8', 'replace')}")
        if word[:1] != b"S" or len(descriptors) != 1:
            for fd in descriptors:
                os.close(fd)
            raise ParentError(f"the parent of the {self.role}s said something odd")
        return Child(self, descriptors[0])

    def receive(self, deadline: float) -> tuple[bytes, list[int]]:
        """The next packet and its descriptors; ParentError if there is none until the deadline."""
        self._here.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            data, descriptors, _flags, _address = socket.recv_fds(self._here, _PACKET, 4)
        except TimeoutError:
            raise ParentError(f"the parent of the {self.role}s does not answer") from None
        except OSError as error:
            raise ParentError(f"the parent of the {self.role}s is gone: {error}") from None
        if not data:
            raise ParentError(f"the parent of the {self.role}s died")
        return data, descriptors

    def healthy(self) -> bool:
        """Whether it still waits for orders: nothing to read, no hang-up."""
        return not _readable(self._here.fileno())

    @property
    def pid(self) -> int:
        """Its process id; at the level `full` that of the one outside the namespaces."""
        return self._process.pid

    def hang_up(self) -> None:
        """Have it end, without waiting: it hears the hang-up and kills its child. Closing it is still to be done."""
        self._here.close()

    def close(self) -> None:
        """End it; one that does not hear the hang-up is killed, and its child with it."""
        self.hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSE_SECONDS)
            return
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """In a process that was forked off this one: let go of what belongs to the other."""
        self._here.close()
        self._process.returncode = 0


class Child:
    """One confined process, known by its pidfd, so never by a number that may have been given away."""

    def __init__(self, parent_: Parent, pidfd: int) -> None:
        self._parent = parent_
        self._pidfd = pidfd
        self._ending: Ending | None = None

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._ending is None and not _readable(self._pidfd)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within `seconds`."""
        return self._ending is not None or _readable(self._pidfd, seconds)

    def kill(self) -> None:
        """Kill it; its parent kills its process group."""
        if self._ending is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def ending(self, deadline: float) -> Ending:
        """How it ended, once it did: it is dead and waited for then. ParentError if nobody tells in time."""
        if self._ending is None:
            word, descriptors = self._parent.receive(deadline)
            for fd in descriptors:
                os.close(fd)
            if word[:1] != b"E" or len(word) != packets.ENDED.size:
                raise ParentError(f"the parent of the {self._parent.role}s said something odd")
            _letter, code, seconds = packets.ENDED.unpack(word)
            self._ending = Ending(code, seconds)
        return self._ending

    def close(self) -> None:
        """Let go of the pidfd."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


def command(role: str, level: str, descriptor: int) -> list[str]:
    """The command line of a warm parent."""
    return [sys.executable, *_FLAGS, _CHILD, role, level, str(os.getpid()), str(descriptor)]


def _readable(fd: int, seconds: float = 0.0) -> bool:
    poll = select.poll()  # not select: a large session may hold more than 1024 descriptors
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
