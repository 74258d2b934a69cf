"""Extra inputs, in the judge: drawn from a seed, answered by the reference here and by the code over there.

The reference and the generator come with the anchor and are trusted as its tests are. They never leave this
process: the candidate sees one call after the other, as in any test.
"""

from __future__ import annotations

from .codec_format import CodecError
from .decode import Decoder
from .encode import Encoder
from .finding import Finding
from .proxy import AnchorFault, Session
from .standins import Opaque, RemoteIterator
from .text import escape, lines, show, show_typed

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_CALL_CHARS = 600


def run_extra(
    extra: dict[str, Any], entry_point: str, names: dict[str, Any], session: Session
) -> Finding | None:
    """Compare the code with the reference on every input drawn.

    Args:
        extra: What `extra_request.make_extra` returned.
        entry_point: Name of the function under test, which the reference defines.
        names: What setup and prompt defined, without the function under test.
        session: The candidate.

    Returns:
        The first input with a wrong answer, or None.

    Raises:
        AnchorFault: The reference or the generator is at fault.
        Violation: The candidate broke the protocol.
    """
    reference = function_of("reference", extra["reference"], entry_point, names)
    number = 0
    for number, args in enumerate(_drawn(extra, names), 1):
        expected = _expected(reference, args, session)
        wrong = _wrong(session, args, expected, extra["exact_types"])
        if wrong is not None:
            return _failure(number, entry_point, args, expected, wrong, session)
    if number == 0:
        raise AnchorFault("its inputs(random) yielded nothing")
    return None


def function_of(label: str, source: str, name: str, names: dict[str, Any]) -> Callable[..., Any]:
    """The function that a source of the anchor's defines, in a namespace of its own."""
    space = dict(names)
    space.pop(name, None)
    try:
        exec(compile(source, f"<{label}>", "exec", dont_inherit=True), space)
    except BaseException as error:
        raise AnchorFault(f"its {label} raised {type(error).__name__}: {error}") from None
    found = space.get(name)
    if not callable(found):
        raise AnchorFault(f"its {label} defines no function {name}")
    function: Callable[..., Any] = found
    return function


def _drawn(extra: dict[str, Any], names: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """At most `count` argument tuples; the generator may end earlier."""
    import random

    source = function_of("inputs", extra["inputs"], "inputs", names)
    try:
        # An int: seeding with text would go through a hash whose import costs more than the drawing.
        stream = iter(source(random.Random(int(extra["seed"], 16))))
    except BaseException as error:
        raise AnchorFault(f"its inputs(random) raised {type(error).__name__}: {error}") from None
    for _ in range(extra["count"]):
        try:
            args = next(stream)
        except StopIteration:
            return
        except BaseException as error:
            raise AnchorFault(f"its inputs(random) raised {type(error).__name__}: {error}") from None
        if type(args) is not tuple:
            raise AnchorFault(f"its inputs(random) yielded {type(args).__name__}, not a tuple of arguments")
        yield args


def _expected(reference: Callable[..., Any], args: tuple[Any, ...], session: Session) -> Any:
    """The reference's answer as the candidate's would arrive: flattened to plain data."""
    import copy

    try:
        Encoder(instances=session.classes).encode((args, {}))
    except CodecError as error:
        raise AnchorFault(f"its inputs(random) yielded arguments that cannot be sent: {error}") from None
    own = copy.deepcopy(args)
    try:
        answer = reference(*own)
    except BaseException as error:
        raised = f"{type(error).__name__}: {error}"
        raise AnchorFault(f"its reference raised {raised} for {show(args)}") from None
    try:
        return Decoder().decode(Encoder().encode(_with_changes(session, answer, own)))
    except CodecError:
        kind = type(answer).__name__
        raise AnchorFault(
            f"its reference returned an object of type {kind} for {show(args)}, not plain data"
        ) from None


def _with_changes(session: Session, answer: Any, args: tuple[Any, ...]) -> Any:
    """The answer; for a function that edits arguments in place, the answer and what became of those."""
    if not session.inout:
        return answer
    return (answer, *(args[place] for place in session.inout if place < len(args)))


def _wrong(session: Session, args: tuple[Any, ...], expected: Any, exact: bool) -> tuple[str, str] | None:
    """Call the code; None if its answer is right, otherwise what to say of it and the answer (or ""), escaped."""
    import copy

    sent = copy.deepcopy(args) if session.inout else args
    try:
        got = _with_changes(session, session.call(*sent), sent)
    except Exception:
        return f"raised {escape(session.error_text, _CALL_CHARS)}", ""
    try:
        same = bool(got == expected) and (not exact or _same_types(got, expected))
    except Exception:  # a signalling Decimal, say: Python itself will not compare it
        same = False
    if same:
        return None
    answer = _shown(session, got)
    odd = isinstance(got, (Opaque, RemoteIterator))
    return f"got {answer}{', which is not plain data and equals nothing' if odd else ''}", answer


def _shown(session: Session, answer: Any) -> str:
    if not session.inout:
        return show_typed(answer)
    value, *left = answer
    return f"{show_typed(value)} leaving {', '.join(show(argument) for argument in left)}"


def _same_types(got: Any, expected: Any) -> bool:
    """Whether two equal values have the same types, items of lists, tuples and dicts included."""
    if type(got) is not type(expected):
        return False
    if isinstance(expected, (list, tuple)):
        return all(map(_same_types, got, expected))
    if isinstance(expected, dict):
        return all(_same_types(got[key], value) for key, value in expected.items())
    return True


def _failure(
    number: int,
    entry_point: str,
    args: tuple[Any, ...],
    expected: Any,
    wrong: tuple[str, str],
    session: Session,
) -> Finding:
    call = escape(f"{entry_point}({', '.join(show(argument, 200) for argument in args)})", _CALL_CHARS)
    said, got = wrong
    wanted = _shown(session, expected)
    label = f"extra input {number}"
    detail = lines(
        f"{label}: {call}",
        f"got:      {got}" if got else "",
        f"expected: {wanted}",
        "" if got else f"said:     {said}",
        "it was drawn by the anchor's inputs(random); the answer expected is its reference's",
        f"calls that came back: {session.completed}",
    )
    kind = "memory" if isinstance(session.last_error, MemoryError) else "failed"
    reason = escape(f"{label} failed: {call}: {said}, expected {wanted}")
    return Finding(kind, reason, detail, session.completed, call, got, wanted)
