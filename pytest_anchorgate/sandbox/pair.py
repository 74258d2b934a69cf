"""The two processes of one verification, ordered together: a candidate and a judge with a channel between them.

A pair may be ordered before there is anything to verify. Its processes confine themselves and wait; neither has
seen any code or test, and both serve one verification. Waiting takes nothing from their CPU time.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from .warm import Child, Parent

_START_SECONDS = 20.0  # only a fork, but on a loaded machine it may take its time


@dataclass(frozen=True, slots=True)
class Allowance:
    """What each process of a pair may use; it is set before the process waits and cannot be changed there."""

    cpu_seconds: int
    memory_mb: int


class Pair:
    """One candidate, one judge, and the caller's end of the judge's control channel."""

    def __init__(self, zygote: Parent, bench: Parent, allowance: Allowance) -> None:
        """Order both; ParentError if one of the warm parents is gone."""
        self.allowance = allowance
        self._parents = (zygote, bench)
        self._children: list[Child] = []
        rpc_judge, rpc_candidate = socket.socketpair()
        self.control, control_judge = socket.socketpair()
        try:
            # Keep no copies: a hang-up on either side must reach the other.
            with rpc_judge, rpc_candidate, control_judge:
                limits = {"cpu_seconds": allowance.cpu_seconds, "memory_mb": allowance.memory_mb}
                zygote.order([rpc_candidate.fileno()], **limits)
                bench.order([rpc_judge.fileno(), control_judge.fileno()], **limits)
        except BaseException:
            self.control.close()
            raise

    def children(self) -> tuple[Child, Child]:
        """Candidate and judge, once both are started; ParentError if one is not."""
        deadline = time.monotonic() + _START_SECONDS
        for parent in self._parents[len(self._children) :]:
            self._children.append(parent.started(deadline))
        candidate, judge = self._children
        return candidate, judge

    def alive(self) -> bool:
        """Whether both are there; ParentError if one was never started."""
        return all(child.alive() for child in self.children())

    def dismiss(self) -> None:
        """End both, unused, and wait for them; ParentError if nobody tells of it."""
        children = self.children()
        self.close()
        deadline = time.monotonic() + _START_SECONDS
        for child in children:
            child.ending(deadline)

    def close(self) -> None:
        """Kill what was started and let go of it."""
        self.control.close()
        for child in self._children:
            child.kill()
            child.close()

    def forget(self) -> None:
        """In a process that was forked off this one: let go of what belongs to the other."""
        self.control.close()
        for child in self._children:
            child.close()
