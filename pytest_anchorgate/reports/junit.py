"""Flat properties of one anchor for JUnit files: what a person or a CI service reads there. Pure.

The evidence itself travels as one JSON property beside them (wire.py); these are its words.
"""

from __future__ import annotations

from pytest_anchorgate.verdict import Observation, Standing
from pytest_anchorgate.wire import MAX_LINE, printable

PREFIX = "anchorgate."


def junit_properties(observation: Observation, standing: Standing) -> list[tuple[str, str]]:
    """`<property>` names and values of an anchor's test case, plain strings only: xdist takes nothing else."""
    values = {
        "task_id": observation.task_id,
        "standing": standing.value,
        "status": observation.status,
        "reason": observation.reason,
        "pack_sha256": observation.pack_sha256,
        "baseline_digest": observation.baseline_digest,
        "anchor_digest": observation.anchor_digest,
        "tokens": str(len(observation.token_ids)),
        "finish_reason": observation.finish_reason,
        "sandbox_level": observation.level,
    }
    return [(PREFIX + name, printable(value, MAX_LINE)) for name, value in values.items()]
