"""Verifying generated code: `verify` runs it in confined processes of its own and says whether it passed.

The process that compares is not the process that ran the code, and nothing but bounded plain data comes back:
docs/sandbox.md says what that promises and what it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .extra_request import EXTRA_INPUTS, make_extra
from .levels import LEVELS
from .request import CPU_SECONDS, MEMORY_MB, WALL_SECONDS, make_request, refuse_code
from .verdict import STATUSES, Verdict

__all__ = ["LEVELS", "STATUSES", "Verdict", "verify"]


def verify(
    code: str,
    *,
    entry_point: str,
    tests: Sequence[str] = (),
    check: str | None = None,
    setup: str = "",
    prompt: str = "",
    cpu_seconds: float = CPU_SECONDS,
    wall_seconds: float = WALL_SECONDS,
    memory_mb: int = MEMORY_MB,
    reference: str | None = None,
    inputs: str | None = None,
    exact_types: bool = False,
    extra_inputs: int = EXTRA_INPUTS,
    min_calls: int = 1,
    inout: Sequence[int] = (),
    level: str | None = None,
    require: str | None = None,
) -> Verdict:
    """Run generated code against an anchor's tests. May be called from several threads.

    Args:
        code: The generated source. Code that starts indented is taken as the body that continues `prompt`.
        entry_point: Name of the function under test.
        tests: MBPP's form: statements that assert something about `entry_point`, run in order, one namespace.
        check: HumanEval's form: source that defines `check(candidate)`. Give either this or `tests`.
        setup: Source that runs first on both sides, so that tests may pass instances of its classes.
        prompt: Source that runs before the code in its namespace (imports, helpers); tests see a copy.
        cpu_seconds: CPU time of each process, rounded up to whole seconds.
        wall_seconds: Time for everything.
        memory_mb: Address space of each process, MiB.
        reference: Source of a right solution that defines `entry_point`; like `inputs`, only the judge has it.
        inputs: Source of `inputs(random)`, a generator of argument tuples that uses nothing but the
            `random.Random` it is given. What the code answers must equal what the reference answers.
        exact_types: Also demand the reference's types for those inputs, so that 1 is not True.
        extra_inputs: How many inputs to draw, at most; the seed follows from the anchor and the code.
        min_calls: How many calls of `entry_point` have to come back for a pass: as many as the reference
            solution makes, where that is known.
        inout: Positions of arguments that the function edits in place: the list, dict, set or bytearray that
            the test passed holds their final contents after the call.
        level: Run at exactly this level of confinement (one of LEVELS) instead of the best that is offered.
        require: Refuse to run at a weaker level than this.

    Returns:
        A Verdict; only the status `passed` is a pass.

    Raises:
        ValueError: An argument of the caller's own is wrong. What is wrong with `code` is a verdict instead.
    """
    request = make_request(
        code,
        entry_point,
        tests,
        check,
        setup,
        prompt,
        cpu_seconds,
        wall_seconds,
        memory_mb,
        min_calls,
        inout,
    )
    for name, given in (("level", level), ("require", require)):
        if given is not None and given not in LEVELS:
            raise ValueError(f"{name} must be one of {', '.join(LEVELS)}, not {given!r}")
    extra = make_extra(request, reference, inputs, exact_types, extra_inputs)
    from .launcher import launch  # who only asks for the names of the levels need not wait for it

    refusal = refuse_code(code)
    if refusal:
        return Verdict("failed", refusal)
    return launch(replace(request, extra=extra), level, require)
