"""Messages between the gate and its engine host: a big-endian u32 length, then that many bytes of JSON.

Plain data only, no pickles: the child runs native code on a file from elsewhere, and its parent must be able
to read what it says without trusting it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

MAX_FRAME = 256 * 1024 * 1024
_LENGTH = struct.Struct(">I")


class FrameError(ValueError):
    """Bytes that are not a frame."""


def pack_frame(message: dict[str, Any]) -> bytes:
    """One message as bytes; NaN and infinity are refused with a ValueError."""
    body = json.dumps(message, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Puts frames together from whatever pieces a pipe delivers."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Yields the messages that are complete with `data`.

        Raises:
            FrameError: if the bytes are not a JSON object of acceptable size.
        """
        self._pending += data
        while len(self._pending) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._pending)
            if length > MAX_FRAME:
                raise FrameError(f"a message of {length} bytes")
            if len(self._pending) < _LENGTH.size + length:
                return
            body = bytes(self._pending[_LENGTH.size : _LENGTH.size + length])
            del self._pending[: _LENGTH.size + length]
            yield _decode(body)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a message that is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise FrameError("a message that is not an object")
    return message
