"""Things that a hostile program would touch: files, environment, ports, sockets, IPC. Each tells if it was."""

from __future__ import annotations

import os
import select
import socket
from pathlib import Path

PORT = 48117
SYSV_KEY = "0x464f5247"
SECRET = "canary-secret-7f3a"


class Canaries:
    """Planted on creation, below `folder`; `harm` says what happened to them since."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "forge_canary"
        self._folder.mkdir(exist_ok=True)
        (self._folder / "secret.txt").write_text(SECRET)
        (self._folder / "keep.txt").write_text("keep me")
        os.environ["FORGE_CANARY"] = SECRET
        self._listeners = {
            "TCP": _listener(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", PORT)),
            "UDP": _listener(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", PORT)),
            "abstract socket": _listener(socket.AF_UNIX, socket.SOCK_STREAM, "\0forge_canary"),
        }
        self._top = folder
        self._files = self._look()

    def harm(self) -> list[str]:
        """What was touched since they were planted, in words; empty is good."""
        found = [
            f"{name} heard something"
            for name, s in self._listeners.items()
            if select.select([s], [], [], 0)[0]
        ]
        if self._look() != self._files:
            found.append(f"files below {self._top} changed")
        if SYSV_KEY in _sysv():
            found.append("a SysV object was left")
        return found

    def _look(self) -> dict[str, tuple[int, int, int, int]]:
        seen = {}
        for path in sorted(self._top.rglob("*")):
            at = path.lstat()
            seen[str(path)] = (at.st_mode, at.st_size, at.st_mtime_ns, at.st_nlink)
        return seen


def _listener(family: int, kind: int, address: object) -> socket.socket:
    listener = socket.socket(family, kind)
    if family == socket.AF_INET:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)  # type: ignore[arg-type]
    if kind == socket.SOCK_STREAM:
        listener.listen()
    return listener


def _sysv() -> str:
    found = ""
    for name in ("shm", "sem", "msg"):
        for line in Path(f"/proc/sysvipc/{name}").read_text().splitlines()[1:]:
            found += f"{int(line.split()[0]) & 0xFFFFFFFF:#010x} "
    return found
