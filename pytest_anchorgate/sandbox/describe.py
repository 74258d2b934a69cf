"""An exception of the generated code, described where it was raised: in the candidate's own process.

It is the code's word about itself, and only ever shown.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from types import TracebackType

SOURCE = "<candidate>"
_MESSAGE_CHARS = 500
_NAME_CHARS = 80
_TEXT_CHARS = 160
_REFUSED = {
    errno.EPERM: "denied by the sandbox",
    errno.EACCES: "denied by the sandbox",
    errno.ENOENT: "which is not there in the sandbox",
}


def describe(error: BaseException, code: str) -> tuple[str, list[str], str, int]:
    """Type name, names of its builtin bases, message and line in the code (0 if none) of an exception."""
    trace = _deepest(error.__traceback__)
    try:
        message = (_denied(error, trace, code) or str(error))[:_MESSAGE_CHARS]
    except BaseException:
        message = "<its text cannot be had>"
    bases = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
    line = error.lineno or 0 if isinstance(error, SyntaxError) and error.filename == SOURCE else 0
    if trace is not None:
        line = trace.tb_lineno
    return type(error).__name__[:_NAME_CHARS], [base[:_NAME_CHARS] for base in bases[:8]], message, line


def _deepest(trace: TracebackType | None) -> TracebackType | None:
    """The innermost place of the code itself on the way to an exception."""
    found = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == SOURCE:
            found = trace
        trace = trace.tb_next
    return found


def _denied(error: BaseException, trace: TracebackType | None, code: str) -> str:
    """For a call that the sandbox refused: which one, in the code's own words; otherwise empty."""
    if not isinstance(error, OSError) or error.errno not in _REFUSED or trace is None:
        return ""
    return f"needed {_expression(trace, code)}, {_REFUSED[error.errno]} ({error})"


def _expression(trace: TracebackType, code: str) -> str:
    """The expression that was being evaluated, or its whole line before CPython 3.11."""
    lines = code.splitlines()
    line = trace.tb_lineno
    text = lines[line - 1].strip() if 1 <= line <= len(lines) else "something"
    if hasattr(trace.tb_frame.f_code, "co_positions"):
        places = list(trace.tb_frame.f_code.co_positions())
        first, last, start, end = places[trace.tb_lasti // 2]
        if first == last == line and start is not None and end is not None:
            text = lines[line - 1].encode()[start:end].decode("utf-8", "replace")
    return text[:_TEXT_CHARS]
