"""Namespaces of their own for the candidates of one parent: a bonus where the kernel allows it.

A user namespace gives the right to make the others: no network but a loopback that is down, no process to
see or signal but the own, no SysV objects of others, and a root that holds the library only.
https://man7.org/linux/man-pages/man7/user_namespaces.7.html
"""

from __future__ import annotations

import contextlib
import os
import select
import signal

from . import library, private_root
from .libc import LIBC, check

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Callable

_NEWNS, _NEWUTS, _NEWIPC = 0x00020000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_PR_SET_PDEATHSIG = 1
_MANY = 100  # mounts for one folder


class NamespaceError(OSError):
    """This machine does not allow a step; the text names it."""


def enter() -> None:
    """Move this process into namespaces of its own: what returns is their first process, in a private root.

    The process that called stays outside, waits for the other and ends with it. Needs a single thread.

    Raises:
        NamespaceError: A step is not allowed here, as in many containers.
    """
    user, group = os.geteuid(), os.getegid()  # unknown inside until they are mapped
    _step("new namespaces", _unshare)
    _step("the map of user ids", lambda: _map_ids(user, group))
    around = list(library.around(whole_from=_MANY))
    _step("a private root", lambda: private_root.build(library.folders(), around))
    outside = os.pidfd_open(os.getpid())
    child = os.fork()
    if child:
        _stay_outside(child)
    LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if select.select([outside], [], [], 0)[0]:
        os._exit(1)  # it died before it could be watched
    os.close(outside)


def _step(name: str, do: Callable[[], None]) -> None:
    try:
        do()
    except OSError as error:
        raise NamespaceError(f"{name}: {error}") from None


def _unshare() -> None:
    check(LIBC.unshare(_NEWUSER | _NEWNS | _NEWPID | _NEWNET | _NEWIPC | _NEWUTS))


def _map_ids(user: int, group: int) -> None:
    """Ids stay what they were, so files that only their owner may read stay readable."""
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _stay_outside(child: int) -> None:
    """Hold nothing open, so that every hang-up is the child's own, and end when it ends."""
    os.closerange(3, 1 << 16)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)
    os._exit(0)
