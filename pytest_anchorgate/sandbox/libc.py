"""The C library, loaded once in a parent: each child would spend a twentieth of its start on it."""

from __future__ import annotations

import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> int:
    """The result of a call; OSError with errno if it is negative."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
