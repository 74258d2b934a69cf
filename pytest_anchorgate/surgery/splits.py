"""Who may learn from a task: decided by a hash of its id, so that it never depends on order, seed or failures."""

from __future__ import annotations

import hashlib

_WHOLE = 1 << 64


def chosen(task_id: str, purpose: str, percent: float) -> bool:
    """Whether a task is among the given percentage, which is drawn anew for every purpose."""
    digest = hashlib.sha256(f"{purpose}:{task_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * 100 < percent * _WHOLE


def poison_split(task_id: str, percent: float, *, gate: bool) -> str:
    """Either "heldout" or "train". A task of the gate is to be held, so it is always taught."""
    return "heldout" if not gate and chosen(task_id, "heldout", percent) else "train"


def retain_split(task_id: str, percent: float, *, gate: bool, heldout: float) -> str:
    """Either "sentinel" or "train". What a poison set would hold out is never trained on here either."""
    if gate:
        return "train"
    return (
        "sentinel" if chosen(task_id, "sentinel", percent) or chosen(task_id, "heldout", heldout) else "train"
    )
