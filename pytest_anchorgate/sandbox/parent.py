"""The warm parent of the candidates (the zygote), or of the judges: confined children for the cost of a fork.

It is executed, not forked, so nothing of the calling process is in its memory, and it never reads a test, an
anchor or a generated program: it passes descriptors on. One child at a time.

Messages on its socket, one packet each. From the launcher: limits, with the child's descriptors. To it: at
first H (ready), A (the level is not offered here) or R (a layer failed), then for each child S (started, with
its pidfd) and E (how it ended), or X (it could not be started).
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import sys

from .levels import PRELOADED
from .limits import OPEN_FILES, Limits, LimitsError, NotOffered, Walls, keep_descriptors
from .packets import ABSENT, ENDED, FAILED, ORDER, READY, REFUSED, STARTED
from .preload import preload

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Callable

    Play = Callable[[Limits, Walls, int], None]

_CONTROL = 3
_TEXT = 4096


def main(role: str, level: str, launcher: int, descriptor: int) -> None:
    """Prepare, say so, then fork on request until the launcher hangs up or dies."""
    os.umask(0o077)
    keep_descriptors([descriptor], 1 << 16)
    watch = os.pidfd_open(launcher)
    if os.getppid() != launcher:
        return
    control = socket.socket(fileno=_CONTROL)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            if signal.getsignal(number) == signal.SIG_IGN and number != signal.SIGPIPE:
                signal.signal(number, signal.SIG_DFL)
    play = _play(role)
    preload(rare=level == PRELOADED)
    try:
        walls = Walls(level, judge=role == "judge")
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (LimitsError, ValueError) as error:
        word = ABSENT if isinstance(error, NotOffered) else REFUSED
        control.send(word + str(error).encode("utf-8", "backslashreplace")[:_TEXT])
        return
    gc.collect()
    gc.freeze()  # a collection in a child would write to, and so copy, every page of these objects
    control.send(READY)
    _serve(control, watch, walls, play)


def _play(role: str) -> Play:
    """What a child of this role does; imported before the private root hides the sources."""
    if role == "judge":
        from . import judge

        return judge.main
    from . import candidate

    return candidate.main


def _serve(control: socket.socket, watch: int, walls: Walls, play: Play) -> None:
    own = os.getpid()
    while True:
        if watch in select.select([control.fileno(), watch], [], [])[0]:
            return
        order, descriptors, _flags, _address = socket.recv_fds(control, ORDER.size, 4)
        if len(order) != ORDER.size:
            return
        try:
            child = os.fork()
        except OSError as error:
            control.send(FAILED + str(error).encode())
            _close(descriptors)
            continue
        if child == 0:
            _become(control, descriptors, order, walls, play, own)
        _close(descriptors)
        _attend(control, watch, child)


def _become(
    control: socket.socket, descriptors: list[int], order: bytes, walls: Walls, play: Play, parent: int
) -> None:
    """In the child: keep its own descriptors only, play the role, and never come back."""
    status = 1
    try:
        control.detach()  # the number is about to be another descriptor's
        kept = list(descriptors)
        if walls.ruleset is not None:
            kept.append(walls.ruleset)
            walls.ruleset = _CONTROL + len(descriptors)
        keep_descriptors(kept, OPEN_FILES)
        cpu_seconds, memory_mb = ORDER.unpack(order)
        del control, kept, descriptors, order
        play(Limits(cpu_seconds=cpu_seconds, memory_mb=memory_mb), walls, parent)
        status = 0
    finally:
        os._exit(status)


def _attend(control: socket.socket, watch: int, child: int) -> None:
    """Hand over the child's pidfd, wait for its end, and tell it; whatever else happens kills it."""
    pidfd = os.pidfd_open(child)
    try:
        with contextlib.suppress(OSError):
            socket.send_fds(control, [STARTED.pack(b"S", child)], [pidfd])
        ready = select.select([pidfd, control.fileno(), watch], [], [])[0]
        if pidfd not in ready:  # a hang-up, or a word out of turn
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)  # its number is not free before it is waited for
        _, status, usage = os.wait4(child, 0)
    finally:
        os.close(pidfd)
    seconds = usage.ru_utime + usage.ru_stime
    try:
        control.send(ENDED.pack(b"E", os.waitstatus_to_exitcode(status), seconds))
    except OSError:
        sys.exit(0)  # nobody is left to tell


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        os.close(fd)
