"""One command at a time in one store: the lock, and the state that an operation starts from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from filelock import FileLock, Timeout

from pytest_anchorgate.registry.aliases import PREVIOUS, PRODUCTION, Aliases, point, read_aliases
from pytest_anchorgate.registry.errors import RegistryBusy, RegistryError
from pytest_anchorgate.registry.journal import Journal, Operation
from pytest_anchorgate.registry.store import Store

LOCK = "lock"
INTERRUPTED = "the command was interrupted and did not come to an end"
_SHORT = 12


@dataclass(slots=True)
class House:
    """A store that this process alone may change.

    Attributes:
        recovered: what an earlier command left open and was taken back when the house was opened.
    """

    store: Store
    journal: Journal
    recovered: Operation | None = None


@contextlib.contextmanager
def opened(store: Store) -> Iterator[House]:
    """Locks the store, clears up after a command that was killed, and makes sure that nobody else changed it.

    Raises:
        RegistryBusy: another command has it.
        RegistryError: the journal was edited, or the aliases are not what it says.
        OSError: it cannot be written.
    """
    store.create()
    with locked(store):
        house = House(store, Journal(store.root))
        house.recovered = recover(house)
        require_agreement(store, house.journal)
        yield house


@contextlib.contextmanager
def locked(store: Store) -> Iterator[None]:
    """Holds the store's lock; the system lets go of it however the process ends.

    Raises:
        RegistryBusy: another command has it.
        OSError: it cannot be written.
    """
    lock = FileLock(store.root / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RegistryBusy(
            f"another anchorgate command is at work in {store.root}: try again when it is done"
        ) from None
    try:
        yield
    finally:
        lock.release()


def recover(house: House) -> Operation | None:
    """Takes back what a killed command left open; returns it. For the holder of the lock.

    Raises:
        OSError: it cannot be taken back; it is still open.
    """
    house.store.sweep()
    left = house.journal.open
    if left is not None:
        take_back(house, left.change.before, INTERRUPTED)
    return left


def take_back(house: House, before: Aliases, why: str, receipt: str | None = None) -> None:
    """Makes everything as it was before the open operation, and closes it.

    Raises:
        OSError: the next command will have to do it.
    """
    point(house.store.root, PRODUCTION, before.production)
    point(house.store.root, PREVIOUS, before.previous)
    house.journal.taken_back(why, receipt)


def require_agreement(store: Store, journal: Journal) -> None:
    """Raises RegistryError where an alias is not what the journal leads to."""
    expected, found = journal.settled, read_aliases(store.root)
    pairs = (
        (PRODUCTION, expected.production, found.production),
        (PREVIOUS, expected.previous, found.previous),
    )
    for name, told, seen in pairs:
        if told != seen:
            raise RegistryError(
                f"{store.root / name} was changed by other hands: it leads to {_short(seen)}, the journal "
                f"says {_short(told)}; {_mend(told)}"
            )


def _mend(digest: str | None) -> str:
    return "remove it" if digest is None else f"point it back to packs/sha256-{digest}.planck"


def _short(digest: str | None) -> str:
    return "nothing" if digest is None else digest[:_SHORT]
