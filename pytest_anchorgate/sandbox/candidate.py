"""The candidate's process: holds the generated code and nothing else, and answers calls with plain data.

No test, expected value or verdict ever enters this process, so nothing that the code does to its interpreter
can reach one. Whatever this side says is taken as the code's own word.
"""

from __future__ import annotations

import builtins
import os
import random
import sys

from . import frames
from .codec_format import CodecError
from .decode import Decoder
from .describe import SOURCE, describe
from .encode import Encoder
from .limits import Limits, LimitsError, Walls, confine

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

RPC = 3
MODULE = "candidate"
_MESSAGE_CHARS = 500


def main(limits: Limits, walls: Walls, parent: int) -> None:
    """Confine, say hello, then serve until the judge hangs up."""
    server = _Server()
    try:
        confine(limits, walls, parent)
    except LimitsError as error:
        frames.write_frame(RPC, frames.REFUSED, 0, Encoder().encode(str(error)))
        return
    _rehearse()
    for name in [name for name in sys.modules if name.startswith("pytest_anchorgate")]:
        del sys.modules[name]
    random.seed(0)  # a fork seeds it from the system, and the same code would answer otherwise in each run
    frames.write_frame(RPC, frames.HELLO, 0, Encoder().encode(walls.level))
    try:
        while True:
            kind, number, body = frames.read_frame(RPC)
            frames.write_frame(RPC, *server.answer(kind, number, body))
    except frames.Closed:
        os._exit(0)


def _rehearse() -> None:
    """Use once what every job needs: a forked process pays for each page at its first use, so pay while waiting."""
    source = "def f(n):\n    return [m for m in range(n) if m % 2 == 0]\nf(4)\n"
    exec(compile(source, "<rehearsal>", "exec", dont_inherit=True), {"__builtins__": builtins})
    Decoder().decode(Encoder().encode(((1, "a", [2.5]), {"b": None})))


class _Server:
    """Executes requests in the namespace of a module called `candidate`."""

    def __init__(self) -> None:
        # A real module: dataclasses, pickle and typing look their classes' module up in sys.modules.
        self._module = type(sys)(MODULE)
        self._space: dict[str, Any] = self._module.__dict__
        self._space["__builtins__"] = builtins
        sys.modules[MODULE] = self._module
        self._function: Any = None
        self._code = ""
        self._classes: dict[str, type] = {}
        self._iterators: list[Any] = []
        self._handlers: dict[bytes, Callable[[Any], tuple[bytes, Any]]] = {
            frames.BASE: self._base,
            frames.LOAD: self._load,
            frames.CALL: self._call,
            frames.NEXT: self._next,
            frames.PING: lambda _value: (frames.VALUE, None),
        }

    def answer(self, kind: bytes, number: int, body: bytes) -> tuple[bytes, int, bytes]:
        """The reply to one request."""
        try:
            request = Decoder(instances=self._instance).decode(body)
            reply, value = self._handlers[kind](request)
        except BaseException as error:
            reply, value = frames.RAISED, describe(error, self._code)
        try:
            return reply, number, Encoder(iterators=self._handle, opaque=True).encode(value)
        except (CodecError, RecursionError, MemoryError) as error:
            said = str(error)[:_MESSAGE_CHARS] or type(error).__name__
            return frames.UNSENDABLE, number, Encoder().encode(said)

    def _base(self, sources: dict[str, str]) -> tuple[bytes, Any]:
        for name, source in sources.items():
            self._execute(source, f"<{name}>")
        self._classes = {name: kind for name, kind in self._space.items() if isinstance(kind, type)}
        return frames.VALUE, None

    def _load(self, request: tuple[str, str]) -> tuple[bytes, Any]:
        code, entry_point = request
        self._code = code
        self._execute(code, SOURCE)
        self._function = self._space.get(entry_point)
        if callable(self._function):
            return frames.VALUE, ""
        if entry_point in self._space:
            return frames.VALUE, f"{entry_point} is not a function but {type(self._function).__name__}"
        return frames.VALUE, f"the code defines no function {entry_point}"

    def _execute(self, source: str, name: str) -> None:
        exec(compile(source, name, "exec", dont_inherit=True), self._space)

    def _call(self, request: tuple[tuple[Any, ...], dict[str, Any], tuple[int, ...]]) -> tuple[bytes, Any]:
        args, kwargs, inout = request
        value = self._function(*args, **kwargs)
        if not inout:
            return frames.VALUE, value
        return frames.CHANGED, (value, tuple(args[place] for place in inout))

    def _next(self, handle: int) -> tuple[bytes, Any]:
        try:
            return frames.VALUE, next(self._iterators[handle])
        except StopIteration:
            return frames.STOP, None

    def _handle(self, iterator: Any) -> int:
        self._iterators.append(iterator)
        return len(self._iterators) - 1

    def _instance(self, name: str, attributes: dict[str, object]) -> object:
        kind = self._classes[name]
        made: Any = object.__new__(kind)
        made.__dict__.update(attributes)
        return made
