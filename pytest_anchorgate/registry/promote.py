"""Promotion: a pack whose receipt follows becomes production, if it passes there once more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_anchorgate.anchors import ANCHORS_FILE, MAX_FILE_BYTES, AnchorSet, parse_anchors, read_limited
from pytest_anchorgate.baseline import Baseline, no_longer_held, parse_baseline
from pytest_anchorgate.receipt.canonical import sha256_hex
from pytest_anchorgate.receipt.errors import ReceiptError
from pytest_anchorgate.receipt.verify import Verified, verify_receipt
from pytest_anchorgate.registry.aliases import Aliases
from pytest_anchorgate.registry.errors import RegistryError
from pytest_anchorgate.registry.house import House
from pytest_anchorgate.registry.journal import PROMOTE, Change
from pytest_anchorgate.registry.live import LiveGate
from pytest_anchorgate.registry.store import ANCHORS, BASELINES, PACKS, RECEIPTS
from pytest_anchorgate.registry.switch import switch
from pytest_anchorgate.wire import MAX_LINE, printable

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user wants in production, and on whose word; see `receipt.verify.verify_receipt`."""

    pack: Path
    receipt: Path
    baseline: Path | None = None
    anchors: Path | None = None
    key: Path | None = None
    require_signature: bool = False


def promote(house: House, wish: Wish, live: LiveGate, say: Say) -> Change | None:
    """Brings a pack into production.

    Returns:
        The change, whether or not it stayed (`house.journal.settled` tells); None if the pack is in production
        already.

    Raises:
        ReceiptError: the receipt does not prove that this pack passes with this baseline.
        RegistryError: the baseline asks for less than production was asked for, or the pack was replaced.
        OSError: the store cannot be written.
    """
    verified = verify_receipt(
        wish.receipt, wish.pack, wish.baseline, wish.anchors, wish.key, wish.require_signature
    )
    baseline, anchors, digest = verified.world.baseline, verified.world.anchors, verified.world.pack.sha256
    say(f"receipt {wish.receipt} follows: {wish.pack.name}, {_signed(verified)}")
    before = house.journal.settled
    if before.production == digest:
        house.store.keep_file(PACKS, wish.pack, digest)  # in case it was damaged there
        return None
    _require_no_less(house, baseline)
    change = Change(
        operation=PROMOTE,
        before=before,
        after=Aliases(production=digest, previous=before.production),
        name=printable(wish.pack.name, MAX_LINE),
        baseline=house.store.keep_bytes(BASELINES, baseline.to_text().encode()),
        anchors=_keep_anchors(house, anchors),
        receipt=_keep_receipt(house, verified),
        signed_by=verified.key_id,
    )
    house.store.keep_file(PACKS, wish.pack, digest)
    say(f"stored as {house.store.path(PACKS, digest)}")
    say("switched; gating it in the live place")
    tokens = {piece.task_id: piece.tokens_sha256 for piece in verified.facts.pieces}
    switch(
        house,
        change,
        lambda: live.prove(house.store, change, anchors, baseline, tokens=tokens, previous=verified.sha256),
    )
    return change


def _signed(verified: Verified) -> str:
    if verified.key_id is None:
        return "unsigned"
    whose = "the named key" if verified.trusted else "a key that was not asked for,"
    return f"signed by {whose} {verified.key_id[:12]}"


def _require_no_less(house: House, baseline: Baseline) -> None:
    """The ratchet: a baseline that protects less than the one production came in by needs its reasons.

    Otherwise an emptied anchor set, or a baseline recorded on a weak pack, would let anything in.
    """
    brought = house.journal.brought_in(house.journal.settled.production)
    if brought is None:
        return
    data = house.store.read(BASELINES, brought.change.baseline)
    before = parse_baseline(data.decode("utf-8"), str(house.store.path(BASELINES, brought.change.baseline)))
    explained = {dropped.task_id for dropped in baseline.dropped}
    missing = [task_id for task_id in no_longer_held(before, baseline) if task_id not in explained]
    if missing:
        raise RegistryError(
            f"the baseline does not protect {', '.join(missing[:3])}{_more(missing[3:])}, which the pack in "
            "production had to hold; record it with `anchorgate record --reason TEXT` if they are to go"
        )


def _more(rest: list[str]) -> str:
    return f" and {len(rest)} more" if rest else ""


def _keep_anchors(house: House, anchors: AnchorSet) -> str:
    data = read_limited(anchors.path, MAX_FILE_BYTES, f"the {ANCHORS_FILE} itself")
    if parse_anchors(data, anchors.path).digest != anchors.digest:
        raise RegistryError(f"{anchors.path} changed while it was read: nothing was changed; try again")
    return house.store.keep_bytes(ANCHORS, data)


def _keep_receipt(house: House, verified: Verified) -> str:
    data = verified.path.read_bytes()
    if sha256_hex(data) != verified.sha256:
        raise ReceiptError(f"{verified.path} changed while it was read: nothing was changed; try again")
    return house.store.keep_bytes(RECEIPTS, data)
