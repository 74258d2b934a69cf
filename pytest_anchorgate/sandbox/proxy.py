"""The judge's end of the calls: a function that looks local and runs in the candidate's process."""

from __future__ import annotations

import builtins

from . import frames
from .codec_format import MAX_ITERATORS, MAX_PULLS, CodecError
from .decode import Decoder
from .encode import Encoder
from .standins import Opaque, RemoteIterator

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# Exceptions that may come back as themselves. Not StopIteration: `all(map(test, cases))` would take it for
# the end of the cases and hold. Not SystemExit, KeyboardInterrupt, GeneratorExit, nor any test framework's
# outcomes.
_RAISABLE: dict[str, type[Exception]] = {
    name: getattr(builtins, name)
    for name in (
        *(
            "ArithmeticError",
            "AssertionError",
            "AttributeError",
            "EOFError",
            "FloatingPointError",
            "ImportError",
        ),
        *("IndexError", "KeyError", "LookupError", "MemoryError", "ModuleNotFoundError", "NameError"),
        *("NotImplementedError", "OSError", "OverflowError", "RecursionError", "RuntimeError", "TypeError"),
        *("UnboundLocalError", "ValueError", "ZeroDivisionError"),
    )
}


_ALSO = {(frames.STOP, frames.NEXT), (frames.CHANGED, frames.CALL)}


class CandidateError(Exception):
    """The candidate raised something that is not one of the ordinary builtin exceptions."""


class Violation(BaseException):
    """The candidate broke the protocol. Not an Exception, and sticky: no test can swallow it."""


class Gone(Violation):
    """The candidate's process hung up."""


class AnchorFault(BaseException):
    """The anchor's own source asks for something that verification does not offer."""


class Session:
    """One conversation with a candidate.

    Attributes:
        level: How far the candidate's process is confined, as it said before it saw any code.
        violation: The first breach; every later request raises it again.
        fault: The first fault of the anchor's own.
        inout: Positions of arguments that are brought up to date after each call.
        completed: Calls that came back, with a value or an exception.
        last_call: Arguments of the last call, and what came back.
        last_error: The exception that the last call raised here, or None.
        error_text: The same for a person, with the line in the code.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._number = 0
        self._stand_ins = False
        self._iterators = 0
        self.inout: tuple[int, ...] = ()
        self.classes: Mapping[type, str] = {}
        self.level = ""
        self.violation: Violation | None = None
        self.fault: AnchorFault | None = None
        self.completed = 0
        self.last_call: tuple[tuple[Any, ...], dict[str, Any], Any] | None = None
        self.last_error: Exception | None = None
        self.error_text = ""
        self.out_of_memory = False

    def hello(self) -> str:
        """Wait until the candidate's process is confined; a reason if it refused, otherwise empty."""
        kind, number, body = self._receive()
        if kind == frames.REFUSED:
            return str(self._decode(body))
        if (kind, number) != (frames.HELLO, 0):
            raise self._breach(Violation("it did not say hello"))
        self.level = str(self._decode(body))
        return ""

    def ask(self, kind: bytes, value: object) -> Any:
        """One request with a plain value, for its value; exceptions of the candidate's are raised here."""
        return self._reply(kind, Encoder(instances=self.classes).encode(value))[1]

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the entry point."""
        if self.violation is not None:
            raise self.violation
        inout = tuple(place for place in self.inout if place < len(args))
        before = tuple(_copied(argument) for argument in args) if inout else args
        try:
            body = Encoder(instances=self.classes).encode((args, kwargs, inout))
        except CodecError as error:
            if self._stand_ins:
                raise TypeError(f"the answer of an earlier call cannot be passed on: {error}") from None
            self.fault = self.fault or AnchorFault(f"the test's arguments cannot be sent: {error}")
            raise self.fault from None
        self.last_call, self.last_error = None, None
        try:
            reply, value = self._reply(frames.CALL, body)
        except Exception:
            self.completed += 1
            raise
        if (reply == frames.CHANGED) != bool(inout):
            raise self._breach(Violation("its reply is of the wrong kind"))
        if inout:
            value = self._bring_up_to_date([args[place] for place in inout], value)
        self.completed += 1
        self.last_call = (before, kwargs, value)
        return value

    def _bring_up_to_date(self, arguments: list[Any], reply: object) -> Any:
        """Give the test's own objects the contents that the code left in its copies; the returned value."""
        if type(reply) is not tuple or len(reply) != 2 or type(reply[1]) is not tuple:
            raise self._breach(Violation("its changed arguments are malformed"))
        value, finals = reply
        if [type(final) for final in finals] != [type(argument) for argument in arguments]:
            raise self._breach(Violation("an argument came back as another type"))
        for argument, final in zip(arguments, finals, strict=True):
            if isinstance(argument, (list, bytearray)):
                argument[:] = final
            elif isinstance(argument, (dict, set)):
                argument.clear()
                argument.update(final)
        return value

    def ping(self) -> None:
        """Make sure that the candidate is alive and has nothing else to say."""
        if self.ask(frames.PING, None) is not None:
            raise self._breach(Violation("it answered a ping with a value"))
        self._expect_silence()

    def _reply(self, kind: bytes, body: bytes) -> tuple[bytes, Any]:
        if self.violation is not None:
            raise self.violation
        self._expect_silence()
        self._number += 1
        try:
            frames.write_frame(self._fd, kind, self._number, body)
        except frames.Closed:
            raise self._breach(Gone("it hung up")) from None
        reply, number, answer = self._receive()
        if number != self._number:
            raise self._breach(Violation(f"reply {number} came where {self._number} was due"))
        value = self._decode(answer)
        if reply == frames.VALUE or (reply, kind) in _ALSO:
            return reply, value
        if reply == frames.RAISED:
            raise self._exception(value)
        if reply == frames.UNSENDABLE:
            raise self._breach(Violation(f"it answered with a value that cannot be sent: {value}"))
        raise self._breach(Violation(f"unknown reply {reply!r}"))

    def _receive(self) -> tuple[bytes, int, bytes]:
        try:
            return frames.read_frame(self._fd)
        except frames.Closed:
            raise self._breach(Gone("it hung up")) from None
        except frames.Malformed as error:
            raise self._breach(Violation(str(error))) from None

    def _expect_silence(self) -> None:
        if frames.pending(self._fd):
            self._receive()
            raise self._breach(Violation("it sent bytes that nobody asked for"))

    def _decode(self, body: bytes) -> Any:
        try:
            return Decoder(iterators=self._iterator, opaque=self._opaque).decode(body)
        except CodecError as error:
            raise self._breach(Violation(f"its reply is not plain data: {error}")) from None

    def _opaque(self, type_name: str) -> Opaque:
        self._stand_ins = True
        return Opaque(type_name)

    def _iterator(self, handle: int) -> RemoteIterator:
        self._stand_ins = True
        self._iterators += 1
        if self._iterators > MAX_ITERATORS:
            raise CodecError(f"more than {MAX_ITERATORS} iterators")
        pulled = 0

        def pull() -> tuple[bool, Any]:
            nonlocal pulled
            pulled += 1
            if pulled > MAX_PULLS:
                raise self._breach(Violation(f"an iterator gave more than {MAX_PULLS} items"))
            reply, value = self._reply(frames.NEXT, Encoder().encode(handle))
            return reply == frames.VALUE, value

        return RemoteIterator(pull)

    def _exception(self, described: object) -> Exception:
        if not (
            type(described) is tuple
            and [type(part) for part in described] == [str, list, str, int]
            and all(type(base) is str for base in described[1])
        ):
            raise self._breach(Violation("its exception is malformed"))
        name, bases, message, line = described
        kind = next((_RAISABLE[base] for base in bases if base in _RAISABLE), CandidateError)
        self.out_of_memory = self.out_of_memory or kind is MemoryError
        error = kind(message if kind is not CandidateError else f"{name}: {message}")
        self.last_error = error
        self.error_text = f"{name}: {message}" + (f" (line {line} of the code)" if line > 0 else "")
        return error

    def _breach(self, violation: Violation) -> Violation:
        if self.violation is None:
            self.violation = violation
        return self.violation


def _copied(argument: Any) -> Any:
    """As it was before the call, for the report."""
    return type(argument)(argument) if type(argument) in (list, dict, set, bytearray) else argument
