"""What a receipt proves, and to whom: other packs, baselines, anchors, keys, and evidence that entails no PASS."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate_house import anchor_lines, write_anchors
from receipt_house import Office, Statement, edited, linked, sealed, statements

from pytest_anchorgate.anchors import read_anchors
from pytest_anchorgate.baseline import read_baseline
from pytest_anchorgate.gate import open_pack
from pytest_anchorgate.progress import Quiet
from pytest_anchorgate.receipt.canonical import canonical, sha256_hex, token_digest
from pytest_anchorgate.receipt.errors import ReceiptError, ReceiptUnusable
from pytest_anchorgate.record import make_plan, record
from pytest_anchorgate.verdict import Outcome

GATE = 1


def refusal(office: Office, receipt: bytes, pack: str = "gains", **more: Any) -> str:
    with pytest.raises(ReceiptError) as caught:
        office.verify(receipt, pack, **more)
    assert not isinstance(caught.value, ReceiptUnusable)
    return str(caught.value).removeprefix(f"{office.root / 'receipt.jsonl'}: ")


def recorded(office: Office, pack: str, anchors: Path) -> Path:
    """A baseline for these anchors in a file of its own."""
    target = anchors.with_name(f"{pack}.json")
    place = open_pack(str(office.house.pack(pack)), progress=False)
    record(make_plan(place, read_anchors(anchors), target, reason="", timeout=60.0, threads=1), Quiet())
    return target


def test_a_receipt_says_what_it_proves(office: Office) -> None:
    receipt = office.receipt()
    verified = office.verify(receipt)
    assert verified.decision.outcome is Outcome.PASS
    assert verified.sha256 == sha256_hex(receipt)
    assert verified.world.pack.sha256 == sha256_hex(office.house.pack("gains").read_bytes())
    assert verified.world.pack.size == office.house.pack("gains").stat().st_size
    assert (verified.key_id, verified.trusted) == (None, False)


def test_the_statements_are_what_in_toto_asks_for(office: Office) -> None:
    first, second = statements(office.receipt())
    sha256 = sha256_hex(office.house.pack("gains").read_bytes())
    for statement in (first, second):
        assert statement["_type"] == "https://in-toto.io/Statement/v1"
        assert statement["subject"] == [{"name": "gains.planck", "digest": {"sha256": sha256}}]
    assert first["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert second["predicateType"].endswith("gate-receipt/v1")
    assert first["predicate"]["result"] == "PASSED"
    assert first["predicate"]["passedTests"] == ["T/1", "T/17", "T/170"]
    assert first["predicate"]["failedTests"] == []
    named = {entry["name"]: entry["digest"] for entry in first["predicate"]["configuration"]}
    assert named["baseline.json"] == {"sha256": office.house.baseline.digest}
    assert named["gate-receipt"] == {"sha256": sha256_hex(canonical(second))}


def test_the_details_are_those_of_the_session(office: Office) -> None:
    predicate = statements(office.receipt())[GATE]["predicate"]
    counts = {"held": 2, "lost": 0, "gained": 1, "still failing": 1, "undecided": 0}
    assert predicate["counts"] == {**counts, "bothWrongChanged": 0}
    assert predicate["decision"] == {"outcome": "PASS", "result": "PASSED"}
    assert predicate["tasks"][2] == {
        "id": "T/170",
        "anchorDigest": office.house.baseline.anchors["T/170"].anchor_digest,
        "maxNewTokens": 8,
        "production": "failed",
        "candidate": "passed",
        "standing": "gained",
        "sameTokens": False,
        "productionMarginMicro": round(office.house.baseline.anchors["T/170"].margins[0] * 1_000_000),
    }
    assert [task["sameTokens"] for task in predicate["tasks"]] == [True, True, False, True]
    assert predicate["decoding"]["stopIds"]
    assert re.fullmatch("[0-9a-f]{64}", predicate["runtime"]["runtime_sha256"])
    for piece in predicate["evidence"]:
        assert type(piece["smallestMarginMicro"]) is int
        assert (piece["partingMarginMicro"] is None) == (piece["parting"] is None)
    gained = predicate["evidence"][2]
    production = office.house.baseline.anchors["T/170"].token_ids
    assert gained["tokensSha256"] != token_digest(production)
    assert gained["parting"]["production"] == production[0]
    assert gained["parting"]["index"] == 0
    assert predicate["evidence"][0]["parting"] is None
    assert predicate["evidence"][0]["tokensSha256"] == token_digest(
        office.house.baseline.anchors["T/1"].token_ids
    )
    assert "77.6 %" in predicate["nonClaims"][0]
    assert "def add" not in json.dumps(predicate)


def test_the_digest_of_the_configuration_is_the_same_for_every_candidate(office: Office) -> None:
    of = {pack: statements(office.receipt(pack))[GATE]["predicate"] for pack in ("gains", "loses")}
    assert of["gains"]["gateConfig"] == of["loses"]["gateConfig"]
    config = {key: of["gains"][key] for key in ("anchorSet", "baseline", "policy", "decoding")}
    assert of["gains"]["gateConfig"]["sha256"] == sha256_hex(canonical(config))


def test_wrong_answers_that_changed_are_counted(office: Office) -> None:
    predicate = statements(office.receipt("solves-none"))[GATE]["predicate"]
    failing = [task for task in predicate["tasks"] if task["standing"] == "still failing"]
    assert failing
    assert predicate["counts"]["bothWrongChanged"] == sum(not task["sameTokens"] for task in failing) > 0


def test_production_itself_has_productions_margins(office: Office) -> None:
    changed = statements(office.receipt("production", signer=office.key))
    change = in_gate(lambda p: p["evidence"][0].update(smallestMarginMicro=1))
    changed[GATE] = edited(changed[GATE], (), change)
    told = refusal(office, sealed(linked(changed), office.key), "production", key=office.public)
    assert "production itself has another margin" in told


def test_a_receipt_of_another_pack(office: Office) -> None:
    words = refusal(office, office.receipt("gains"), "production")
    assert words.startswith("it is for another pack: ")
    assert "production.planck" in words


def test_a_pack_of_which_one_byte_differs(office: Office, tmp_path: Path) -> None:
    data = bytearray(office.house.pack("gains").read_bytes())
    data[-1] ^= 1
    (tmp_path / "other.planck").write_bytes(data)
    from pytest_anchorgate.receipt.verify import verify_receipt

    path = tmp_path / "r"
    path.write_bytes(office.receipt())
    with pytest.raises(ReceiptError, match="it is for another pack"):
        verify_receipt(path, tmp_path / "other.planck", anchors=office.house.anchors)


def test_a_receipt_for_another_anchor_set(office: Office, tmp_path: Path) -> None:
    lines = anchor_lines()
    lines[0]["tests"] = ["assert add(1, 2) == 3"]
    anchors = write_anchors(tmp_path / "anchors.jsonl", lines)
    baseline = recorded(office, "production", anchors)
    words = refusal(office, office.receipt(), anchors=anchors, baseline=baseline)
    assert words.startswith("it is for another anchor set: ")


def test_a_receipt_for_another_baseline(office: Office, tmp_path: Path) -> None:
    anchors = write_anchors(tmp_path / "anchors.jsonl", anchor_lines())
    baseline = recorded(office, "gains", anchors)
    words = refusal(office, office.receipt(), anchors=anchors, baseline=baseline)
    assert words.startswith("it is for another baseline: ")


def test_a_receipt_by_another_key(office: Office) -> None:
    words = refusal(office, office.receipt(signer=office.stranger), key=office.public)
    assert words.startswith("it is signed by another key: ")
    assert office.stranger.key_id[:12] in words


def test_an_unsigned_receipt_where_a_key_is_required(office: Office) -> None:
    assert refusal(office, office.receipt(), key=office.public).startswith("it is not signed")


def test_signatures_cannot_be_taken_away_or_added(office: Office) -> None:
    signed = statements(office.receipt(signer=office.key))
    assert "is not signed by the key" in refusal(office, sealed(signed))
    unsigned = statements(office.receipt())
    assert "does not name its signer" in refusal(office, sealed(unsigned, office.key))
    assert "is not signed by the key" in refusal(office, sealed(signed, office.stranger))


def test_two_receipts_cannot_be_mixed(office: Office) -> None:
    one, other = (
        office.receipt(signer=office.key),
        office.receipt(signer=office.key, started_on="2026-01-01T00:00:00Z"),
    )
    mixed = one.splitlines(keepends=True)[0] + other.splitlines(keepends=True)[1]
    assert "does not follow" in refusal(office, mixed, key=office.public)


def test_what_the_gate_did_not_pass_does_not_verify(office: Office) -> None:
    words = refusal(office, office.receipt("loses"), "loses")
    assert words.startswith("the gate said BLOCKED: lost: T/1: test 1 failed")
    assert statements(office.receipt("loses"))[0]["predicate"]["result"] == "FAILED"


def test_a_session_that_failed_otherwise_does_not_verify(office: Office) -> None:
    words = refusal(office, office.receipt(exit_status=1))
    assert words == "no anchor was lost, but the session failed (exit status 1)"


def test_the_receipt_before(office: Office, tmp_path: Path) -> None:
    before, stranger = tmp_path / "before", tmp_path / "stranger"
    before.write_bytes(office.receipt("production"))
    stranger.write_bytes(office.receipt("loses"))
    receipt = office.receipt(previous=sha256_hex(before.read_bytes()))
    assert office.verify(receipt, previous=before).facts.previous == sha256_hex(before.read_bytes())
    assert refusal(office, receipt, previous=stranger).startswith("it follows another receipt")
    assert refusal(office, office.receipt(), previous=before).startswith("it follows another receipt: none")


def in_gate(change: Callable[[Statement], None]) -> Callable[[Statement], Statement]:
    def edit(statement: Statement) -> Statement:
        change(statement["predicate"])
        return statement

    return edit


def passes_after_all(predicate: Statement) -> None:
    """What a forger of a blocked receipt would write, had he not understood that it is derived again."""
    predicate["decision"] = {"outcome": "PASS", "result": "PASSED"}
    predicate["counts"] |= {"held": 2, "lost": 0}
    predicate["session"]["exitStatus"] = 0
    predicate["tasks"][0] |= {"candidate": "passed", "standing": "held"}


def test_a_blocked_receipt_signed_again_as_a_pass(office: Office) -> None:
    changed = statements(office.receipt("loses", office.key))
    changed[GATE] = edited(changed[GATE], (), in_gate(passes_after_all))
    changed[0]["predicate"] |= {"result": "PASSED", "passedTests": ["T/1", "T/17"], "failedTests": []}
    words = refusal(office, sealed(linked(changed), office.key), "loses", key=office.public)
    assert words.startswith("it does not follow from its evidence: predicate.")


INCONSISTENT: dict[str, tuple[Callable[[Statement], Any], str]] = {
    "evidence of another session": (lambda p: p["evidence"][0].update(session="0" * 32), "does not follow"),
    "evidence of another pack": (lambda p: p["evidence"][0].update(packSha256="0" * 64), "does not follow"),
    "another anchor": (lambda p: p["evidence"][0].update(anchorDigest="0" * 64), "does not follow"),
    "shown as skipped": (lambda p: p["evidence"][0].update(shown="skipped"), "does not follow"),
    "an anchor without evidence": (lambda p: p["evidence"].pop(0), "does not follow"),
    "tokens differ when generated again": (
        lambda p: p["repeats"][0].update(tokensSha256="0" * 64),
        "does not follow",
    ),
    "nothing generated again": (lambda p: p["repeats"].clear(), "does not follow"),
    "no second time asked for": (lambda p: p["session"].update(recheck=0), "generated a second time"),
    "a fatal incident": (
        lambda p: p["incidents"].append({"text": "worker gw0 went down", "taskId": None, "fatal": True}),
        "does not follow",
    ),
    "partial": (lambda p: p["session"].update(partial=True), "does not follow"),
    "passed without a sandbox": (lambda p: p["evidence"][0].update(level=""), "without a level"),
    "passed at too weak a level": (
        lambda p: (p["session"].update(sandboxLevel="full"), p["evidence"][0].update(level="preloaded")),
        "passed at level preloaded, but full was required",
    ),
    "the runtime loaded another pack": (
        lambda p: p["runtime"].update(pack_sha256="0" * 64),
        "runtime's pack_sha256",
    ),
    "another numerics": (lambda p: p["runtime"].update(numerics="fast/1"), "runtime's numerics"),
    "more tokens than allowed": (lambda p: p["evidence"][2].update(tokens=9), "of 8 allowed"),
    "production's tokens, but another text": (
        lambda p: p["evidence"][0].update(textSha256="0" * 64),
        "contradicts itself",
    ),
    "parts from itself": (
        lambda p: p["evidence"][0].update(parting={"index": 0, "production": 1, "candidate": 2}),
        "contradicts itself",
    ),
    "does not say where it parts": (lambda p: p["evidence"][2].update(parting=None), "is missing"),
    "parts where production has another token": (
        lambda p: p["evidence"][2]["parting"].update(production=1),
        "cannot part in that place",
    ),
    "a margin without a token": (
        lambda p: p["evidence"][0].update(partingMarginMicro=5),
        "margin where it parts",
    ),
    "a margin below the smallest": (
        lambda p: p["evidence"][2].update(partingMarginMicro=1, smallestMarginMicro=2),
        "below the smallest",
    ),
    "no smallest margin": (lambda p: p["evidence"][0].update(smallestMarginMicro=None), "number of tokens"),
    "a negative margin": (lambda p: p["evidence"][0].update(smallestMarginMicro=-1), "millionths or null"),
    "another configuration": (lambda p: p["gateConfig"].update(sha256="0" * 64), "gateConfig"),
    "another parent's scale": (
        lambda p: p["candidate"]["source"].update(scale="0.5"),
        "candidate.source.scale",
    ),
    "other tokens called the same": (lambda p: p["tasks"][2].update(sameTokens=True), "sameTokens"),
    "finished before it started": (
        lambda p: p["session"].update(finishedOn="2020-01-01T00:00:00Z"),
        "session.finishedOn",
    ),
    "no such day": (lambda p: p["session"].update(startedOn="2020-02-30T00:00:00Z"), "session.startedOn"),
    "a claim is missing": (lambda p: p["nonClaims"].pop(), "predicate.nonClaims"),
    "a name that steers a terminal": (lambda p: p["session"].update(candidateName="\x1b[2J"), "printable"),
}


@pytest.mark.parametrize("case", INCONSISTENT)
def test_inconsistent_although_signed_again(office: Office, case: str) -> None:
    change, words = INCONSISTENT[case]
    changed = statements(office.receipt(signer=office.key))
    changed[GATE] = edited(changed[GATE], (), in_gate(change))
    told = refusal(office, sealed(linked(changed), office.key), key=office.public)
    assert words in told
    assert told.isprintable()


def test_what_cannot_be_checked_is_the_users_matter(office: Office, tmp_path: Path) -> None:
    from pytest_anchorgate.receipt.verify import verify_receipt

    receipt, pack, anchors = tmp_path / "r", office.house.pack("gains"), office.house.anchors
    with pytest.raises(ReceiptUnusable, match="the receipt cannot be read: No such file"):
        verify_receipt(receipt, pack, anchors=anchors)
    receipt.write_bytes(office.receipt())
    for arguments, words in (
        ({"baseline": tmp_path / "none"}, "no baseline at"),
        ({"anchors": tmp_path / "none"}, "does not exist"),
        ({"key": tmp_path / "none"}, "the key cannot be read"),
        ({"key": office.root / "key"}, "a private key"),
        ({"key": receipt}, "not an ed25519 public key"),
        ({"require_signature": True}, "no key to check it with"),
        ({"pack": tmp_path / "none"}, "the pack cannot be read"),
        ({"pack": tmp_path}, "the pack cannot be read"),
    ):
        with pytest.raises(ReceiptUnusable, match=words):
            verify_receipt(receipt, **{"pack": pack, "anchors": anchors, **arguments})


def test_a_renamed_pack_is_the_same_pack(office: Office, tmp_path: Path) -> None:
    from pytest_anchorgate.receipt.verify import verify_receipt

    (tmp_path / "renamed").write_bytes(office.house.pack("gains").read_bytes())
    (tmp_path / "r").write_bytes(office.receipt())
    assert (
        verify_receipt(tmp_path / "r", tmp_path / "renamed", anchors=office.house.anchors).facts.name
        == "gains.planck"
    )


def test_lineage_is_told_from_pack_and_baseline(office: Office) -> None:
    assert statements(office.receipt("production"))[GATE]["predicate"]["lineage"] == "production itself"
    assert statements(office.receipt("gains"))[GATE]["predicate"]["lineage"] == "not stated"
    from pytest_anchorgate.receipt.statement import decide_again
    from pytest_anchorgate.receipt.statement import statements as written

    verified = office.verify(office.receipt())
    for parent, lineage in (
        (verified.world.baseline.pack.sha256, "child of production"),
        ("0" * 64, "child of another pack"),
    ):
        world = dataclasses.replace(
            verified.world, pack=dataclasses.replace(verified.world.pack, parent=parent)
        )
        again = decide_again(verified.facts, world)
        assert again.outcome is Outcome.PASS
        predicate = json.loads(written(verified.facts, world, again)[GATE])["predicate"]
        assert (predicate["lineage"], predicate["candidate"]["parent"]) == (lineage, parent)


def test_the_default_baseline_stands_beside_the_anchors(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(office.house.root)
    verified = office.verify(office.receipt(), anchors=None)
    assert verified.world.baseline == read_baseline(office.house.anchors.with_name("baseline.json"))
