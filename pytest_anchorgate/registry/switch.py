"""The one way in which a pack comes into production: begin, point the aliases, prove it there, end.

Every step is on disk before the next begins, and each leaves production naming a whole pack: the old one or
the new one. If anything fails or stops on the way, everything is taken back, by this command or by the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_anchorgate.registry.aliases import PREVIOUS, PRODUCTION, point
from pytest_anchorgate.registry.errors import RegistryError
from pytest_anchorgate.registry.house import House, take_back
from pytest_anchorgate.registry.journal import Change, Journal, JournalUncertain
from pytest_anchorgate.registry.store import RECEIPTS
from pytest_anchorgate.wire import MAX_LINE, printable


@dataclass(frozen=True, slots=True)
class Proof:
    """What gating in the live place gave.

    Attributes:
        passed: whether the pack may stay.
        why: if it may not.
        receipt: the gate's own; None only where it found out nothing at all.
    """

    passed: bool
    why: str
    receipt: bytes | None


def switch(house: House, change: Change, prove: Callable[[], Proof]) -> str | None:
    """Carries out a change.

    Args:
        house: opened, with nothing open in its journal.
        change: what to do; its packs are in the store and whole.
        prove: gates what `production` leads to when it is called.

    Returns:
        Digest of the receipt of the proof. The change took place if `house.journal.settled` says so.

    Raises:
        RegistryError, OSError: it could not be carried out; taken back, or left open for the next command.
    """
    root = house.store.root
    house.journal.begin(change)
    receipt = None
    try:
        point(root, PREVIOUS, change.after.previous)
        point(root, PRODUCTION, change.after.production)
        proof = prove()
        if proof.receipt is not None:
            receipt = house.store.keep_bytes(RECEIPTS, proof.receipt)
        if proof.passed:
            if receipt is None:
                raise RegistryError("the gate in the live place passed without a receipt: taken back")
            house.journal.done(receipt)
            return receipt
        why = proof.why
    except JournalUncertain:
        raise  # whether it took place is for the next command to read
    except BaseException as error:
        _back_after(error, house, change)
        raise
    take_back(house, change.before, why, receipt)
    return receipt


def _back_after(error: BaseException, house: House, change: Change) -> None:
    # An interrupt may have come between a write and the note that it was done: what counts is on the disk.
    house.journal = Journal(house.store.root)
    if house.journal.open is not None:
        take_back(house, change.before, printable(f"{type(error).__name__}: {error}", MAX_LINE))
