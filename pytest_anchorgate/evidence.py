"""From one completion to one observation: take out the code, have it verified, write down what was seen."""

from __future__ import annotations

import time

from pytest_anchorgate.anchor_verdict import verify_anchor
from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.baseline import anchor_digest
from pytest_anchorgate.engine import Generated
from pytest_anchorgate.extract import extract
from pytest_anchorgate.gate import Gate
from pytest_anchorgate.sandbox import Verdict
from pytest_anchorgate.verdict import NO_COMPLETION, Observation

_NOTHING = Generated("", (), (), "")


def judge(anchor: Anchor, text: str, *, require: str | None = None) -> Verdict:
    """Verifies one answer in the sandbox; if that fails by itself, the verdict is "error", so undecided.

    Args:
        anchor: what was asked.
        text: what the model wrote.
        require: the weakest confinement to accept; None for any.
    """
    started = time.monotonic()
    try:
        return verify_anchor(anchor, extract(text, anchor.entry_point), require=require)
    except Exception as error:
        # Whatever it is, it says nothing about the candidate and must not end the session.
        reason = f"the sandbox failed: {type(error).__name__}: {error}"
        return Verdict(status="error", reason=reason, duration=time.monotonic() - started)


def observe(gate: Gate, anchor: Anchor) -> Observation:
    """Verifies the candidate's answer and binds the result to this session, pack, baseline and anchor."""
    return examine(gate, anchor)[0]


def examine(gate: Gate, anchor: Anchor) -> tuple[Observation, Verdict | None]:
    """The observation, and the sandbox's own verdict behind it if there was something to verify."""
    generated = gate.answers.completions.get(anchor.task_id)
    if generated is None:
        reason = gate.answers.failure or "the engine was not asked for this anchor"
        return _bound(gate, anchor, _NOTHING, NO_COMPLETION, reason), None
    verdict = judge(anchor, generated.text, require=gate.sandbox_level)
    observation = _bound(
        gate,
        anchor,
        generated,
        verdict.status,
        verdict.reason,
        detail=verdict.detail,
        seconds=verdict.duration,
        level=verdict.level,
    )
    return observation, verdict


def _bound(
    gate: Gate,
    anchor: Anchor,
    generated: Generated,
    status: str,
    reason: str,
    *,
    detail: str = "",
    seconds: float = 0.0,
    level: str = "",
) -> Observation:
    return Observation(
        session=gate.session,
        pack_sha256=str(gate.answers.info.get("pack_sha256", "")),
        baseline_digest=gate.baseline_digest,
        anchors_digest=gate.anchors.digest,
        anchor_digest=anchor_digest(anchor),
        task_id=anchor.task_id,
        status=status,
        reason=reason,
        detail=detail,
        text=generated.text,
        token_ids=generated.token_ids,
        margins=generated.margins,
        finish_reason=generated.finish_reason,
        seconds=seconds,
        worker=gate.worker,
        level=level,
    )
