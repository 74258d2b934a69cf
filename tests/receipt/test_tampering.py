"""Any single field or byte of a receipt changed: it does not verify."""

from __future__ import annotations

import base64
import json
import random
import re

import pytest
from receipt_house import (
    Office,
    containers,
    edited,
    leaves,
    linked,
    others,
    sealed,
    shown,
    statements,
    with_old_signatures,
)

from pytest_anchorgate.receipt.errors import ReceiptError, ReceiptUnusable

# What a receipt states on its own account: pack, baseline and anchors do not determine it. Who holds a trusted
# key can state it differently; without that key the signature, or the link between the two lines, breaks.
STATED = [
    r"session\.candidateName",
    r"session\.(startedOn|finishedOn)",
    r"session\.(sandboxLevel|recheck)",
    r"harness\.\w+",
    r"runtime\.(isa|layout|threads|parameters|vocab_size|max_positions|runtime_sha256)",
    r"previousReceipt",
    r"evidence\.\*\.(worker|reason|milliseconds|finishReason|level)",
    r"evidence\.\*\.(tokens|tokensSha256|textSha256)",  # where they are not production's
    r"evidence\.\*\.parting\.(index|candidate)",
    r"evidence\.\*\.(smallestMarginMicro|partingMarginMicro)",
    r"repeats\.\*\.tokens",
]


def must_fail(office: Office, receipt: bytes, what: str, **more: object) -> None:
    said = None
    try:
        office.verify(receipt, **more)
    except ReceiptError as error:
        said = error
    assert said is not None, f"verifies although changed: {what}"
    assert "\n" not in str(said)
    assert not isinstance(said, ReceiptUnusable)


@pytest.fixture(params=["unsigned", "signed"])
def signed(request: pytest.FixtureRequest) -> bool:
    return request.param == "signed"


def test_untouched_receipts_verify(office: Office, signed: bool) -> None:
    receipt = office.receipt(signer=office.key if signed else None)
    assert office.verify(receipt).key_id == (office.key.key_id if signed else None)
    if signed:
        assert office.verify(receipt, key=office.public, require_signature=True).trusted


def test_every_leaf_of_both_statements(office: Office, signed: bool) -> None:
    receipt = office.receipt(signer=office.key if signed else None)
    original = statements(receipt)
    assert with_old_signatures(original, receipt) == receipt
    changes = 0
    for line, statement in enumerate(original):
        for place, value in leaves(statement):
            for other in others(value)[: 1 if signed else 3]:
                changed = [*original]
                changed[line] = edited(statement, place, lambda _, other=other: other)
                where = f"line {line + 1}, {shown(place)}: {other!r}"
                must_fail(office, with_old_signatures(changed, receipt), where)
                changes += 1
    assert changes > (180 if signed else 550)


def test_every_key_and_entry_missing_added_twice_or_out_of_order(office: Office) -> None:
    receipt = office.receipt()
    original = statements(receipt)
    for line, statement in enumerate(original):
        for place, container in containers(statement):
            edits = []
            if isinstance(container, dict):
                for key in container:
                    edits.append(lambda d, key=key: {k: v for k, v in d.items() if k != key})
                edits.append(lambda d: {**d, "surplus": 1})
            else:
                for i in range(len(container)):
                    edits.append(lambda entries, i=i: entries[:i] + entries[i + 1 :])
                    edits.append(lambda entries, i=i: [*entries, entries[i]])
                if len(container) > 1:
                    edits.append(lambda entries: entries[::-1])
                edits.append(lambda entries: [*entries, {}])
            for edit in edits:
                changed = [*original]
                changed[line] = edited(statement, place, edit)
                must_fail(office, with_old_signatures(changed, receipt), f"line {line + 1}, {shown(place)}")


def test_every_leaf_of_the_envelopes(office: Office) -> None:
    receipt = office.receipt(signer=office.key)
    envelopes = [json.loads(line) for line in receipt.splitlines()]
    for place, value in leaves(envelopes):
        for other in others(value):
            changed = edited(envelopes, place, lambda _, other=other: other)
            lines = (json.dumps(e, sort_keys=True, separators=(",", ":")) + "\n" for e in changed)
            must_fail(office, "".join(lines).encode(), f"{shown(place)}: {other!r:.60}")


def test_bytes_changed_removed_added_or_cut_off(office: Office, signed: bool) -> None:
    receipt = office.receipt(signer=office.key if signed else None)
    chance = random.Random(20261122)
    places = [*chance.sample(range(len(receipt)), 100), 0, len(receipt) - 1]
    for at in places:
        bit = bytes([receipt[at] ^ (1 << chance.randrange(8))])
        letter = bytes([chance.choice(b"ABCDEFxyz0189+/=\n {}\"'")])
        for name, changed in {
            "flipped": receipt[:at] + bit + receipt[at + 1 :],
            "replaced": receipt[:at] + letter + receipt[at + 1 :],
            "removed": receipt[:at] + receipt[at + 1 :],
            "added": receipt[:at] + letter + receipt[at:],
            "cut off": receipt[:at],
        }.items():
            if changed != receipt:
                must_fail(office, changed, f"byte {at} {name}")


def test_other_spellings_of_the_same_values(office: Office) -> None:
    receipt = office.receipt(signer=office.key)
    first, second = receipt.splitlines()
    loose = json.dumps(json.loads(first)).encode()
    for name, changed in {
        "no line feed at the end": receipt[:-1],
        "an empty line": receipt + b"\n",
        "lines swapped": second + b"\n" + first + b"\n",
        "the first alone": first + b"\n",
        "the second alone": second + b"\n",
        "a line twice": receipt + second + b"\n",
        "spaces": loose + b"\n" + second + b"\n",
        "carriage returns": receipt.replace(b"\n", b"\r\n"),
        "a byte order mark": b"\xef\xbb\xbf" + receipt,
        "nothing": b"",
        "nesting": b"[" * 100_000 + b"\n" + second + b"\n",
    }.items():
        must_fail(office, changed, name)


def test_payloads_in_another_spelling(office: Office) -> None:
    receipt = office.receipt()
    for line in (0, 1):
        lines = [json.loads(text) for text in receipt.splitlines()]
        payload = base64.b64decode(lines[line]["payload"])
        for spelled in (payload + b" ", json.dumps(json.loads(payload), indent=1).encode()):
            lines[line]["payload"] = base64.b64encode(spelled).decode()
            text = "".join(json.dumps(e, sort_keys=True, separators=(",", ":")) + "\n" for e in lines)
            must_fail(office, text.encode(), "spelling of a payload")


def test_a_careful_forger_with_the_key_changes_only_what_he_states_himself(office: Office) -> None:
    """Whatever follows from pack, baseline, anchors or evidence cannot be changed, not even by who signs."""
    original = statements(office.receipt(signer=office.key))
    stated = re.compile("|".join(STATED))
    believed = set()
    for line, statement in enumerate(original):
        for place, value in leaves(statement):
            for other in others(value)[:3]:
                changed = [*original]
                changed[line] = edited(statement, place, lambda _, other=other: other)
                changed = linked(changed)
                if changed == original:  # it was the link itself
                    continue
                try:
                    office.verify(sealed(changed, office.key), key=office.public)
                except ReceiptError:
                    continue
                believed.add(shown(place[1:] if place[0] == "predicate" else place))
    assert [place for place in sorted(believed) if not stated.fullmatch(place)] == []
    assert "harness.version" in believed  # so the forger's receipts are well made
