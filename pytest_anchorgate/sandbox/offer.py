"""What this machine offers the sandbox, found out by trying, once for each process."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass

from .levels import LEVELS, MEANING, at_least
from .text import escape


@dataclass(frozen=True, slots=True)
class Offer:
    """The strongest level that works here.

    Attributes:
        level: One of levels.LEVELS, or empty if nothing can be verified.
        missing: Why each stronger level is not offered, by level.
        failure: Why nothing can be verified, or empty.
    """

    level: str
    missing: dict[str, str]
    failure: str = ""

    def describe(self) -> str:
        """One line for a person."""
        return f"{self.level} ({MEANING[self.level]})" if self.level else f"none: {self.failure}"

    def falls_short_of(self, required: str) -> str:
        """Why this is not enough, or empty if it is."""
        if self.level and at_least(self.level, required):
            return ""
        why = self.failure or self.missing.get(required, "")
        return f"this machine offers {self.level or 'no level'}: {why}"


def offer() -> Offer:
    """Try the levels from the strongest on. What a layer says against itself is in the answer, not raised."""
    if not sys.platform.startswith("linux"):
        return Offer("", {}, f"verification needs Linux, this is {sys.platform}")
    from .court import NoLevel, courthouse

    house = courthouse()
    try:
        best = house.best()
    except (NoLevel, OSError) as error:
        return Offer("", {}, escape(str(error)))
    return Offer(best, {level: escape(why) for level, why in house.missing().items()})


class Asking:
    """`offer`, found out by a thread: the warm parents start while the caller does something else."""

    def __init__(self) -> None:
        self._found: Offer | None = None
        # No daemon: where a session ends at once, its courts are ended in order.
        self._thread = threading.Thread(target=self._ask, name="anchorgate-offer")
        self._thread.start()

    def answer(self) -> Offer:
        """What the machine offers."""
        self._thread.join()
        return self._found or offer()

    def _ask(self) -> None:
        self._found = offer()


__all__ = ["LEVELS", "Asking", "Offer", "offer"]
