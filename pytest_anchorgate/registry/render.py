"""A store's status as lines for people. Pure."""

from __future__ import annotations

from pytest_anchorgate.registry.aliases import PREVIOUS, PRODUCTION
from pytest_anchorgate.registry.journal import PROMOTE, Operation
from pytest_anchorgate.registry.status import Standing, Status
from pytest_anchorgate.registry.store import PACKS, RECEIPTS, Store
from pytest_anchorgate.wire import MAX_LINE, printable

_NOUN = {PROMOTE: "promotion"}


def render_status(status: Status) -> list[str]:
    """What is in production, what came before, and the state of the journal."""
    store = status.store
    lines = [f"store       {store.root} ({_origin(store)})"]
    if status.recovered is not None:
        lines.append(render_recovered(status.recovered))
    lines += _pack(store, PRODUCTION, status.production)
    lines += _pack(store, PREVIOUS, status.previous)
    lines.append(f"journal     {_journal(status)}")
    return [*lines, *(f"problem: {problem}" for problem in status.problems)]


def render_recovered(operation: Operation) -> str:
    """What a killed command had left."""
    what = f"{_noun(operation)} of {_text(operation.change.name)}, begun {operation.time}"
    return f"taken back: the {what}, was interrupted"


def _pack(store: Store, alias: str, standing: Standing | None) -> list[str]:
    if standing is None:
        return [f"{alias:10}  nothing"]
    damaged = "" if standing.whole else "  DAMAGED"
    brought = standing.brought
    if brought is None or brought.ending is None:
        return [f"{alias:10}  sha256 {standing.sha256}{damaged}"]
    change, ending = brought.change, brought.ending
    reason = f": {_text(change.reason)}" if change.reason else ""
    rows = [
        ("sha256", standing.sha256),
        ("since" if alias == PRODUCTION else "came in", f"{ending.time}, by {_noun(brought)}{reason}"),
        ("receipt", _receipt(store, standing.promoted)),
        ("in place", ending.receipt and store.path(RECEIPTS, ending.receipt)),
        ("file", store.path(PACKS, standing.sha256)),
    ]
    first = f"{alias:10}  {_text(change.name)}{damaged}"
    return [first, *(f"  {name:8}  {value}" for name, value in rows if value)]


def _receipt(store: Store, promoted: Operation | None) -> str:
    if promoted is None or promoted.change.receipt is None:
        return ""
    key = promoted.change.signed_by
    return f"{store.path(RECEIPTS, promoted.change.receipt)}, {f'signed by key {key[:12]}' if key else 'unsigned'}"


def _journal(status: Status) -> str:
    if status.lines is None:
        return "unreadable"
    lines = f"{status.lines} line{'' if status.lines == 1 else 's'}"
    if status.open is None:
        return f"{lines}, nothing open{', another command is at work' if status.busy else ''}"
    what = f"{_noun(status.open)} of {_text(status.open.change.name)}, begun {status.open.time}"
    return f"{lines}, open: {what}, {'at work' if status.busy else 'to be taken back'}"


def _noun(operation: Operation) -> str:
    return _NOUN.get(operation.change.operation, operation.change.operation)


def _origin(store: Store) -> str:
    return "the default place" if store.origin == "default" else f"named by {store.origin}"


def _text(text: str) -> str:
    return printable(text, MAX_LINE)
