"""What is in production, since when, on whose receipt, and what came before: read from the disk, not believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pytest_anchorgate.registry.aliases import PREVIOUS, PRODUCTION, Aliases, read_aliases
from pytest_anchorgate.registry.errors import RegistryBusy, RegistryError
from pytest_anchorgate.registry.house import LOCK, House, locked, recover, require_agreement
from pytest_anchorgate.registry.journal import PROMOTE, Journal, Operation
from pytest_anchorgate.registry.store import PACKS, RECEIPTS, Store

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """A pack behind an alias.

    Attributes:
        sha256: of its bytes, by its name in the store.
        whole: whether it is there and its bytes have that digest.
        brought: the operation that last put it into production; None if the journal does not know.
        promoted: the promotion that let it in, on a receipt; the same unless `brought` is a revert.
    """

    sha256: str
    whole: bool
    brought: Operation | None
    promoted: Operation | None


@dataclass(slots=True)
class Status:
    """All that can be said about a store.

    Attributes:
        open: an operation without an end: that of a command at work, or one that could not be taken back.
        busy: whether a command is at work.
        recovered: what was open and has just been taken back.
        lines: of the journal; None if it cannot be read.
        problems: one line each; without any, everything is as it should be.
    """

    store: Store
    production: Standing | None = None
    previous: Standing | None = None
    open: Operation | None = None
    busy: bool = False
    recovered: Operation | None = None
    lines: int | None = None
    problems: list[str] = field(default_factory=list)


def look(store: Store) -> Status:
    """Finds out, and takes back what a killed command left open. Never raises for the state of the store."""
    status = Status(store)
    refusal = ""
    if not (store.root / LOCK).exists():  # nothing to take back, and a look leaves no trace
        _read(status)
        return status
    try:
        with locked(store):
            status.recovered = recover(House(store, Journal(store.root)))
    except RegistryBusy:
        status.busy = True
    except RegistryError:
        pass  # told when the journal is read below
    except OSError as error:
        # A place from which the store can only be read is a good place to look from, unless there is work to do.
        refusal = error.strerror or str(error)
    _read(status)
    if status.open is not None and refusal:
        status.problems.append(f"the open {status.open.change.operation} cannot be taken back: {refusal}")
    return status


def _read(status: Status) -> None:
    store, journal = status.store, None
    try:
        journal = Journal(store.root)
        status.lines, status.open = journal.lines, journal.open
        aliases = read_aliases(store.root)
        if status.open is None:
            require_agreement(store, journal)
    except RegistryError as error:
        status.problems.append(str(error))
        aliases = _readable_aliases(store)
    except OSError as error:
        status.problems.append(f"{store.root} cannot be read: {error.strerror or error}")
        return
    status.production = _standing(status, PRODUCTION, aliases.production, journal)
    status.previous = _standing(status, PREVIOUS, aliases.previous, journal)


def _readable_aliases(store: Store) -> Aliases:
    try:
        return read_aliases(store.root)
    except (RegistryError, OSError):
        return Aliases()


def _standing(status: Status, name: str, digest: str | None, journal: Journal | None) -> Standing | None:
    if digest is None:
        return None
    whole = True
    try:
        status.store.check(PACKS, digest)
    except RegistryError as error:
        whole = False
        status.problems.append(f"{name}: {error}")
    if journal is None:
        return Standing(digest, whole, None, None)
    return Standing(digest, whole, journal.brought_in(digest), journal.brought_in(digest, PROMOTE))


def to_json(status: Status) -> dict[str, Any]:
    """Plain data; the same keys whatever there is."""
    store = status.store
    return {
        "schema": SCHEMA,
        "store": str(store.root),
        "store_named_by": store.origin,
        "production": _pack_to_json(store, PRODUCTION, status.production),
        "previous": _pack_to_json(store, PREVIOUS, status.previous),
        "journal": {
            "lines": status.lines,
            "open": _operation_to_json(status.open),
            "taken_back_now": _operation_to_json(status.recovered),
        },
        "busy": status.busy,
        "problems": list(status.problems),
    }


def _pack_to_json(store: Store, alias: str, standing: Standing | None) -> dict[str, Any] | None:
    if standing is None:
        return None
    brought, promoted = standing.brought, standing.promoted
    receipt = promoted.change.receipt if promoted else None
    in_place = brought.ending.receipt if brought and brought.ending else None
    return {
        "alias": str(store.root / alias),
        "path": str(store.path(PACKS, standing.sha256)),
        "sha256": standing.sha256,
        "whole": standing.whole,
        "name": brought.change.name if brought else None,
        "by": brought.change.operation if brought else None,
        "reason": brought.change.reason if brought else None,
        "since": brought.ending.time if brought and brought.ending else None,
        "receipt": str(store.path(RECEIPTS, receipt)) if receipt else None,
        "receipt_signed_by": promoted.change.signed_by if promoted else None,
        "receipt_of_gate_in_place": str(store.path(RECEIPTS, in_place)) if in_place else None,
        "baseline": brought.change.baseline if brought else None,
        "anchors": brought.change.anchors if brought else None,
    }


def _operation_to_json(operation: Operation | None) -> dict[str, Any] | None:
    if operation is None:
        return None
    change = operation.change
    return {
        "operation": change.operation,
        "name": change.name,
        "begun": operation.time,
        "from": change.before.production,
        "to": change.after.production,
    }
