"""A throw-away world for running hostile programs: a second wall around whatever is measured here.

Own user, mount, process, network and IPC namespaces; everything mounted read-only but a small /tmp of its own.
Not part of the product: the sandbox must hold without it.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

_INSIDE = "ANCHORGATE_BENCH_INSIDE"
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _RDONLY = 442, -100, 0x8000, 1
_PR_SET_NO_NEW_PRIVS, _CAPABILITY_VERSION_3 = 38, 0x20080522
_CAPSET = {"x86_64": 126, "aarch64": 91}
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def inside(writable: Path, *, powerless: bool = False) -> None:
    """Run the current script again inside such a world and exit with its status; return if already there.

    Args:
        writable: Folder that becomes a small tmpfs; it must exist.
        powerless: Drop every capability at the end, for harnesses that have no walls of their own.
    """
    if os.environ.get(_INSIDE) != "1":
        command = ["unshare", "--user", "--map-current-user", "--mount", "--pid", "--fork", "--net", "--ipc"]
        command += ["--mount-proc", "--kill-child", "--keep-caps", sys.executable, *sys.argv]
        sys.exit(subprocess.call(command, env={**os.environ, _INSIDE: "1"}))
    libc = ctypes.CDLL(None, use_errno=True)
    # The sandbox writes the maps of its own namespaces to /proc, which is this world's own.
    for path, on, off in ((b"/", _RDONLY, 0), (b"/proc", 0, _RDONLY)):
        attributes = struct.pack("=4Q", on, off, 0, 0)
        if libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, path, _AT_RECURSIVE, attributes, ctypes.c_size_t(32)) != 0:
            raise OSError(ctypes.get_errno(), "the files could not be made read-only")
    for place in (writable, Path("/dev/shm")):
        if libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", 0, b"size=64m") != 0:
            raise OSError(ctypes.get_errno(), f"no tmpfs on {place}")
    _loopback_up()
    if powerless:
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs")
        header = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
        if libc.syscall(_CAPSET[os.uname().machine], header, bytes(24)) != 0:
            raise OSError(ctypes.get_errno(), "the capabilities could not be dropped")


def _loopback_up() -> None:
    """So that a canary can listen, and would hear."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(probe, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))
