"""A receipt of one gate session, from what the gate knows and has seen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

from pytest_anchorgate.gate import Gate
from pytest_anchorgate.receipt.errors import ReceiptError
from pytest_anchorgate.receipt.evidence import Again, Piece
from pytest_anchorgate.receipt.facts import Facts, plain_runtime
from pytest_anchorgate.receipt.keys import PrivateKey
from pytest_anchorgate.receipt.statement import World, decide_again, pack_facts
from pytest_anchorgate.receipt.write import compose
from pytest_anchorgate.repeats import Repeat
from pytest_anchorgate.verdict import Decision, Evidence, Incident
from pytest_anchorgate.wire import MAX_LINE, printable


def now() -> str:
    """The time as receipts spell it: RFC 3339, UTC, whole seconds."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def receipt_of(
    gate: Gate,
    evidence: Sequence[Evidence],
    incidents: Sequence[Incident],
    decision: Decision,
    *,
    repeats: Sequence[Repeat] = (),
    exit_status: int,
    started_on: str,
    harness: Mapping[str, str | None],
    previous: str | None = None,
    signer: PrivateKey | None = None,
) -> bytes | None:
    """The bytes of the receipt, whatever the verdict; None if the engine never said which pack it ran.

    Args:
        gate: the session.
        evidence: all of it; like `incidents` and `repeats` what `decision` was made of.
        incidents: see `evidence`.
        decision: the gate's verdict.
        repeats: see `evidence`.
        exit_status: of the session; a receipt passes only with 0.
        started_on: see `now`.
        harness: see `harness.harness`.
        previous: sha256 of the receipt before this one.
        signer: None for an unsigned receipt.

    Raises:
        ReceiptError: the pack's file is no longer the one that ran, or the receipt would tell another verdict
            than the gate.
        PackFormatError, OSError: the pack's file cannot be read any more.
    """
    sha256 = gate.manifest.pack_sha256
    if not sha256:
        return None
    pack = pack_facts(gate.pack.path, sha256)
    if pack.identity != gate.pack.identity:
        raise ReceiptError(f"{gate.pack.path} was replaced while the session ran")
    world = World(pack, gate.baseline, gate.anchors)
    facts = Facts(
        name=printable(os.fspath(gate.pack.name), MAX_LINE),
        session=gate.session,
        started_on=started_on,
        finished_on=max(started_on, now()),  # a clock may be set back
        exit_status=exit_status,
        partial=gate.partial,
        sandbox_level=gate.sandbox_level,
        recheck=gate.recheck,
        runtime=plain_runtime(gate.answers.info),
        harness=harness,
        pieces=tuple(
            Piece.of(piece, gate.baseline.anchors.get(piece.observation.task_id)) for piece in evidence
        ),
        incidents=tuple(incidents),
        repeats=tuple(map(Again.of, repeats)),
        previous=previous,
        public_key=signer.public.raw.hex() if signer else None,
    )
    again = decide_again(facts, world)
    if again.outcome is not decision.outcome:
        raise ReceiptError("the receipt's evidence does not give the verdict of the gate")
    return compose(facts, world, again, signer)
