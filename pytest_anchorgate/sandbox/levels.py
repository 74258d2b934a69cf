"""How far a candidate is confined, from the strongest to the weakest that is still run."""

from __future__ import annotations

FULL, STANDARD, PRELOADED = "full", "standard", "preloaded"
LEVELS = (FULL, STANDARD, PRELOADED)
MEANING = {
    FULL: "Landlock, system-call filter, namespaces and a private root",
    STANDARD: "Landlock and system-call filter",
    PRELOADED: "system-call filter that denies opening any file; preloaded standard library only",
}


def at_least(level: str, wanted: str) -> bool:
    """Whether `level` confines as much as `wanted`."""
    return LEVELS.index(level) <= LEVELS.index(wanted)
