"""A root folder that holds the library read-only and nothing else, so that `stat` finds nothing either.

Landlock keeps files from being read, not from being seen; this does. Needs a mount namespace of its own.
https://man7.org/linux/man-pages/man2/pivot_root.2.html
"""

# pathlib would cost its import in every cold start.
# ruff: noqa: PTH102, PTH110, PTH112, PTH114, PTH115, PTH211

from __future__ import annotations

import contextlib
import ctypes
import os
import struct

from . import syscalls
from .libc import LIBC, check

_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, 0o2000000
_MOVE_MOUNT_F_EMPTY_PATH = 4
_ATTR_RDONLY, _ATTR_NOSUID = 1, 2
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 2, 4, 8, 1 << 14, 1 << 18, 2
_SMALL = b"size=256k,nr_inodes=1k,mode=755"
_COVERED = ("site-packages", "dist-packages")
_MAX_LINKS = 40


def build(folders: list[str], around: list[str]) -> None:
    """Replace this process's root. For a process in mount and user namespaces of its own, with one thread.

    Args:
        folders: Of the standard library; what other packages lie in them is covered.
        around: Further files and folders; what does not exist is left out.

    Raises:
        OSError: The kernel does not allow a step.
    """
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    trees = [(path, _clone(path)) for path in (*folders, *around) if os.path.exists(path)]
    # Any folder will do, and this one exists: what it hides has been opened above.
    place = os.path.realpath(folders[0])
    _mount(b"tmpfs", place, b"tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, _SMALL)
    for path, tree in trees:
        target = _mirror(place, path)
        _attach(tree, target)
        os.close(tree)
    for folder in folders:
        _cover(place + os.path.realpath(folder))
    os.chdir(place)
    check(LIBC.syscall(syscalls.PIVOT_ROOT[syscalls.column(os.uname().machine)], b".", b"."))
    check(LIBC.umount2(b".", _MNT_DETACH))
    os.chdir("/")
    _set_attributes("/", _ATTR_RDONLY | _ATTR_NOSUID, 0)


def _clone(path: str) -> int:
    """A copy of the mounts below a path, attached nowhere yet."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    return check(LIBC.syscall(syscalls.OPEN_TREE, _AT_FDCWD, os.fsencode(os.path.realpath(path)), flags))


def _attach(tree: int, target: str) -> None:
    flags = _MOVE_MOUNT_F_EMPTY_PATH
    check(LIBC.syscall(syscalls.MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), flags))
    _set_attributes(target, _ATTR_RDONLY | _ATTR_NOSUID, _AT_RECURSIVE)


def _set_attributes(path: str, attributes: int, flags: int) -> None:
    wanted = struct.pack("=4Q", attributes, 0, 0, 0)
    encoded = os.fsencode(path)
    check(LIBC.syscall(syscalls.MOUNT_SETATTR, _AT_FDCWD, encoded, flags, wanted, ctypes.c_size_t(32)))


def _cover(folder: str) -> None:
    """Lay an empty folder over what is installed beside the standard library."""
    for name in _COVERED:
        if os.path.isdir(f"{folder}/{name}"):
            flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
            _mount(b"tmpfs", f"{folder}/{name}", b"tmpfs", flags, b"size=4k,nr_inodes=2,mode=555")


def _mirror(place: str, path: str) -> str:
    """Make the same path below `place`, its symbolic links included; where its end is to be mounted on."""
    todo, real, links = path.strip("/").split("/"), "", 0
    while todo:
        name = todo.pop(0)
        here = f"{real}/{name}"
        if os.path.islink(here) and links < _MAX_LINKS:
            links += 1
            pointed = os.readlink(here)
            with contextlib.suppress(FileExistsError):
                os.symlink(pointed, place + here)
            whole = os.path.normpath(pointed if pointed.startswith("/") else f"{real}/{pointed}")
            todo, real = whole.strip("/").split("/") + todo, ""
            continue
        with contextlib.suppress(FileExistsError):
            if todo or os.path.isdir(here):
                os.mkdir(place + here)
            else:
                os.close(os.open(place + here, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o444))
        real = here
    return place + real


def _mount(
    what: bytes | None,
    where: str,
    kind: bytes | None,
    flags: int,
    data: bytes | None = None,
) -> None:
    check(LIBC.mount(what, os.fsencode(where), kind, ctypes.c_ulong(flags), data))
