"""Receipts of real sessions in the small house of tests/gate, and ways to tamper with them."""

from __future__ import annotations

import base64
import copy
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from gate_house import House

from pytest_anchorgate.evidence import observe
from pytest_anchorgate.gate import Gate, open_gate
from pytest_anchorgate.options import Settings
from pytest_anchorgate.progress import Quiet
from pytest_anchorgate.receipt.canonical import canonical, sha256_hex
from pytest_anchorgate.receipt.dsse import Envelope, seal
from pytest_anchorgate.receipt.from_gate import now, receipt_of
from pytest_anchorgate.receipt.harness import harness
from pytest_anchorgate.receipt.keys import PrivateKey, new_key_pair, read_private_key
from pytest_anchorgate.receipt.verify import Verified, verify_receipt
from pytest_anchorgate.repeats import Repeat
from pytest_anchorgate.verdict import Evidence, Outcome, decide

Statement = dict[str, Any]
Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Office:
    """Where receipts are written: a house, a key pair, and another one that nobody trusts."""

    house: House
    root: Path
    key: PrivateKey
    public: Path
    stranger: PrivateKey
    stranger_public: Path
    _gates: dict[str, tuple[Gate, list[Evidence], list[Repeat]]] = field(default_factory=dict)

    def receipt(self, pack: str = "gains", signer: PrivateKey | None = None, **more: Any) -> bytes:
        """The receipt of one session on this pack."""
        gate, evidence, repeats = self._session(pack)
        decision = decide(gate.manifest, gate.baseline.held, evidence, repeats=repeats)
        receipt = receipt_of(
            gate,
            evidence,
            [],
            decision,
            repeats=repeats,
            signer=signer,
            **{
                "exit_status": 0 if decision.outcome is Outcome.PASS else 1,
                "started_on": now(),
                "harness": harness(self.root),
                **more,
            },
        )
        assert receipt is not None
        return receipt

    def verify(self, receipt: bytes, pack: str = "gains", **more: Any) -> Verified:
        path = self.root / "receipt.jsonl"
        path.write_bytes(receipt)
        return verify_receipt(path, self.house.pack(pack), **{"anchors": self.house.anchors, **more})

    def _session(self, pack: str) -> tuple[Gate, list[Evidence], list[Repeat]]:
        if pack not in self._gates:
            settings = Settings(str(self.house.pack(pack)), self.house.anchors, None, 60.0, 1, False, None)
            gate = open_gate(settings, progress=False)
            gate.run_engine([anchor.task_id for anchor in gate.anchors], Quiet())
            seen = [observe(gate, anchor) for anchor in gate.anchors]
            repeats = [Repeat(o.task_id, o.pack_sha256, o.token_ids) for o in seen[:2]]
            self._gates[pack] = gate, [Evidence(o, "passed") for o in seen], repeats
        return self._gates[pack]


def hide_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes importing what signs and verifies fail, as where it is not installed."""
    for module in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "cryptography", None)


def open_office(house: House, root: Path) -> Office:
    public, _ = new_key_pair(root / "key")
    stranger_public, _ = new_key_pair(root / "stranger")
    key, stranger = read_private_key(root / "key"), read_private_key(root / "stranger")
    return Office(house, root, key, public, stranger, stranger_public)


def statements(receipt: bytes) -> list[Statement]:
    """The two statements: the test result, then the gate's own."""
    lines = receipt.splitlines()
    return [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in lines]


def sealed(changed: list[Statement], signer: PrivateKey | None = None) -> bytes:
    """A receipt of these statements, whatever they say."""
    return b"".join(seal(canonical(one), signer).to_line() + b"\n" for one in changed)


def with_old_signatures(changed: list[Statement], receipt: bytes) -> bytes:
    """A receipt of these statements, with the signatures of another one."""
    lines = receipt.splitlines()
    old = [Envelope.from_line(line, "line").signatures for line in lines]
    pairs = zip(changed, old, strict=True)
    return b"".join(Envelope(canonical(one), signed).to_line() + b"\n" for one, signed in pairs)


def linked(changed: list[Statement]) -> list[Statement]:
    """The same with the first statement naming the second by its present digest, as a careful forger would."""
    result = copy.deepcopy(changed)
    for entry in result[0]["predicate"]["configuration"]:
        if entry["name"] == "gate-receipt":
            entry["digest"] = {"sha256": sha256_hex(canonical(result[1]))}
    return result


def leaves(value: Any, place: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every value that is no container, and every empty container, with its place."""
    if isinstance(value, (dict, list)) and value:
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, entry in entries:
            yield from leaves(entry, (*place, key))
    else:
        yield place, value


def containers(value: Any, place: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every object and list with its place, the outermost too."""
    if isinstance(value, (dict, list)):
        yield place, value
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from containers(entry, (*place, key))


def edited(value: Any, place: Path_, edit: Callable[[Any], Any]) -> Any:
    """A copy in which what stands at `place` has been replaced."""
    if not place:
        return edit(copy.deepcopy(value))
    result = copy.deepcopy(value)
    parent = result
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = edit(parent[place[-1]])
    return result


def others(value: Any) -> list[Any]:
    """Values that could stand in the place of a leaf and are not it."""
    if isinstance(value, bool):
        return [not value, None, int(value)]
    if isinstance(value, int):
        return [value + 1, value - 1, str(value), None, bool(value)]
    if isinstance(value, str):
        swapped = ("0" if value[:1] != "0" else "1") + value[1:]
        texts = (swapped, value + " ", value.swapcase(), value[:-1], "")
        return [text for text in dict.fromkeys(texts) if text != value] + [None, 0, [value]]
    if value is None:
        return ["", 0, False, "0" * 64, []]
    return [None, "", 0, [""]] if value == [] else [None, "", 0]


def shown(place: Path_) -> str:
    return ".".join("*" if isinstance(key, int) else key for key in place)
