"""From what a run left behind to its verdict: `passed` needs every sign, anything else is named."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from .finding import Finding
from .request import Request
from .text import escape
from .verdict import Status, Verdict
from .warm import Ending

if TYPE_CHECKING:
    from .launcher import Run

_SLACK = 0.05
_STATUS_OF: dict[str, Status] = {"passed": "passed", "failed": "failed", "error": "error", "memory": "killed"}


def conclude(request: Request, run: Run) -> Verdict:
    """The verdict of a run whose processes have both ended."""
    finding = run.finding
    if finding is None:
        return _without_finding(request, run)
    if finding.kind == "gone":
        return _gone(request, run, finding)
    cpu = run.candidate.cpu_seconds
    if finding.kind == "passed":
        doubt = _doubt(request, run, finding)
        if doubt is not None:
            return doubt
    reason = finding.reason
    if finding.kind == "memory":
        reason = escape(f"ran out of memory ({request.memory_mb} MiB): {reason}")
    return Verdict(
        _STATUS_OF[finding.kind],
        reason,
        detail=finding.detail,
        calls=finding.calls,
        cpu_seconds=cpu,
        test=finding.test,
        got=finding.got,
        expected=finding.expected,
        level=finding.level,
    )


def _doubt(request: Request, run: Run, finding: Finding) -> Verdict | None:
    """Why the judge's "passed" does not count; None if it does."""
    status: Status = "error"
    if run.judge.code != 0:
        said = f"the judge said passed but ended with {_ended(run.judge)}"
    elif finding.level != run.level:
        said = escape(f"confined as {finding.level or 'nothing'} where {run.level} was ordered")
    elif finding.calls < max(1, request.min_calls):
        said = f"the judge said passed after {finding.calls} calls"
    elif not run.candidate_alive:
        status, said = "failed", "the code's process was gone when the last check had passed"
    else:
        return None
    return Verdict(status, said, calls=finding.calls, cpu_seconds=run.candidate.cpu_seconds, level=run.level)


def _gone(request: Request, run: Run, finding: Finding) -> Verdict:
    """The candidate hung up: by itself, by a signal, or at its CPU limit."""
    ending = run.candidate
    status: Status = "failed"
    if run.candidate_alive:
        said = "the code closed the channel to the judge"
    elif _over_cpu(ending, request):
        status, said = "timeout", f"used more than {request.cpu_seconds} s of CPU"
    elif ending.code is not None and ending.code < 0:
        status, said = "killed", f"the code's process was killed by {_ended(ending)}"
    else:
        said = f"the code left its process ({_ended(ending)})"
    reason = f"{said} {finding.reason}"
    return Verdict(
        status,
        reason,
        detail=reason,
        calls=finding.calls,
        cpu_seconds=ending.cpu_seconds,
        level=run.level,
    )


def _without_finding(request: Request, run: Run) -> Verdict:
    cpu = run.candidate.cpu_seconds
    status: Status = "error"
    if run.timed_out:
        status, said = "timeout", f"no verdict within {request.wall_seconds:g} s"
    elif _over_cpu(run.judge, request):
        status = "timeout"
        said = f"comparing the answers took more than {request.cpu_seconds} s of CPU in the judge"
    else:
        said = f"the judge ended without a verdict ({_ended(run.judge)})"
    return Verdict(status, said, cpu_seconds=cpu, level=run.level)


def _over_cpu(ending: Ending, request: Request) -> bool:
    """The CPU limit speaks by SIGXCPU, and by SIGKILL to those that ignore it."""
    if ending.code is None or ending.code >= 0:
        return False
    return ending.code == -signal.SIGXCPU or ending.cpu_seconds >= request.cpu_seconds - _SLACK


def _ended(ending: Ending) -> str:
    if ending.code is None:
        return "an unknown status"
    if ending.code >= 0:
        return f"exit status {ending.code}"
    try:
        return signal.Signals(-ending.code).name
    except ValueError:
        return f"signal {-ending.code}"
