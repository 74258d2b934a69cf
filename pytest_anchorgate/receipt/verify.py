"""Verifying a receipt, offline: everything in it has to follow from the verifier's own pack, baseline, anchors.

Nothing that a receipt says about its own verdict is believed. Its evidence is judged again by
`verdict.decide`, and both statements are computed again and have to be the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors import AnchorsError, AnchorSet, read_anchors
from pytest_anchorgate.baseline import Baseline, BaselineError, read_baseline, require_same_anchors
from pytest_anchorgate.packs.errors import PackFormatError
from pytest_anchorgate.packs.header import file_sha256
from pytest_anchorgate.places import BASELINE_FILE, find_anchors
from pytest_anchorgate.receipt.canonical import parse_canonical, sha256_hex
from pytest_anchorgate.receipt.difference import first_difference
from pytest_anchorgate.receipt.dsse import IN_TOTO, Envelope, pae
from pytest_anchorgate.receipt.errors import ReceiptError, ReceiptUnusable
from pytest_anchorgate.receipt.evidence import smallest_margin
from pytest_anchorgate.receipt.facts import Facts
from pytest_anchorgate.receipt.keys import PublicKey, read_public_key
from pytest_anchorgate.receipt.stale import LARGEST
from pytest_anchorgate.receipt.statement import (
    GATE_RECEIPT,
    PASSED,
    STATEMENT,
    TEST_RESULT,
    PackFacts,
    World,
    decide_again,
    pack_facts,
    result_of,
    statements,
)
from pytest_anchorgate.repeats import LEAST_SIZE
from pytest_anchorgate.sandbox.levels import at_least
from pytest_anchorgate.strict_json import Malformed, demand, demand_object, demand_sha256
from pytest_anchorgate.verdict import Decision, Outcome, Standing
from pytest_anchorgate.wire import MAX_LINE, printable

_KINDS = (TEST_RESULT, GATE_RECEIPT)
_SHORT = 12


@dataclass(frozen=True, slots=True)
class Verified:
    """A receipt of which everything follows.

    Attributes:
        sha256: of the receipt's bytes.
        world: the verifier's own pack, baseline and anchors, by which it was checked.
        facts: what the receipt states on its own account.
        decision: the verdict, derived again.
        key_id: the key that signed it, None if nobody did.
        trusted: whether that is the key that the verifier named.
    """

    path: Path
    sha256: str
    world: World
    facts: Facts
    decision: Decision
    key_id: str | None
    trusted: bool


def verify_receipt(
    path: Path,
    pack: Path,
    baseline: Path | None = None,
    anchors: Path | None = None,
    key: Path | None = None,
    require_signature: bool = False,
    *,
    previous: Path | None = None,
) -> Verified:
    """Checks that a receipt proves that this pack passes the gate with this baseline and these anchors.

    Args:
        path: the receipt.
        pack: the pack's file; its bytes are read and their digest computed.
        baseline: None for `baseline.json` beside the anchors.
        anchors: folder or file of the anchor set; None for what `pytest --pack` would take here.
        key: public key that must have signed; None accepts unsigned receipts, and any key.
        require_signature: refuse to go on without `key`.
        previous: the receipt that this one says it follows.

    Raises:
        ReceiptError: one line that says what does not follow.
        ReceiptUnusable: one line: something is missing or cannot be read, so nothing was checked.
    """
    if require_signature and key is None:
        raise ReceiptUnusable(
            "a signature is required but no key to check it with is named: anybody can sign with some key"
        )
    trusted = read_public_key(key) if key is not None else None
    data = _read(path)
    try:
        envelopes = _envelopes(data)
        own_anchors, own_baseline = _own(anchors, baseline)
        claims = [
            _claims(e.payload, line, kind)
            for line, (e, kind) in enumerate(zip(envelopes, _KINDS, strict=True), 1)
        ]
        facts = Facts.from_json(claims[1]["predicate"])
        signer = _check_signatures(envelopes, facts, trusted)
        world = World(_own_pack(pack, claims[1]["subject"]), own_baseline, own_anchors)
        _check_digests(claims[1]["predicate"], world)
        _check_facts(facts, world)
        decision = decide_again(facts, world)
        _check_statements(claims, statements(facts, world, decision))
        _require_pass(facts, decision)
        _check_previous(facts, previous)
    except ReceiptUnusable:
        raise
    except (Malformed, ReceiptError) as error:
        # Parts of the message may be the receipt's own words.
        raise ReceiptError(f"{path}: {printable(str(error), MAX_LINE)}") from None
    return Verified(path, sha256_hex(data), world, facts, decision, signer, trusted is not None)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise ReceiptUnusable(f"{path}: the receipt cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise ReceiptError(f"{path}: larger than {LARGEST >> 20} MiB, so no receipt")
    return data


def _own(anchors: Path | None, baseline: Path | None) -> tuple[AnchorSet, Baseline]:
    try:
        own = read_anchors(anchors if anchors is not None else find_anchors(Path.cwd()))
        place = baseline if baseline is not None else own.path.with_name(BASELINE_FILE)
        recorded = read_baseline(place)
        require_same_anchors(recorded, own, str(place))
    except (AnchorsError, BaselineError, OSError) as error:
        raise ReceiptUnusable(" ".join(str(error).splitlines())) from None
    return own, recorded


def _own_pack(path: Path, subject: Any) -> PackFacts:
    """The verifier's own pack, which has to be the one that the receipt is about."""
    claimed = _claimed_digest(subject)
    try:
        sha256 = file_sha256(path)
        if sha256 != claimed:
            raise ReceiptError(
                f"it is for another pack: it says {claimed[:_SHORT]}, {path} has sha256 {sha256[:_SHORT]}"
            )
        return pack_facts(path, sha256)
    except OSError as error:
        raise ReceiptUnusable(f"{path}: the pack cannot be read: {error.strerror}") from None
    except PackFormatError as error:
        raise ReceiptUnusable(" ".join(str(error).splitlines())) from None


def _envelopes(data: bytes) -> list[Envelope]:
    """The two lines; the file has to be exactly what is written for them."""
    lines = data.split(b"\n")
    demand(len(lines) == len(_KINDS) + 1 and not lines[-1], "the file", "a receipt of two complete lines")
    return [Envelope.from_line(line, f"line {number}") for number, line in enumerate(lines[:-1], 1)]


def _claims(payload: bytes, line: int, kind: str) -> dict[str, Any]:
    where = f"the statement of line {line}"
    statement = demand_object(
        parse_canonical(payload, where), where, ("_type", "subject", "predicateType", "predicate")
    )
    demand(statement["_type"] == STATEMENT, f"{where}: _type", STATEMENT)
    demand(statement["predicateType"] == kind, f"{where}: predicateType", kind)
    demand(isinstance(statement["predicate"], dict), f"{where}: predicate", "an object")
    return statement


def _claimed_digest(subject: Any) -> str:
    demand(isinstance(subject, list) and len(subject) == 1, "subject", "one pack")
    digest = demand_object(
        demand_object(subject[0], "subject", ("name", "digest"))["digest"], "subject.digest", ("sha256",)
    )
    return demand_sha256(digest, "sha256", "subject.digest")


def _check_signatures(envelopes: list[Envelope], facts: Facts, trusted: PublicKey | None) -> str | None:
    """The id of the key that signed both lines, None if nobody did.

    The receipt names its signer inside of what is signed: a signature that is taken away, added or replaced
    leaves a contradiction.
    """
    if facts.public_key is None:
        if any(envelope.signatures for envelope in envelopes):
            raise ReceiptError("it carries a signature but does not name its signer")
        if trusted is not None:
            raise ReceiptError(f"it is not signed, and has to be by key {trusted.key_id[:_SHORT]}")
        return None
    signer = PublicKey(bytes.fromhex(facts.public_key))
    if trusted is not None and trusted != signer:
        raise ReceiptError(
            f"it is signed by another key: {signer.key_id[:_SHORT]}, expected {trusted.key_id[:_SHORT]}"
        )
    for number, envelope in enumerate(envelopes, 1):
        if [signature.key_id for signature in envelope.signatures] != [signer.key_id]:
            raise ReceiptError(f"line {number} is not signed by the key that it names, and by that alone")
        if not signer.verifies(envelope.signatures[0].value, pae(IN_TOTO, envelope.payload)):
            raise ReceiptError(f"the signature of line {number} does not fit what it signs")
    return signer.key_id


def _check_digests(predicate: Mapping[str, Any], world: World) -> None:
    """Names the one that is another; that all else fits is checked with the statements as a whole."""
    digests = world.anchors.digest, world.baseline_digest
    pairs = (("anchorSet", "anchor set", digests[0]), ("baseline", "baseline", digests[1]))
    for key, what, own in pairs:
        entry = predicate.get(key)
        claimed = entry.get("digest") if isinstance(entry, dict) else None
        if claimed != own:
            shown = claimed[:_SHORT] if isinstance(claimed, str) else "nothing"
            raise ReceiptError(f"it is for another {what}: it says {shown}, yours is {own[:_SHORT]}")


def _check_facts(facts: Facts, world: World) -> None:
    """What a receipt states on its own account can still contradict the pack or the baseline."""
    pack = world.pack
    expected = {
        "pack_sha256": pack.sha256,
        "identity": pack.identity,
        "architecture": pack.architecture,
        "numerics": pack.numerics,
    }
    for name, value in expected.items():
        if facts.runtime.get(name) != value:
            got = str(facts.runtime.get(name))[:_SHORT]
            raise ReceiptError(f"the runtime's {name} is {got}, but the pack has {value[:_SHORT]}")
    if facts.recheck < LEAST_SIZE:
        raise ReceiptError("no anchor had to be generated a second time, so nothing is proven")
    for piece in facts.pieces:
        wrong = piece.contradiction(world.baseline.anchors.get(piece.task_id))
        if wrong:
            raise ReceiptError(f"the evidence for {piece.task_id} contradicts itself: {wrong}")
        recorded = world.baseline.anchors.get(piece.task_id)
        if pack.sha256 == world.baseline.pack.sha256 and recorded is not None and piece.parting is None:
            own = smallest_margin(recorded.margins)
            if piece.tokens and piece.smallest_margin_micro != own:
                raise ReceiptError(f"{piece.task_id}: production itself has another margin: {own}")
        wanted = facts.sandbox_level
        if wanted is not None and piece.status == "passed" and not at_least(piece.level, wanted):
            raise ReceiptError(f"{piece.task_id} passed at level {piece.level}, but {wanted} was required")


def _check_statements(claims: list[dict[str, Any]], expected: tuple[bytes, bytes]) -> None:
    # The second comes first: the first names its digest and would differ in that alone.
    for place in (1, 0):
        following = json.loads(expected[place])
        if difference := first_difference(claims[place], following):
            raise ReceiptError(f"it does not follow from its evidence: {difference}")


def _require_pass(facts: Facts, decision: Decision) -> None:
    if result_of(decision, facts.exit_status) == PASSED:
        return
    if decision.outcome is Outcome.PASS:
        raise ReceiptError(f"no anchor was lost, but the session failed (exit status {facts.exit_status})")
    for standing in (Standing.LOST, Standing.UNDECIDED):
        if judgements := decision.of(standing):
            first = f"{judgements[0].task_id}: {judgements[0].reason}"
            more = f", and {len(judgements) - 1} more" if len(judgements) > 1 else ""
            raise ReceiptError(f"the gate said {decision.outcome.name}: {standing.value}: {first}{more}")
    why = "partial: proves nothing" if decision.partial else "the session was not sound"
    raise ReceiptError(f"the gate said {decision.outcome.name}: {why}")


def _check_previous(facts: Facts, previous: Path | None) -> None:
    if previous is None:
        return
    digest = sha256_hex(_read(previous))
    if facts.previous != digest:
        says = facts.previous[:_SHORT] if facts.previous else "none"
        raise ReceiptError(f"it follows another receipt: {says}, {previous} has sha256 {digest[:_SHORT]}")
