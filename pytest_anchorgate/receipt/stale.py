"""The receipt of an earlier run: removed first of all, so this file imports next to nothing."""

from __future__ import annotations

import stat
from pathlib import Path

from pytest_anchorgate.receipt.canonical import sha256_hex
from pytest_anchorgate.receipt.errors import ReceiptUnusable

LARGEST = 64 << 20
# What every receipt begins with, since its form is canonical.
_BEGINNING = b'{"payload":"'


def remove_stale(path: Path) -> str | None:
    """Removes the receipt of an earlier run, so that no receipt is there until this run has earned one.

    Returns:
        The sha256 of what was there, None if nothing was.

    Raises:
        ReceiptUnusable: one line: what is there is no receipt, or cannot be removed.
    """
    try:
        data = _old(path)
        path.unlink(missing_ok=True)  # also a link to nothing
    except OSError as error:
        raise ReceiptUnusable(f"{path}: the old receipt cannot be removed: {error.strerror}") from None
    return sha256_hex(data) if data else None


def _old(path: Path) -> bytes:
    """What is there now, nothing if nothing is; what is no receipt may be dear to somebody."""
    if not path.exists():
        return b""
    data = b""
    # A pipe would block, and a device might never end.
    if regular := stat.S_ISREG(path.stat().st_mode):
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    if not regular or (data and not data.startswith(_BEGINNING)) or len(data) > LARGEST:
        raise ReceiptUnusable(f"{path}: is there already and is no receipt; name another file")
    return data
