"""Confining the own process: descriptors, parent-death signal, capabilities, resource limits, system calls.

The order matters: what a later step forbids, an earlier one needs (see docs/sandbox.md). Every step either
holds or raises LimitsError naming itself; there is no weaker run. What is the same for every process is
prepared once, in `Walls`, by the parent that forks them.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import signal
import socket
import struct
import sys

from . import landlock, levels, namespaces, seccomp, syscalls
from .libc import LIBC, check

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    _T = TypeVar("_T")

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 1, 4, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
OPEN_FILES = 64
_STACK = 8 << 20


class LimitsError(OSError):
    """This platform does not provide a limit that verification needs, or it could not be set up."""


class NotOffered(LimitsError):
    """This kernel does not have a layer at all, so a weaker level is the best there is."""


class Limits:
    """What one process may use.

    Attributes:
        cpu_seconds: Whole seconds of CPU; SIGXCPU comes then, and SIGKILL a second later.
        memory_mb: Address space in MiB.
    """

    __slots__ = ("cpu_seconds", "memory_mb")

    def __init__(self, *, cpu_seconds: int, memory_mb: int) -> None:
        self.cpu_seconds = cpu_seconds
        self.memory_mb = memory_mb


class Walls:
    """What the processes of one parent share.

    Attributes:
        level: One of levels.LEVELS.
        ruleset: Descriptor of the Landlock ruleset, None at the level `preloaded`.
        program: The system-call filter.
        reading: Whether the filter lets files be opened for reading.
    """

    __slots__ = ("level", "program", "reading", "ruleset")

    def __init__(self, level: str, *, judge: bool) -> None:
        """Prepare everything; at the level `full` this process moves into namespaces.

        Args:
            level: How far to confine.
            judge: For judges, which hold no hostile code: at the level `preloaded` they may read files.

        Raises:
            NotOffered: The kernel does not have what the level needs.
            LimitsError: A layer could not be set up.
        """
        self.level = level
        try:
            syscalls.column(os.uname().machine)
        except OSError as error:
            raise NotOffered(error.strerror) from None
        _layer("capabilities", _shrink_bounding_set)
        if level == levels.FULL:
            try:
                namespaces.enter()
            except namespaces.NamespaceError as error:
                raise NotOffered(f"namespaces: {error}") from None
        _layer("capabilities", _drop_capabilities)
        self.ruleset: int | None = None
        if level != levels.PRELOADED:
            if not _layer("Landlock", landlock.abi):
                raise NotOffered("Landlock: this kernel has none, or it is switched off (boot option lsm=)")
            self.ruleset = _layer("Landlock", landlock.build)
        self.reading = self.ruleset is not None or judge
        self.program = _layer("system-call filter", lambda: seccomp.build(reading=self.reading))


def keep_descriptors(wanted: list[int], highest: int) -> None:
    """Make `wanted` the descriptors 3, 4, ... and close every other one above 2, up to `highest`."""
    aside = [fcntl.fcntl(fd, fcntl.F_DUPFD, 16) for fd in wanted]
    for place, fd in enumerate(aside, 3):
        os.dup2(fd, place, inheritable=False)
    os.closerange(3 + len(wanted), highest)


def confine(limits: Limits, walls: Walls, parent: int) -> None:
    """Apply every limit to this freshly forked process, which has one thread.

    Args:
        limits: What it may use.
        walls: What its parent prepared.
        parent: The number that getppid() must give; the process dies with its parent.

    Raises:
        LimitsError: A layer could not be set up; the message names it.
    """
    _layer("session", os.setsid)
    _layer("parent-death signal", lambda: _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
    if os.getppid() != parent:
        raise LimitsError("parent-death signal: the parent is gone")
    _layer("not dumpable", lambda: _prctl(_PR_SET_DUMPABLE, 0))
    _layer("capabilities", _drop_capabilities)
    _layer("resource limits", lambda: _set_rlimits(limits))
    _layer("no_new_privs", lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1))
    ruleset = walls.ruleset
    if ruleset is not None:
        _layer("Landlock", lambda: landlock.restrict(ruleset))
    _layer("system-call filter", lambda: seccomp.install(walls.program))
    _layer("self-test", lambda: _self_test(walls))


def _layer(name: str, step: Callable[[], _T]) -> _T:
    try:
        return step()
    except (OSError, ValueError, AttributeError) as error:
        raise LimitsError(f"{name}: {error}") from error


def _prctl(option: int, value: int, second: int = 0) -> None:
    check(LIBC.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(second), 0, 0))


def _shrink_bounding_set() -> None:
    """So that nothing executed later could gain a capability; not ours to do without CAP_SETPCAP."""
    for capability in range(64):
        try:
            _prctl(_PR_CAPBSET_DROP, capability)
        except OSError:
            break  # past the last one, or not ours: no_new_privs and the ban on execve cover those
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)


def _drop_capabilities() -> None:
    """Root without capabilities is an ordinary user that owns root's files."""
    column = syscalls.column(os.uname().machine)
    header = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
    left = ctypes.create_string_buffer(24)
    for number, data in ((syscalls.CAPSET[column], bytes(24)), (syscalls.CAPGET[column], left)):
        check(LIBC.syscall(number, header, data))
    if any(left.raw):
        raise OSError(errno.EPERM, "some are left")


def _set_rlimits(limits: Limits) -> None:
    memory = limits.memory_mb << 20
    for what, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1),
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
        (resource.RLIMIT_SIGPENDING, 64, 64),
        (resource.RLIMIT_STACK, _STACK, _STACK),
    ):
        limit = resource.getrlimit(what)[1]
        if limit != resource.RLIM_INFINITY:
            soft, hard = min(soft, limit), min(hard, limit)
        resource.setrlimit(what, (soft, hard))


def _self_test(walls: Walls) -> None:
    """Try what must fail: a filter that was installed but does not bite is no filter."""
    own_file = sys.modules[__name__].__file__ or ""
    attempts: list[tuple[str, Callable[[], object]]] = [
        ("starting a process", _fork),
        ("opening a socket", lambda: socket.socket().close()),
        ("tracing a process", lambda: check(LIBC.ptrace(0, 0, 0, 0))),
        ("signalling a process", lambda: os.kill(os.getpid(), 0)),
        ("opening for writing", lambda: os.close(os.open("/dev/null", os.O_WRONLY))),
    ]
    if walls.ruleset is not None:
        attempts.append(("listing the root", lambda: os.close(os.open("/", os.O_RDONLY))))
        attempts.append(
            ("opening the sandbox's own source", lambda: os.close(os.open(own_file, os.O_RDONLY)))
        )
    if not walls.reading:
        attempts.append(("opening for reading", lambda: os.close(os.open("/dev/null", os.O_RDONLY))))
    if walls.level == levels.FULL:
        attempts.append(("seeing the sandbox's own source", lambda: os.lstat(own_file)))
    for name, attempt in attempts:
        try:
            attempt()
        except OSError:
            continue
        raise LimitsError(f"{name} was not refused")


def _fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
