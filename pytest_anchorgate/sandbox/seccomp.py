"""The system-call filter: an allowlist of classic BPF over `struct seccomp_data`, installed through ctypes.

A call that is not listed fails with EPERM, one that is newer than the table with ENOSYS. A call of another
architecture (i386, x32) kills the process. https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from . import syscalls
from .libc import LIBC

_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_GE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NR, _ARCH = 0, 4
_PR_SET_SECCOMP, _FILTER = 22, 2
_X32 = 0x40000000
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Exactly what glibc's pthread_create asks for, and musl's, which adds CLONE_DETACHED: threads, no processes.
_THREAD_FLAGS = (0x3D0F00, 0x7D0F00)
# O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND, and O_PATH, which Landlock does not look at.
_OPEN_DENIED = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o10000000
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: what opening and closing streams asks for.
_IOCTL_ALLOWED = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
_PRCTL_ALLOWED = (15, 16, 0x53564D41)  # a thread's name, and the name of a mapping
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC: no locks, leases or notifications, which
# other processes could see.
_FCNTL_ALLOWED = (0, 1, 2, 3, 4, 1030)
_AF_UNIX = 1
_PID_MARK = 0x7FFFFFF1  # stands in the program for the number of the process that installs it


class SeccompError(OSError):
    """The filter cannot be installed on this machine."""


def build(*, reading: bool) -> bytes:
    """The program for this machine, to be installed by any number of processes.

    Args:
        reading: Whether files may be opened for reading; Landlock then says which.

    Raises:
        OSError: No table for this architecture.
    """
    return program(os.uname().machine, reading=reading)


def install(code: bytes) -> None:
    """Install a built program for this process, after no_new_privs and while it has one thread.

    Raises:
        SeccompError: The kernel refuses.
    """
    own = code.replace(struct.pack("=I", _PID_MARK), struct.pack("=I", os.getpid()))
    buffer = ctypes.create_string_buffer(own, len(own))
    # struct sock_fprog: a count, padding, a pointer.
    wanted = struct.pack("@HP", len(own) // 8, ctypes.addressof(buffer))
    if LIBC.prctl(_PR_SET_SECCOMP, _FILTER, wanted, 0, 0) != 0:
        raise SeccompError(f"the kernel refused the system-call filter: {os.strerror(ctypes.get_errno())}")


def program(machine: str, *, reading: bool) -> bytes:
    """The program for one of the architectures with a table."""
    column = syscalls.column(machine)
    body = [
        _op(_LOAD, _ARCH),
        _op(_JUMP_EQUAL, _AUDIT_ARCH[machine], 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NR),
    ]
    if machine == "x86_64":  # the x32 calls share the architecture's number and start here
        body += [_op(_JUMP_GE, _X32, 0, 1), _op(_RETURN, _KILL)]
    body += [_op(_JUMP_GREATER, syscalls.NEWEST, 0, 1), _op(_RETURN, _ERRNO | errno.ENOSYS)]
    for first, last in _runs(sorted(pair[column] for pair in syscalls.ALLOWED.values() if pair[column] >= 0)):
        body += [_op(_JUMP_GE, first, 0, 2), _op(_JUMP_GREATER, last, 1, 0), _op(_RETURN, _ALLOW)]
    for pair in syscalls.UNKNOWN.values():
        body += [_op(_JUMP_EQUAL, pair[column], 0, 1), _op(_RETURN, _ERRNO | errno.ENOSYS)]
    body += _by_argument(column, reading)
    return b"".join([*body, _deny()])


def _by_argument(column: int, reading: bool) -> list[bytes]:
    """The calls that are allowed for some arguments only. Each block ends in a return."""
    body = []
    for call, argument, allowed in (
        (syscalls.CLONE, 0, _THREAD_FLAGS),
        (syscalls.TGKILL, 0, (_PID_MARK,)),
        (syscalls.SOCKETPAIR, 0, (_AF_UNIX,)),
        (syscalls.IOCTL, 1, _IOCTL_ALLOWED),
        (syscalls.PRCTL, 0, _PRCTL_ALLOWED),
        (syscalls.FCNTL, 1, _FCNTL_ALLOWED),
    ):
        known = [op for value in allowed for op in (_op(_JUMP_EQUAL, value, 0, 1), _op(_RETURN, _ALLOW))]
        body += _when(call[column], argument, [*known, _deny()])
    read_only = _op(_RETURN, _ERRNO | errno.EACCES)
    opening = (
        [_op(_JUMP_SET, _OPEN_DENIED, 0, 1), read_only, _op(_RETURN, _ALLOW)] if reading else [read_only]
    )
    body += _when(syscalls.OPEN[column], 1, opening)
    body += _when(syscalls.OPENAT[column], 2, opening)
    # A pointer that must be null: no address to send to, no limit to set.
    body += _when(syscalls.SENDTO[column], 4, [_op(_JUMP_EQUAL, 0, 1, 0), _deny(), *_high_zero(4)])
    null = [_op(_LOAD, 16 + 8 * 2), _op(_JUMP_EQUAL, 0, 1, 0), _deny(), *_high_zero(2)]
    body += _when(syscalls.PRLIMIT[column], 0, [_op(_JUMP_EQUAL, 0, 1, 0), _deny(), *null])
    return body


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Neighbouring numbers as ranges, which makes the program a third as long."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _when(number: int, argument: int, then: list[bytes]) -> list[bytes]:
    """For one call: load the low half of an argument and run `then`, which always returns."""
    if number < 0:
        return []
    return [_op(_JUMP_EQUAL, number, 0, len(then) + 1), _op(_LOAD, 16 + 8 * argument), *then]


def _high_zero(argument: int) -> list[bytes]:
    """Allow only if the high half of the (pointer) argument is zero too."""
    return [_op(_LOAD, 20 + 8 * argument), _op(_JUMP_EQUAL, 0, 1, 0), _deny(), _op(_RETURN, _ALLOW)]


def _deny() -> bytes:
    return _op(_RETURN, _ERRNO | errno.EPERM)


def _op(code: int, k: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, k)
