"""Where an answer's code block is closed: the runtime's rule, for text that somebody else generates.

The runtime ends an answer there (cpp_bridge/src/code_block.h, which this follows line by line), so what is
sampled elsewhere has to end there too.
"""

from __future__ import annotations


class CodeBlockWatcher:
    """Takes the bytes of a completion as it grows."""

    def __init__(self) -> None:
        self._line = b""
        self._fence = b""
        self._has_function = False
        self._closed = False

    def feed(self, data: bytes) -> bool:
        """Takes the next bytes; True once a fenced block that defines a function has its closing fence."""
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._line += part
            self._look_for_the_end()
            self._end_line()
        self._line += rest
        self._look_for_the_end()
        return self._closed

    def _look_for_the_end(self) -> None:
        if self._fence and self._has_function and _fence_of(self._line) == self._fence:
            self._closed = True

    def _end_line(self) -> None:
        fence = _fence_of(self._line)
        if not self._fence:
            self._fence = fence
            self._has_function = False
        elif fence == self._fence:
            self._fence = b""
        elif self._line.lstrip(b" \t").startswith((b"def ", b"async def ")):
            self._has_function = True
        self._line = b""


def _fence_of(line: bytes) -> bytes:
    text = line.lstrip(b" \t")
    return text[:1] if text[:3] in (b"```", b"~~~") else b""
