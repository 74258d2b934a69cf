"""Confining the own process: descriptors, parent-death signal, capabilities, resource limits, system calls.

The order matters: what a later step forbids, an earlier one needs (see docs/sandbox.md). Every step either
holds or raises LimitsError naming itself; there is no weaker run.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct

from . import landlock, seccomp

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    _T = TypeVar("_T")

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = (
    1,
    4,
    24,
    38,
    47,
)
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
_OPEN_FILES = 64
_STACK = 8 << 20
_SIGKILL = 9


class LimitsError(OSError):
    """This platform does not provide a limit that verification needs."""


class Limits:
    """What one process may use.

    Attributes:
        cpu_seconds: Whole seconds of CPU; SIGXCPU comes then, and SIGKILL a second later.
        memory_mb: Address space in MiB.
        parent: Process id of the launcher; the process dies with it.
    """

    __slots__ = ("cpu_seconds", "memory_mb", "parent")

    def __init__(self, *, cpu_seconds: int, memory_mb: int, parent: int) -> None:
        self.cpu_seconds = cpu_seconds
        self.memory_mb = memory_mb
        self.parent = parent


def keep_descriptors(wanted: list[int]) -> None:
    """Make `wanted` the descriptors 3, 4, ... and close every other one above 2."""
    import fcntl

    aside = [fcntl.fcntl(fd, fcntl.F_DUPFD, 16) for fd in wanted]
    for place, fd in enumerate(aside, 3):
        os.dup2(fd, place, inheritable=False)
    os.closerange(3 + len(wanted), min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 1 << 16))


def confine(limits: Limits, *, read_all: bool) -> str:
    """Apply every limit to this process, which has one thread.

    Args:
        limits: What it may use.
        read_all: Leave reading files open, for code that is not hostile.

    Returns:
        `standard` if Landlock keeps it from reading beyond the standard library, otherwise `basic`.

    Raises:
        LimitsError: A layer could not be set up; the message names it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _layer("parent-death signal", lambda: _prctl(libc, _PR_SET_PDEATHSIG, _SIGKILL))
    if os.getppid() != limits.parent:
        raise LimitsError("parent-death signal: the parent is gone")
    _layer("session", _check_session)
    _layer("not dumpable", lambda: _prctl(libc, _PR_SET_DUMPABLE, 0))
    _layer("capabilities", lambda: _drop_capabilities(libc))
    _layer("resource limits", lambda: _set_rlimits(limits))
    _layer("no_new_privs", lambda: _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1))
    walled = not read_all and _layer("Landlock", landlock.restrict)
    _layer("system-call filter", seccomp.install)
    _layer("self-test", lambda: _self_test(walled))
    return "standard" if walled else "basic"


def _layer(name: str, step: Callable[[], _T]) -> _T:
    try:
        return step()
    except (OSError, ValueError, AttributeError) as error:
        raise LimitsError(f"{name}: {error}") from error


def _prctl(libc: ctypes.CDLL, option: int, value: int, second: int = 0) -> None:
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(second), 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _check_session() -> None:
    if os.getsid(0) != os.getpid():
        os.setsid()


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Root without capabilities is an ordinary user that owns root's files."""
    for capability in range(64):
        try:
            _prctl(libc, _PR_CAPBSET_DROP, capability)
        except (
            OSError
        ):  # past the last one, or not ours to drop: no_new_privs and the ban on execve cover those
            break
    _prctl(libc, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    number = _SYS_CAPSET.get(os.uname().machine)
    if number is None:
        raise LimitsError(f"no system-call table for the architecture {os.uname().machine}")
    header = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
    if libc.syscall(number, header, bytes(24)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _set_rlimits(limits: Limits) -> None:
    memory = limits.memory_mb << 20
    for what, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1),
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
        (resource.RLIMIT_SIGPENDING, 64, 64),
        (resource.RLIMIT_STACK, _STACK, _STACK),
    ):
        limit = resource.getrlimit(what)[1]
        if limit != resource.RLIM_INFINITY:
            soft, hard = min(soft, limit), min(hard, limit)
        resource.setrlimit(what, (soft, hard))


def _self_test(walled: bool) -> None:
    """Try what must fail: a filter that was installed but does not bite is no filter."""
    attempts: list[tuple[str, Callable[[], None]]] = [
        ("starting a process", _fork),
        ("signalling a process", lambda: os.kill(os.getpid(), 0)),
        ("opening for writing", lambda: os.close(os.open("/dev/null", os.O_WRONLY))),
    ]
    if walled:
        attempts.append(("listing the root", lambda: os.close(os.open("/", os.O_RDONLY))))
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
