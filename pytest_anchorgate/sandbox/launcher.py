"""One verification in a court: hand judge and candidate their job, keep the deadline, see how both end.

The candidate's text only passes through: it is not parsed, compiled or printed in the calling process.
"""

from __future__ import annotations

import secrets
import socket
import struct
import sys
import time
from dataclasses import dataclass, replace

from .codec_format import CodecError
from .conclude import conclude
from .court import Court, NoLevel, courthouse
from .decode import Decoder
from .encode import Encoder
from .finding import Finding
from .levels import at_least
from .pair import Allowance
from .request import Request
from .text import escape
from .verdict import Verdict
from .warm import Child, Ending, LayerFailed

_HEAD = struct.Struct("<cII")
_MAX_REPORT = 1 << 20
_CANDIDATE_GRACE = 2.0
_GRACE = 20.0  # for what only has to start or to exit, but on a loaded machine may take its time


@dataclass(frozen=True, slots=True)
class Run:
    """What one run left behind; `finding` is None without a valid message from the judge."""

    level: str
    finding: Finding | None
    timed_out: bool
    candidate_alive: bool
    candidate: Ending
    judge: Ending


def launch(request: Request, level: str | None = None, require: str | None = None) -> Verdict:
    """Verify in two fresh processes, at the best level or at exactly `level`.

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
        with courthouse().sitting(level) as court:
            started = time.monotonic()  # waiting for a free court is not the code's doing
            verdict = _hold(court, request, require)
    except NoLevel as error:
        verdict = Verdict("refused", escape(f"this machine does not offer what the sandbox needs: {error}"))
    except LayerFailed as error:
        verdict = Verdict("error", escape(f"a layer of the sandbox could not be set up: {error}"))
    except OSError as error:
        verdict = Verdict("error", escape(f"the verification processes could not be run: {error}"))
    return _timed(verdict, time.monotonic() - started)


def _hold(court: Court, request: Request, require: str | None) -> Verdict:
    if require is not None and not at_least(court.level, require):
        why = courthouse().missing().get(require, "")
        said = f"the level {require} is required and this machine offers {court.level}: {why}"
        return Verdict("refused", escape(said), level=court.level)
    try:
        run = _run(court, request, time.monotonic() + request.wall_seconds)
    except BaseException:
        court.sound = False
        raise
    return conclude(request, run)


def _run(court: Court, request: Request, deadline: float) -> Run:
    pair = court.seat(Allowance(request.cpu_seconds, request.memory_mb))
    try:
        candidate, judge = pair.children()
        return _follow(court, request, pair.control, candidate, judge, secrets.token_bytes(32), deadline)
    finally:
        pair.close()


def _follow(
    court: Court,
    request: Request,
    control: socket.socket,
    candidate: Child,
    judge: Child,
    nonce: bytes,
    deadline: float,
) -> Run:
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
    candidate.kill()
    if not timed_out:
        judge.wait(_GRACE)
    judge.kill()
    until = time.monotonic() + _GRACE
    return Run(court.level, finding, timed_out, alive, candidate.ending(until), judge.ending(until))


def _job(request: Request, nonce: bytes) -> bytes:
    names = ("code", "entry_point", "tests", "check", "setup", "prompt", "extra", "min_calls", "inout")
    body = Encoder().encode({"nonce": nonce, **{name: getattr(request, name) for name in names}})
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


def _timed(verdict: Verdict, seconds: float) -> Verdict:
    """The verdict with its duration, and with a detail wherever it is not a pass."""
    detail = "" if verdict.passed else verdict.detail or verdict.reason
    return replace(verdict, duration=seconds, detail=detail)
