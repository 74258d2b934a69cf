"""What both sides may read: the standard library entry by entry, and what that loads.

Left out are site-packages and its like, where anchors, benchmark data and the plugin itself may lie, and
everything of the machine and the user: /proc, /sys, /etc, /tmp, the home.
"""

# pathlib would cost its import in every cold start.
# ruff: noqa: PTH112, PTH208

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_GRANTED = frozenset(
    {"site-packages", "dist-packages", "test", "idlelib", "tkinter", "ensurepip", "lib2to3"}
)
_FILES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/etc/ld.so.cache", "/etc/localtime")
_FOLDERS = ("/usr/share/zoneinfo", "/usr/lib/locale")
_LIBRARIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")


def around(*, whole_from: int = sys.maxsize) -> Iterator[str]:
    """Devices, time zones, locales, and shared libraries with the folders of them.

    Args:
        whole_from: From how many libraries on a folder is named itself instead of what it holds.
    """
    yield from (*_FILES, *_FOLDERS)
    for folder in sorted({*map(os.path.realpath, _LIBRARIES), f"{sys.base_exec_prefix}/lib"}):
        wanted = [n for n in names(folder) if ".so" in n or n.endswith(("-linux-gnu", "-linux-musl"))]
        yield from [folder] if len(wanted) >= whole_from else [f"{folder}/{name}" for name in wanted]


def folders() -> list[str]:
    """The folders of the standard library, with neither a zip that is not there nor one inside another."""
    found = [entry for entry in sys.path if os.path.isdir(entry)]
    return [entry for entry in found if not any(entry.startswith(f"{other}/") for other in found)]


def names(folder: str) -> list[str]:
    """What a folder holds; nothing if it cannot be read."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
