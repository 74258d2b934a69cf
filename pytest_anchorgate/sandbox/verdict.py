"""What a verification found out: plain data that can be pickled, written as JSON and shown to a person."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, get_args

Status = Literal["passed", "failed", "error", "timeout", "killed", "refused"]
STATUSES: tuple[str, ...] = get_args(Status)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one verification. Only `passed` is a pass.

    Attributes:
        status: `passed`; `failed` (wrong answer, exception, syntax error, no such function, broken protocol);
            `timeout` (wall or CPU); `killed` (memory or a signal); `error` (our own machinery or the anchor's
            own source failed, so nothing is known about the code); `refused` (this machine does not offer the
            confinement that is needed or required).
        reason: One line for a person, printable ASCII, at most 2 KiB.
        detail: Several lines with more, printable ASCII, at most 8 KiB; empty for a pass.
        duration: Wall seconds by the caller's monotonic clock.
        calls: Calls of the entry point that came back, with a value or an exception.
        cpu_seconds: User and system time of the candidate's process, as the kernel accounts it.
        test: Source of the failing assertion, or empty.
        got: What the code answered there, escaped, or empty.
        expected: What the test wanted, escaped, or empty.
        level: How the code was confined: `full`, `standard` or `preloaded` (see levels.py), or empty if it was
            not started.
    """

    status: Status
    reason: str
    detail: str = ""
    duration: float = 0.0
    calls: int = 0
    cpu_seconds: float = 0.0
    test: str = ""
    got: str = ""
    expected: str = ""
    level: str = ""

    @property
    def passed(self) -> bool:
        """Whether every check held and nothing else was odd."""
        return self.status == "passed"

    def as_dict(self) -> dict[str, str | float | int]:
        """The fields by name, ready for JSON."""
        return asdict(self)
