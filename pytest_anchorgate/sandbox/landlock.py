"""Landlock: the standard library and what that loads can be read, and nothing else can be done with files.

Rules only add rights, so a folder cannot be granted and a part of it taken away: the library is granted
entry by entry. Which rights the running kernel knows is asked bit by bit: distributions backport parts, so a
version number says little. https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys

from . import library
from .libc import LIBC

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same numbers on every architecture
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FIELDS = 3  # of struct landlock_ruleset_attr: files, network, scopes


class LandlockError(OSError):
    """The kernel knows Landlock but refused a step."""


def abi() -> int:
    """The version that the kernel tells, 0 if it has no Landlock or it is switched off.

    Raises:
        LandlockError: The kernel answers with something else.
    """
    version = int(LIBC.syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION_FLAG))
    if version >= 1:
        return version
    if ctypes.get_errno() in (errno.ENOSYS, errno.EOPNOTSUPP):
        return 0
    raise LandlockError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def build() -> int:
    """A ruleset that handles every right the kernel knows and grants reading the library; its descriptor.

    Raises:
        LandlockError: The kernel has Landlock, and a step failed.
    """
    handled = [_known(field) for field in range(_FIELDS)]
    ruleset = _create(handled)
    try:
        for path in library.around():
            _grant(ruleset, path, _READ_FILE | _READ_DIR)
        for folder in sys.path:
            # The import system lists a folder before it opens a file.
            _grant(ruleset, folder, _READ_DIR)
            for name in library.names(folder):
                if name not in library.NOT_GRANTED:
                    _grant(ruleset, f"{folder}/{name}", _READ_FILE | _READ_DIR)
    except OSError:
        os.close(ruleset)
        raise
    return ruleset


def restrict(ruleset: int) -> None:
    """Restrict this thread, the only one of its process, for good, and close the ruleset.

    Raises:
        LandlockError: The kernel refused.
    """
    _call(_RESTRICT, ruleset, 0)
    os.close(ruleset)


def _known(field: int) -> int:
    """The bits of one field that this kernel accepts."""
    known = 0
    for bit in range(64):
        wanted = [0] * _FIELDS
        wanted[field] = 1 << bit
        try:
            os.close(_create(wanted))
        except LandlockError as error:
            if error.errno not in (errno.EINVAL, errno.E2BIG):
                raise
            break  # rights are numbered from zero without holes
        known |= 1 << bit
    return known


def _create(handled: list[int]) -> int:
    # A kernel with a shorter struct accepts the longer one as long as what it does not know is zero.
    attributes = struct.pack(f"={_FIELDS}Q", *handled)
    return _call(_CREATE, attributes, len(attributes), 0)


def _grant(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not on this machine; what is not granted is denied
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _READ_FILE
        if rights:
            _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)


def _call(number: int, *arguments: int | bytes) -> int:
    result = int(LIBC.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise LandlockError(code, os.strerror(code))
    return result
