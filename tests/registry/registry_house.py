"""A store to promote into, and receipts to promote with: real packs, engine, sandbox and receipts."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from gate_house import House, build_house

from pytest_anchorgate.anchors import read_anchors
from pytest_anchorgate.baseline import read_baseline
from pytest_anchorgate.cli import main
from pytest_anchorgate.progress import Quiet
from pytest_anchorgate.receipt.from_gate import now
from pytest_anchorgate.receipt.keys import PrivateKey
from pytest_anchorgate.regate import Limits, Question, regate
from pytest_anchorgate.registry.live import receipt_of_regated

LIMITS = Limits(timeout=60.0, threads=1)
OLD, NEW, OTHER = "production", "solves-all", "gains"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_receipt(house: House, pack: Path, target: Path, *, signer: PrivateKey | None = None) -> Path:
    """What `pytest --pack=PACK --anchorgate-receipt=TARGET` writes, passing or not."""
    started = now()
    anchors, baseline = read_anchors(house.anchors), read_baseline(house.anchors.with_name("baseline.json"))
    seen = regate(Question(pack, "", pack.name, digest(pack), anchors, baseline), LIMITS, Quiet())
    receipt = receipt_of_regated(seen, started, target.parent, signer=signer)
    assert receipt is not None
    target.write_bytes(receipt)
    return target


@dataclass(frozen=True)
class World:
    """The house, a receipt for each of its packs, and stores in which one and two packs have been promoted."""

    house: House
    receipts: Mapping[str, Path]
    stores: Mapping[str, Path]

    def pack(self, name: str) -> Path:
        return self.house.pack(name)

    def sha256(self, name: str) -> str:
        return digest(self.pack(name))

    def copy(self, name: str, target: Path) -> Path:
        """A store of its own: "none", "one" (OLD in production) or "two" (NEW in production, OLD before)."""
        if name != "none":
            shutil.copytree(self.stores[name], target, symlinks=True)
        return target

    def arguments(self, name: str, *more: str) -> list[str]:
        return [
            *("promote", str(self.pack(name)), "--receipt", str(self.receipts[name])),
            *("--anchors", str(self.house.anchors.parent), "--threads", "1", *more),
        ]

    def promote(self, store: Path, name: str, *more: str) -> Result:
        return command(store, *self.arguments(name, *more))


def build_world(root: Path) -> World:
    house = build_house(root / "house") if not (root / "house").mkdir() else None
    assert house is not None
    receipts = {
        name: make_receipt(house, house.pack(name), root / f"{name}.jsonl")
        for name in (OLD, NEW, OTHER, "loses")
    }
    world = World(house, receipts, {"one": root / "one", "two": root / "two"})
    for store, names in {"one": (OLD,), "two": (OLD, NEW)}.items():
        for name in names:
            result = world.promote(root / store, name)
            assert result.exit_code == 0, result.output
    return world


def command(store: Path, *args: str) -> Result:
    return CliRunner().invoke(main, [*args, "--store", str(store)], catch_exceptions=False)


def status(store: Path, *, exit_code: int = 0) -> dict[str, Any]:
    result = command(store, "status", "--json")
    assert result.exit_code == exit_code, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def events(store: Path) -> list[str]:
    """What each complete line of the journal tells, read without the package under test."""
    path = store / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line)["event"] for line in lines]


def alias(store: Path, name: str) -> str | None:
    """The digest that an alias names, read without the package under test."""
    link = store / name
    if not link.is_symlink():
        assert not link.exists()
        return None
    folder, file = str(link.readlink()).split("/")
    assert folder == "packs"
    return file.removeprefix("sha256-").removesuffix(".planck")
