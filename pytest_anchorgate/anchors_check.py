"""The authoring lint: does an anchor accept its reference, and nothing that is wrong?

Everything that runs, runs in the real judge: the reference, a fixed set of wrong programs, and small mistakes
put into the reference (its mutants). Only the text of the anchor's own tests is looked at here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from pytest_anchorgate.anchor_verdict import verify_anchor
from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.anchors_check_lint import problems_of_tests
from pytest_anchorgate.anchors_check_mutants import Mutant, mutants
from pytest_anchorgate.anchors_check_wrong import borrowed_solutions, problems_of_setup, wrong_solutions
from pytest_anchorgate.sandbox import Verdict
from pytest_anchorgate.sandbox.extra_request import EXTRA_INPUTS
from pytest_anchorgate.sandbox.request import CPU_SECONDS

__all__ = ["CheckImpossible", "Mutation", "Report", "check_anchor", "check_anchors", "total"]

# Long enough for a loaded machine: what ends a mutant that never returns is its CPU limit.
WALL_SECONDS = 120.0
MEMORY_MB = 512
# A survivor that agrees with the reference on this many inputs counts as another way to write it.
EQUIVALENCE_ROUNDS = 4
EQUIVALENCE_INPUTS = 1000
_CPU_MARGIN = 20


class CheckImpossible(RuntimeError):
    """This machine cannot verify anything; one line."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """What became of the mutants of one or more references.

    Attributes:
        killed: how many the tests told apart.
        survived: the ones that passed and are wrong.
        equivalent: the ones that passed and answer like the reference wherever it was tried.
    """

    killed: int = 0
    survived: tuple[Mutant, ...] = ()
    equivalent: tuple[Mutant, ...] = ()

    @property
    def counted(self) -> int:
        """The mutants that are wrong."""
        return self.killed + len(self.survived)

    @property
    def score(self) -> float:
        """Per cent of the wrong mutants that were killed; 100 if there are none."""
        return 100 * self.killed / self.counted if self.counted else 100.0


@dataclass(frozen=True, slots=True)
class Report:
    """The result for one anchor.

    Attributes:
        problems: each one line, "what; how to fix".
        mutation: None without a reference that passes.
    """

    anchor: Anchor
    problems: list[str]
    mutation: Mutation | None = None


def total(reports: Iterable[Report]) -> Mutation:
    """The mutants of all anchors together."""
    each = [report.mutation for report in reports if report.mutation is not None]
    return Mutation(
        sum(mutation.killed for mutation in each),
        tuple(mutant for mutation in each for mutant in mutation.survived),
        tuple(mutant for mutation in each for mutant in mutation.equivalent),
    )


def check_anchors(
    anchors: Iterable[Anchor], workers: int, done: Callable[[Report], None] = lambda _: None
) -> list[Report]:
    """Check several anchors at a time.

    Args:
        anchors: in any order, which the result keeps.
        workers: how many at a time.
        done: called with each report as it comes, from this thread.

    Raises:
        CheckImpossible: the sandbox does not work on this machine.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        futures = [pool.submit(check_anchor, anchor) for anchor in anchors]
        try:
            for future in as_completed(futures):
                done(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def check_anchor(anchor: Anchor) -> Report:
    """Check one anchor.

    Raises:
        CheckImpossible: the sandbox does not work on this machine.
    """
    problems = [*problems_of_tests(anchor), *problems_of_setup(anchor)]
    mutation = None
    if anchor.reference is not None:
        verdict = _judge(anchor, anchor.reference)
        if not verdict.passed:
            said = f"the reference does not pass: {verdict.reason}; correct the reference or the tests"
            return Report(anchor, [*problems, said])
        mutation = _mutation(anchor, anchor.reference, verdict)
    return Report(anchor, [*problems, *_accepted(anchor)], mutation)


def _accepted(anchor: Anchor) -> Iterator[str]:
    """The wrong programs that pass."""
    for what, source in wrong_solutions(anchor).items():
        verdict = _judge(anchor, source)
        if verdict.status == "error":
            yield f"a program that always answers {what} cannot be judged: {verdict.reason}; correct the anchor"
        if verdict.passed:
            yield f"a program that always answers {what} passes; add a test that it fails"
    for name, source in borrowed_solutions(anchor).items():
        if _judge(anchor, source).passed:
            yield f"{name} of setup or code_prompt is a solution that the candidate can call; take it out"


def _mutation(anchor: Anchor, reference: str, reference_verdict: Verdict) -> Mutation:
    cpu_seconds = max(1, math.ceil(_CPU_MARGIN * reference_verdict.cpu_seconds))
    killed, survived, equivalent = 0, [], []
    for mutant in mutants(reference):
        verdict = _judge(anchor, mutant.source, cpu_seconds)
        if verdict.status == "error":
            survived.append(mutant)  # nobody knows, and a score must not profit from that
        elif not verdict.passed:
            killed += 1
        elif _is_equivalent(anchor, mutant, cpu_seconds):
            equivalent.append(mutant)
        else:
            survived.append(mutant)
    return Mutation(killed, tuple(survived), tuple(equivalent))


def _is_equivalent(anchor: Anchor, mutant: Mutant, cpu_seconds: int) -> bool:
    """Whether a mutant agrees with the reference on thousands of inputs: a comment more, and others are drawn."""
    return all(
        _judge(anchor, f"{mutant.source}# {number}\n", cpu_seconds + 10, EQUIVALENCE_INPUTS).passed
        for number in range(EQUIVALENCE_ROUNDS)
    )


def _judge(
    anchor: Anchor, code: str, cpu_seconds: float = CPU_SECONDS, extra_inputs: int = EXTRA_INPUTS
) -> Verdict:
    verdict = verify_anchor(
        anchor,
        code,
        wall_seconds=WALL_SECONDS,
        memory_mb=MEMORY_MB,
        cpu_seconds=cpu_seconds,
        extra_inputs=extra_inputs,
    )
    if verdict.status == "refused":
        raise CheckImpossible(verdict.reason)
    return verdict
