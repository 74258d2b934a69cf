"""What the judge tells the launcher, and how a failed test becomes a sentence."""

from __future__ import annotations

from .asserts import Watch
from .proxy import Session
from .standins import Opaque, RemoteIterator
from .text import escape, lines, show, show_typed, source_line

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

# Beyond the statuses of a Verdict: `gone` (the candidate hung up; the launcher knows how its process ended)
# and `memory` (the code ran out of it).
KINDS = frozenset({"passed", "failed", "error", "refused", "gone", "memory"})


class Finding:
    """The judge's message; every text is escaped and capped already.

    Attributes: kind (one of KINDS), and the fields of a Verdict that the judge knows.
    """

    __slots__ = ("calls", "detail", "expected", "got", "kind", "level", "reason", "test")

    def __init__(
        self,
        kind: str,
        reason: str,
        detail: str = "",
        calls: int = 0,
        test: str = "",
        got: str = "",
        expected: str = "",
        level: str = "",
    ) -> None:
        self.kind = kind
        self.reason = reason
        self.detail = detail
        self.calls = calls
        self.test = test
        self.got = got
        self.expected = expected
        self.level = level

    def to_plain(self, nonce: bytes) -> dict[str, Any]:
        """As a dict for the codec, with the proof that it comes from the judge."""
        return {"nonce": nonce} | {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_plain(cls, value: Any, nonce: bytes) -> Finding | None:
        """Read `to_plain` back; None if it is anything else or the nonce is another."""
        if type(value) is not dict or value.pop("nonce", None) != nonce or set(value) != set(cls.__slots__):
            return None
        if any(type(item) is not (int if name == "calls" else str) for name, item in value.items()):
            return None
        return cls(**value) if value["kind"] in KINDS else None


def describe_failure(label: str, file: str, error: BaseException, watch: Watch, session: Session) -> Finding:
    """The finding for an exception that came out of a test.

    Args:
        label: Which test, as a person counts: "test 3".
        file: The name that the test was compiled under.
        error: What came out of it.
        watch: What the assertions saw.
        session: What the calls saw.
    """
    failure = watch.failure if isinstance(error, AssertionError) and error is not session.last_error else None
    source = failure.source if failure else watch.statement(file, _line_in(file, error.__traceback__))
    got = expected = ""
    if failure and failure.compared:
        got, expected = show_typed(failure.got), show_typed(failure.expected)
        said = f"got {got}{_hint(failure.got, failure.expected)}"
    elif error is session.last_error:
        said = f"raised {escape(session.error_text, 700)}"
    elif isinstance(error, AssertionError):
        said = escape(str(error), 400) or "did not hold"
        got = _last_answer(session)
    else:
        said = f"{type(error).__name__}: {escape(str(error), 400)}"
        got = _last_answer(session)
    detail = lines(
        f"{label}: {source_line(source, 2000)}",
        f"got:      {got}" if got else "",
        f"expected: {expected}" if expected else "",
        f"said:     {said}" if not expected else "",
        _call_line(session),
        f"calls that came back: {session.completed}",
    )
    kind = "memory" if error is session.last_error and isinstance(error, MemoryError) else "failed"
    reason = escape(f"{label} failed: {source_line(source)}: {said}")
    return Finding(kind, reason, detail, session.completed, source_line(source, 2000), got, expected)


def _hint(got: Any, expected: Any) -> str:
    """A word on a near miss: the same items in another container, or a value that never crosses."""
    if isinstance(got, (Opaque, RemoteIterator)):
        return ", which is not plain data and equals nothing"
    if type(got) is not type(expected):
        return f" where {show_typed(expected, 200)} was expected"
    return ""


def _last_answer(session: Session) -> str:
    return show_typed(session.last_call[2]) if session.last_call else ""


def _call_line(session: Session) -> str:
    if session.last_call is None:
        return ""
    args, kwargs, value = session.last_call
    shown = [show(argument, 200) for argument in args] + [
        f"{key}={show(item, 200)}" for key, item in kwargs.items()
    ]
    return f"last call: ({', '.join(shown)[:1000]}) -> {show_typed(value)}"


def _line_in(file: str, trace: TracebackType | None) -> int:
    """The deepest line of `file` on the way to an exception, 0 if there is none."""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
