"""The rule of the determinism check: which answers are generated twice, and what the second must show. Pure.

Every lost anchor, because a loss has to be the pack's doing; and some of the held ones, because a machine that
answers differently each time must not give a PASS by luck. Which ones depends on the pack and the anchors
alone, so that running the gate again is no second chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DEFAULT_SIZE = 2
LEAST_SIZE = 1
NONDETERMINISTIC = "NONDETERMINISTIC"
_DIGEST = 12


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a fresh engine wrote when it was asked for one anchor again.

    Attributes:
        pack_sha256: digest of the bytes that it had mapped.
        token_ids: its answer.
    """

    task_id: str
    pack_sha256: str
    token_ids: tuple[int, ...]


def sample(pack_sha256: str, anchors_digest: str, held: Mapping[str, bool], size: int) -> tuple[str, ...]:
    """The anchors to generate again whatever becomes of them, in the order of `held`.

    Args:
        pack_sha256: of the candidate.
        anchors_digest: of the anchor set.
        held: whether production holds an anchor, for all of them.
        size: how many; fewer if production holds fewer. If it holds none, any anchor may be taken.
    """

    def lot(task_id: str) -> bytes:
        return hashlib.sha256(f"{pack_sha256}\0{anchors_digest}\0{task_id}".encode()).digest()

    candidates = [task_id for task_id, is_held in held.items() if is_held] or list(held)
    chosen = set(sorted(candidates, key=lot)[:size])
    return tuple(task_id for task_id in held if task_id in chosen)


def differing(token_ids: Sequence[int], repeats: Sequence[Repeat]) -> str:
    """How a second answer differs from the first, in words; "" if none does."""
    for repeat in repeats:
        if repeat.token_ids != tuple(token_ids):
            return f"{NONDETERMINISTIC}: a fresh engine wrote other tokens for the same prompt"
    return ""


def unconfirmed(pack_sha256: str, repeats: Sequence[Repeat]) -> str:
    """Why the repeats confirm nothing about this pack; "" if they do."""
    if not repeats:
        return "it was not generated again"
    for repeat in repeats:
        if repeat.pack_sha256 != pack_sha256:
            digests = f"{repeat.pack_sha256[:_DIGEST] or 'none'}, expected {pack_sha256[:_DIGEST] or 'none'}"
            return f"it was generated again from another pack ({digests})"
    return ""
