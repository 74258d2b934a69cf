"""Landlock for the candidate: it may read the standard library and what that loads, and nothing else.

Rules only add rights, so a folder cannot be granted and a part of it taken away: the library is granted
entry by entry, which leaves out site-packages, where anchors and benchmark data may lie. No /proc: the memory
of the calling process, which knows the tests, would be readable there.
https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Iterator

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same numbers on every architecture
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_SYSTEM_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NETWORK, _SCOPES = 0b11, 0b11
_NOT_GRANTED = frozenset(
    {"site-packages", "dist-packages", "test", "idlelib", "tkinter", "ensurepip", "lib2to3"}
)
_FILES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/etc/ld.so.cache", "/etc/localtime")
_FOLDERS = ("/usr/share/zoneinfo", "/usr/lib/locale")
_LIBRARIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")


class LandlockError(OSError):
    """The kernel knows Landlock but refused a step."""


def restrict() -> bool:
    """Restrict this thread, the only one of its process, for good.

    Returns:
        Whether it is restricted; False if this kernel has no Landlock.

    Raises:
        LandlockError: The kernel has Landlock, and a step failed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE, None, 0, _VERSION_FLAG)
    if version < 1:
        if ctypes.get_errno() in (errno.ENOSYS, errno.EOPNOTSUPP):
            return False
        raise LandlockError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    handled = (1 << _FILE_SYSTEM_BITS.get(version, 16)) - 1
    attributes = struct.pack("=Q", handled)
    attributes += struct.pack("=Q", _NETWORK) if version >= 4 else b""
    attributes += struct.pack("=Q", _SCOPES) if version >= 6 else b""
    ruleset = _call(libc, _CREATE, attributes, len(attributes), 0)
    try:
        for path, rights in _grants():
            _grant(libc, ruleset, path, rights)
        _call(libc, _RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def _grants() -> Iterator[tuple[str, int]]:
    """Paths and rights: the folders of sys.path (the standard library only), and shared libraries."""
    for path in (*_FILES, *_FOLDERS):
        yield path, _READ_FILE | _READ_DIR
    for folder in sys.path:
        yield folder, _READ_DIR  # the import system lists a folder before it opens anything in it
        for name in _names(folder):
            if name not in _NOT_GRANTED:
                yield f"{folder}/{name}", _READ_FILE | _READ_DIR
    own = f"{sys.base_exec_prefix}/lib"
    for folder in {*map(os.path.realpath, _LIBRARIES), own}:
        for name in _names(folder):
            if ".so" in name or name.endswith(("-linux-gnu", "-linux-musl")):
                yield f"{folder}/{name}", _READ_FILE | _READ_DIR


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - pathlib would cost its import in every start
    except OSError:
        return []


def _grant(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not on this machine; what is not granted is denied
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights = _READ_FILE
        _call(libc, _ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)


def _call(libc: ctypes.CDLL, number: int, *arguments: int | bytes) -> int:
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise LandlockError(code, os.strerror(code))
    return result
