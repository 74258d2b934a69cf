"""How many calls the listed tests make of a right solution: the anchor's reference counts them, in the judge.

Code that makes a test end early, whatever the trick, answers fewer calls than the reference does.
"""

from __future__ import annotations

import builtins

from .extra_inputs import function_of
from .proxy import AnchorFault

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def reference_calls(
    reference: str,
    entry_point: str,
    base: Sequence[str],
    tests: Sequence[str],
    check: str,
    inout: Sequence[int],
) -> int:
    """Run the listed tests on the reference, in a namespace of its own.

    Args:
        reference: Source of the right solution.
        entry_point: Name of the function under test.
        base: Sources that run first: setup and prompt.
        tests: The listed tests.
        check: Source of `check(candidate)`, or empty.
        inout: Positions of arguments that it edits in place; it gets copies of the others, as the code does.

    Returns:
        How often the tests called it.

    Raises:
        AnchorFault: The reference does not pass the tests.
    """
    import copy

    space: dict[str, Any] = {"__name__": "verifier", "__builtins__": builtins}
    for source in base:
        exec(compile(source, "<base>", "exec", dont_inherit=True), space)
    solution = function_of("reference", reference, entry_point, space)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        given = [arg if place in inout else copy.deepcopy(arg) for place, arg in enumerate(args)]
        return solution(*given, **copy.deepcopy(kwargs))

    counted.__name__ = counted.__qualname__ = entry_point
    space[entry_point] = counted
    for number, source in enumerate([check] if check else tests, 1):
        label = "check" if check else f"test {number}"
        try:
            exec(compile(source, f"<{label}>", "exec", dont_inherit=True), space)
            if check:
                space["check"](counted)
        except BaseException as error:
            said = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise AnchorFault(f"its own reference fails {label}: {said}") from None
    return calls
