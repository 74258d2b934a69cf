"""A file appears at its place complete or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_FREE_AFTERWARDS = 1 << 20


@contextlib.contextmanager
def writing_beside(path: Path, size: int = 0) -> Iterator[BinaryIO]:
    """Opens a new file beside `path`; when the block ends well, syncs it and moves it to `path`.

    Whatever ends the block otherwise, the new file is removed and `path` is as it was.

    Args:
        path: the target, in a folder that exists.
        size: how many bytes will be written if that is known; checked against the free space before work
            begins.

    Raises:
        OSError: also when `size` bytes do not fit on the disk.
    """
    require_space(path.parent, size)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with beside.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def require_space(folder: Path, size: int) -> None:
    """Raises OSError saying how much is missing unless `size` bytes fit into `folder`."""
    free = shutil.disk_usage(folder).free
    if size and free < size + _FREE_AFTERWARDS:
        raise OSError(f"{folder} has {free / 1e6:,.0f} MB free, {size / 1e6:,.0f} MB are needed")


def sync_folder(folder: Path) -> None:
    """Puts the names in a folder on the disk."""
    # Without this a crash may lose the rename. Windows cannot open a folder and does not need it.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
