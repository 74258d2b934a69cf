"""Frames between judge and candidate, over one end of a socket pair.

A request is kind (1 byte), sequence number (u32), length (u32), body; a reply has the same head and repeats
the number. One request is open at a time, so any other byte is a violation.
"""

from __future__ import annotations

import os
import select
import struct

from .codec_format import MAX_FRAME

_HEAD = struct.Struct("<cII")

HELLO, REFUSED = b"H", b"R"
BASE, LOAD, CALL, NEXT, PING = b"B", b"L", b"C", b"N", b"P"
VALUE, CHANGED, RAISED, STOP, UNSENDABLE = b"V", b"W", b"E", b"S", b"U"


class Closed(Exception):
    """The other side closed its end."""


class Malformed(Exception):
    """The other side sent something that is not a frame."""


def write_frame(fd: int, kind: bytes, number: int, body: bytes = b"") -> None:
    """Send one frame; raises Closed if nobody reads."""
    view = memoryview(_HEAD.pack(kind, number, len(body)) + body)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except (BrokenPipeError, ConnectionResetError):
        raise Closed from None


def read_frame(fd: int) -> tuple[bytes, int, bytes]:
    """Receive one frame: kind, sequence number, body.

    Raises:
        Closed: The other side is gone.
        Malformed: The announced length is above the bound.
    """
    kind, number, size = _HEAD.unpack(_read(fd, _HEAD.size))
    if size > MAX_FRAME:
        raise Malformed(f"a frame of {size} bytes")
    return kind, number, _read(fd, size)


def pending(fd: int) -> bool:
    """Whether bytes (or the end of the stream) are waiting."""
    return bool(select.select([fd], [], [], 0)[0])


def _read(fd: int, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        try:
            part = os.read(fd, min(size - len(got), 1 << 20))
        except ConnectionResetError:
            raise Closed from None
        if not part:
            raise Closed
        got += part
    return bytes(got)
