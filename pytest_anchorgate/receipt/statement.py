"""The two statements of a receipt, computed from facts, pack, baseline and anchors alone.

Writer and verifier call the same function: a receipt follows if the statements computed again from its facts
and from the verifier's own pack, baseline and anchors are the same bytes.

in-toto Statement v1: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
test-result v0.1: https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors import AnchorSet
from pytest_anchorgate.baseline import Baseline, Recorded, anchor_digest
from pytest_anchorgate.receipt.canonical import canonical, sha256_hex, token_digest
from pytest_anchorgate.receipt.evidence import Piece, margin_at
from pytest_anchorgate.receipt.facts import Facts
from pytest_anchorgate.verdict import (
    NO_COMPLETION,
    Decision,
    Manifest,
    Outcome,
    Standing,
    decide,
    flip_rate_bound,
)

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
# A package URL: the project owns no domain, and its package's name is nobody else's. What the predicate holds
# or says may change only together with this version.
GATE_RECEIPT = "pkg:pypi/pytest-anchorgate#gate-receipt/v1"
PASSED, FAILED = "PASSED", "FAILED"
_SOURCE_KEYS = ("kind", "name", "sha256", "builder", "parent", "adapter", "scale")


@dataclass(frozen=True, slots=True)
class PackFacts:
    """What a pack's file says about itself.

    Attributes:
        sha256: of the whole file; `size`: of it in bytes.
        parent, adapter: sha256 of the pack and the adapter it was made from, "" if none is named.
        source: where its weights come from, in its own words; of surgery also the identity of the parent, the
            adapter's digest and its scale, a decimal as text.
        stop_ids: tokens that end an answer.
    """

    sha256: str
    size: int
    identity: str
    architecture: str
    numerics: str
    parent: str
    adapter: str
    source: Mapping[str, str]
    stop_ids: tuple[int, ...]


@dataclass(frozen=True)
class World:
    """What a verifier has of its own: the pack, the baseline, the anchors."""

    pack: PackFacts
    baseline: Baseline
    anchors: AnchorSet

    @cached_property
    def baseline_digest(self) -> str:
        """Digest of the baseline's content."""
        return self.baseline.digest


def pack_facts(path: Path, sha256: str) -> PackFacts:
    """Reads a pack's header; the digest of the file is the caller's.

    Raises:
        PackFormatError: it is no pack.
        OSError: it cannot be read.
    """
    from pytest_anchorgate.packs.reader import open_pack

    reader = open_pack(path)
    metadata = reader.metadata
    source = {key: reader.source[key] for key in _SOURCE_KEYS if isinstance(reader.source.get(key), str)}
    return PackFacts(
        sha256=sha256,
        size=path.stat().st_size,
        identity=metadata["planck.identity"],
        architecture=metadata["planck.architecture"],
        numerics=metadata["planck.numerics"],
        parent=metadata["planck.parent"],
        adapter=metadata["planck.adapter"],
        source=source,
        stop_ids=reader.stop_ids,
    )


def decide_again(facts: Facts, world: World) -> Decision:
    """The verdict that the facts entail for this pack, baseline and anchor set."""
    manifest = Manifest(
        session=facts.session,
        pack_sha256=world.pack.sha256,
        baseline_digest=world.baseline_digest,
        anchors_digest=world.anchors.digest,
        anchors={anchor.task_id: anchor_digest(anchor) for anchor in world.anchors},
        recheck=facts.recheck,
    )
    evidence = [piece.to_evidence() for piece in facts.pieces]
    return decide(
        manifest,
        world.baseline.held,
        evidence,
        facts.incidents,
        partial=facts.partial,
        repeats=[again.to_repeat() for again in facts.repeats],
    )


def statements(facts: Facts, world: World, decision: Decision) -> tuple[bytes, bytes]:
    """The payloads of a receipt: first the test result, which names the second by its digest.

    Args:
        facts: what the receipt states on its own account.
        world: what it is about.
        decision: what `decide_again` makes of them.
    """
    subject = [{"name": facts.name, "digest": {"sha256": world.pack.sha256}}]

    def statement(kind: str, predicate: dict[str, Any]) -> bytes:
        body = {"_type": STATEMENT, "subject": subject, "predicateType": kind, "predicate": predicate}
        return canonical(body)

    gate = statement(GATE_RECEIPT, _gate_receipt(facts, world, decision))
    return statement(TEST_RESULT, _test_result(facts, world, decision, sha256_hex(gate))), gate


def result_of(decision: Decision, exit_status: int) -> str:
    """PASSED if the gate passed and nothing else failed the session."""
    return PASSED if decision.outcome is Outcome.PASS and exit_status == 0 else FAILED


def _test_result(facts: Facts, world: World, decision: Decision, gate_sha256: str) -> dict[str, Any]:
    """Anybody's verifier can read this one. What production fails as well is no test of this gate."""

    def names(*standings: Standing) -> list[str]:
        return [j.task_id for j in decision.judgements if j.standing in standings]

    return {
        "result": result_of(decision, facts.exit_status),
        "configuration": [
            {"name": "baseline.json", "digest": {"sha256": world.baseline_digest}},
            {"name": "anchors.jsonl", "digest": {"anchorset_v1": world.anchors.digest}},
            {"name": "gate-receipt", "digest": {"sha256": gate_sha256}},
        ],
        "passedTests": names(Standing.HELD, Standing.GAINED),
        "warnedTests": [],
        "failedTests": names(Standing.LOST, Standing.UNDECIDED),
    }


def _gate_receipt(facts: Facts, world: World, decision: Decision) -> dict[str, Any]:
    pack, production = world.pack, world.baseline.pack
    config = _gate_config(facts, world, decision)
    return {
        **facts.to_json(),
        "candidate": {
            "sha256": pack.sha256,
            "size": pack.size,
            "identity": pack.identity,
            "architecture": pack.architecture,
            "numerics": pack.numerics,
            "parent": pack.parent or None,
            "adapter": pack.adapter or None,
            "source": dict(pack.source),
        },
        "production": {
            "name": production.name,
            "sha256": production.sha256,
            "identity": production.identity,
        },
        "lineage": _lineage(world),
        **config,
        "gateConfig": {"sha256": sha256_hex(canonical(config))},
        "tasks": (tasks := _tasks(facts, world, decision)),
        "counts": {
            **{standing.value: len(decision.of(standing)) for standing in Standing},
            "bothWrongChanged": sum(
                task["standing"] == Standing.STILL_FAILING.value and task["sameTokens"] is False
                for task in tasks
            ),
        },
        "decision": {"outcome": decision.outcome.name, "result": result_of(decision, facts.exit_status)},
        "nonClaims": _non_claims(decision),
    }


def _gate_config(facts: Facts, world: World, decision: Decision) -> dict[str, Any]:
    """All that was set before the run, whatever the candidate; two runs with its digest asked the same."""
    return {
        "anchorSet": {"digest": world.anchors.digest, "n": len(world.anchors)},
        "baseline": {"digest": world.baseline_digest, "numerics": world.baseline.numerics},
        "policy": {
            "required": "every anchor decided",
            "protected": decision.protected,
            "mayBeLost": 0,
            "recheck": facts.recheck,
            "sandboxLevel": facts.sandbox_level,
        },
        "decoding": {
            "strategy": "greedy",
            "stop": "the pack's stop ids, or the end of the code block",
            "stopIds": list(world.pack.stop_ids),
        },
    }


def _tasks(facts: Facts, world: World, decision: Decision) -> list[dict[str, Any]]:
    anchors = {anchor.task_id: anchor for anchor in world.anchors}
    pieces = {piece.task_id: piece for piece in facts.pieces}
    return [
        {
            "id": judgement.task_id,
            "anchorDigest": anchor_digest(anchors[judgement.task_id]),
            "maxNewTokens": anchors[judgement.task_id].max_new_tokens,
            "production": world.baseline.anchors[judgement.task_id].status,
            "candidate": judgement.observation.status if judgement.observation else None,
            "standing": judgement.standing.value,
            **_compared(pieces.get(judgement.task_id), world.baseline.anchors[judgement.task_id]),
        }
        for judgement in decision.judgements
    ]


def _compared(piece: Piece | None, recorded: Recorded) -> dict[str, Any]:
    """How the candidate's answer lies beside production's.

    `sameTokens` is the certificate of an anchor: the whole of production's answer, as a draft, was what the
    candidate chose itself. Beside where it parts, how sure production was of its own token there.
    """
    if piece is None or piece.status == NO_COMPLETION:
        return {"sameTokens": None, "productionMarginMicro": None}
    place = piece.parting.index if piece.parting else len(recorded.margins)
    return {
        "sameTokens": piece.tokens_sha256 == token_digest(recorded.token_ids),
        "productionMarginMicro": margin_at(recorded.margins, place),
    }


def _lineage(world: World) -> str:
    pack, production = world.pack, world.baseline.pack
    if pack.identity == production.identity:
        return "production itself"
    if pack.parent == production.sha256:
        return "child of production"
    return "child of another pack" if pack.parent else "not stated"


def _non_claims(decision: Decision) -> list[str]:
    bound = f"{100 * flip_rate_bound(decision.protected):.1f}"
    return [
        f"{decision.protected} protected anchors without a loss would bound the true rate of losses only by "
        f"{bound} % (one-sided 95 %): a tripwire, not an estimate of quality.",
        "Nothing is said about tasks outside of the anchor set, nor about safety, speed or style.",
        "Where the weights come from is what the pack says about itself.",
        "Without a signature by a key that the verifier trusts, anybody can have written this. With one, it is "
        "as honest as the process that signed, and whatever code ran in it.",
    ]
