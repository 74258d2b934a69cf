"""Starting judge and candidate, keeping the deadline, and turning what happened into a verdict.

The candidate's text only passes through: it is not parsed, compiled or printed in the calling process.
"""

from __future__ import annotations

import secrets
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass, replace

from .codec_format import CodecError
from .decode import Decoder
from .encode import Encoder
from .finding import Finding
from .process import Child, Ending
from .request import Request
from .text import escape
from .verdict import Status, Verdict

_HEAD = struct.Struct("<cII")
_MAX_REPORT = 1 << 20
_CANDIDATE_GRACE = 2.0
_JUDGE_GRACE = 10.0  # it only has to exit, but a loaded machine may take its time to let it
_SLACK = 0.05


@dataclass(frozen=True, slots=True)
class _Run:
    """What one run left behind; `finding` is None without a valid message from the judge."""

    finding: Finding | None
    timed_out: bool
    candidate_alive: bool
    candidate: Ending
    judge: Ending


def launch(request: Request) -> Verdict:
    """Verify in two fresh processes.

    Returns:
        The verdict; duration covers start to end. Failures of our own machinery are the status `error`.
    """
    if not sys.platform.startswith("linux"):
        return Verdict(
            "refused", f"verification needs Linux (resource limits, seccomp), this is {sys.platform}"
        )
    if not sys.executable:
        return Verdict("error", "sys.executable is empty, so no interpreter can be started")
    started = time.monotonic()
    try:
        run = _run(request, started + request.wall_seconds)
    except OSError as error:
        verdict = Verdict("error", escape(f"the verification processes could not be run: {error}"))
    else:
        verdict = _conclude(request, run)
    return _timed(verdict, time.monotonic() - started)


def _run(request: Request, deadline: float) -> _Run:
    nonce = secrets.token_bytes(32)
    limits = {"cpu_seconds": request.cpu_seconds, "memory_mb": request.memory_mb}
    rpc_judge, rpc_candidate = socket.socketpair()
    control, control_judge = socket.socketpair()
    with control, rpc_judge, rpc_candidate, control_judge:
        candidate = Child("candidate", [rpc_candidate.fileno()], **limits)
        with candidate:
            judge = Child("judge", [rpc_judge.fileno(), control_judge.fileno()], **limits)
            # Close our copies: a hang-up on either side must reach the other.
            for end in (rpc_judge, rpc_candidate, control_judge):
                end.close()
            with judge:
                return _follow(request, control, candidate, judge, nonce, deadline)


def _follow(
    request: Request, control: socket.socket, candidate: Child, judge: Child, nonce: bytes, deadline: float
) -> _Run:
    """Hand the job over, wait for the judge's word, and see how both processes end."""
    finding, timed_out = None, False
    try:
        _send(control, _job(request, nonce), deadline)
        finding = _receive(control, nonce, deadline)
    except TimeoutError:
        timed_out = True
    except (ConnectionError, EOFError):
        pass
    if finding is not None and finding.kind == "gone":
        candidate.wait(_CANDIDATE_GRACE)  # its exit status says why it hung up
    alive = candidate.alive()
    if finding is not None:
        control.close()  # the judge may go
        judge.wait(_JUDGE_GRACE)
    elif not timed_out:
        judge.wait(_JUDGE_GRACE)
    return _Run(finding, timed_out, alive, candidate.kill(), judge.kill())


def _job(request: Request, nonce: bytes) -> bytes:
    job = {
        name: getattr(request, name)
        for name in ("code", "entry_point", "tests", "check", "setup", "prompt", "extra")
    }
    body = Encoder().encode({"nonce": nonce, **job})
    return _HEAD.pack(b"J", 0, len(body)) + body


def _send(control: socket.socket, data: bytes, deadline: float) -> None:
    control.settimeout(max(deadline - time.monotonic(), 0.001))
    control.sendall(data)


def _receive(control: socket.socket, nonce: bytes, deadline: float) -> Finding | None:
    """The judge's finding; None if its message is not one."""
    _kind, _number, size = _HEAD.unpack(_read(control, _HEAD.size, deadline))
    if size > _MAX_REPORT:
        return None
    try:
        return Finding.from_plain(Decoder().decode(_read(control, size, deadline)), nonce)
    except CodecError:
        return None


def _read(control: socket.socket, size: int, deadline: float) -> bytes:
    got = bytearray()
    while len(got) < size:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        control.settimeout(remaining)
        part = control.recv(size - len(got))
        if not part:
            raise EOFError
        got += part
    return bytes(got)


def _conclude(request: Request, run: _Run) -> Verdict:
    """The rules: `passed` needs every sign, anything else is named."""
    finding = run.finding
    if finding is None:
        return _without_finding(request, run)
    cpu = run.candidate.cpu_seconds
    if finding.kind == "passed":
        if run.judge.code != 0:
            return Verdict(
                "error", f"the judge said passed but ended with {_ended(run.judge)}", cpu_seconds=cpu
            )
        if not run.candidate_alive:
            return Verdict(
                "failed", "the code's process was gone when the last check had passed", cpu_seconds=cpu
            )
    if finding.kind == "gone":
        return _gone(request, run, finding)
    if finding.kind == "memory":
        status: Status = "killed"
        reason = escape(f"ran out of memory ({request.memory_mb} MiB): {finding.reason}")
    else:
        status = _STATUS_OF[finding.kind]
        reason = finding.reason
    return Verdict(
        status,
        reason,
        detail=finding.detail,
        calls=finding.calls,
        cpu_seconds=cpu,
        test=finding.test,
        got=finding.got,
        expected=finding.expected,
        level=finding.level,
    )


_STATUS_OF: dict[str, Status] = {
    "passed": "passed",
    "failed": "failed",
    "error": "error",
    "refused": "refused",
}


def _gone(request: Request, run: _Run, finding: Finding) -> Verdict:
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
        level=finding.level,
    )


def _without_finding(request: Request, run: _Run) -> Verdict:
    cpu = run.candidate.cpu_seconds
    if run.timed_out:
        return Verdict("timeout", f"no verdict within {request.wall_seconds:g} s", cpu_seconds=cpu)
    if _over_cpu(run.judge, request):
        said = f"comparing the answers took more than {request.cpu_seconds} s of CPU in the judge"
        return Verdict("timeout", said, cpu_seconds=cpu)
    return Verdict("error", f"the judge ended without a verdict ({_ended(run.judge)})", cpu_seconds=cpu)


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


def _timed(verdict: Verdict, seconds: float) -> Verdict:
    """The verdict with its duration, and with a detail wherever it is not a pass."""
    detail = "" if verdict.passed else verdict.detail or verdict.reason
    return replace(verdict, duration=seconds, detail=detail)
