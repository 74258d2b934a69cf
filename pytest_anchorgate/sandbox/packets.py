"""The packets between the launcher and a warm parent; parent.py says when which one is sent."""

from __future__ import annotations

import struct

ORDER = struct.Struct("<II")  # CPU seconds, MiB
STARTED = struct.Struct("<cI")  # S, process id (inside its namespace)
ENDED = struct.Struct("<cid")  # E, exit status or -signal, CPU seconds
READY, ABSENT, REFUSED, FAILED = b"H", b"A", b"R", b"X"
