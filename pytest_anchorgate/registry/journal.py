"""The journal: one line for the begin and one for the end of each operation, synced, each naming the last.

A line holds the sha256 of the line before it, so that an edit in the middle is seen. A command that is killed
leaves an operation without an end, or the first part of a line, which was never written as far as anyone
may know; recovery.py deals with both.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_anchorgate.packs.atomic import sync_folder
from pytest_anchorgate.registry.aliases import Aliases
from pytest_anchorgate.registry.errors import RegistryError
from pytest_anchorgate.strict_json import Malformed, demand, demand_object, demand_sha256, demand_text, loads

SCHEMA = 1
FILE = "journal.jsonl"
PROMOTE, REVERT = "promote", "revert"
DONE, TAKEN_BACK = "done", "taken back"
_BEGIN = "begin"
_FIRST = "0" * 64


class JournalUncertain(OSError):
    """A line may or may not have reached the disk: nothing more may be changed before it is read again."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an operation is about to do.

    Attributes:
        operation: PROMOTE or REVERT.
        before: the aliases as they are; `after`: as they shall be.
        name: file name of the pack that comes in.
        baseline, anchors: digests of the kept files that it has to hold.
        receipt: digest of the receipt that lets it in; None for a revert, which proves itself.
        signed_by: name of the key that signed that receipt, None if nobody did.
        reason: the user's words.
    """

    operation: str
    before: Aliases
    after: Aliases
    name: str
    baseline: str
    anchors: str
    receipt: str | None = None
    signed_by: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an operation ended.

    Attributes:
        how: DONE or TAKEN_BACK.
        receipt: digest of the receipt of its own gate; None where that wrote none.
        why: it was taken back.
    """

    how: str
    time: str
    receipt: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """A change, when it began, and how it ended; None while it is open."""

    change: Change
    time: str
    ending: Ending | None = None

    @property
    def done(self) -> bool:
        """Whether it took place."""
        return self.ending is not None and self.ending.how == DONE


class Journal:
    """The journal of one store, read once; only the holder of the lock may write."""

    def __init__(self, root: Path) -> None:
        """Reads it; a missing file is an empty journal.

        Raises:
            RegistryError: it was edited, or is of another release.
            OSError: it cannot be read.
        """
        self.path = root / FILE
        self._operations: list[Operation] = []
        self._head = _FIRST
        self._lines = 0
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            data = b""
        whole, _, torn = data.rpartition(b"\n")
        self._size = len(data) - len(torn)
        for line in whole.split(b"\n") if self._size else []:
            self._take(line)

    @property
    def operations(self) -> Sequence[Operation]:
        """Oldest first."""
        return self._operations

    @property
    def open(self) -> Operation | None:
        """The operation that has not ended."""
        last = self._operations[-1] if self._operations else None
        return last if last is not None and last.ending is None else None

    @property
    def settled(self) -> Aliases:
        """What the aliases have to be once nothing is open."""
        done = [operation for operation in self._operations if operation.done]
        return done[-1].change.after if done else Aliases()

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return self._lines

    def brought_in(self, digest: str | None, by: str | None = None) -> Operation | None:
        """The operation that last put this pack into production, of any kind or of the one named `by`."""
        if digest is None:
            return None
        done = (o for o in reversed(self._operations) if o.done and o.change.after.production == digest)
        return next((o for o in done if by in (None, o.change.operation)), None)

    def begin(self, change: Change) -> None:
        """Writes that an operation begins. Raises OSError; then it has not begun."""
        self._append({"event": _BEGIN, **asdict(change)})

    def done(self, receipt: str) -> None:
        """Writes that the open operation took place. Raises OSError; then it is still open."""
        self._append({"event": DONE, "receipt": receipt, "why": ""})

    def taken_back(self, why: str, receipt: str | None) -> None:
        """Writes that everything is as before the open operation. Raises OSError; then it is still open."""
        self._append({"event": TAKEN_BACK, "why": why, "receipt": receipt})

    def _append(self, fields: dict[str, Any]) -> None:
        record = {"schema": SCHEMA, "last": self._head, "time": _now(), **fields}
        line = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
        # Not O_APPEND: what a killed command left of its line is overwritten.
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._write(descriptor, line + b"\n")
        finally:
            os.close(descriptor)
        self._take(line)

    def _write(self, descriptor: int, line: bytes) -> None:
        try:
            os.ftruncate(descriptor, self._size)
            os.lseek(descriptor, self._size, os.SEEK_SET)
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
            if not self._size:
                sync_folder(self.path.parent)
        except OSError as error:
            try:
                os.ftruncate(descriptor, self._size)
                os.fsync(descriptor)
            except OSError:
                raise JournalUncertain(error.errno, error.strerror, str(self.path)) from None
            raise OSError(error.errno, error.strerror, str(self.path)) from None
        self._size += len(line)

    def _take(self, line: bytes) -> None:
        """Reads one line after the others."""
        where = f"{self.path}:{self._lines + 1}"
        try:
            record = loads(line.decode("utf-8"))
            demand(isinstance(record, dict), "the line", "an object")
            for key in ("schema", "last", "time", "event"):
                demand(key in record, "the line", f"complete, it lacks {key}")
            demand(record["schema"] == SCHEMA, "schema", f"{SCHEMA}, which this release reads")
            demand(record["last"] == self._head, "last", "the digest of the line before: the file was edited")
            self._follow(record)
        except (Malformed, UnicodeDecodeError) as error:
            raise RegistryError(f"{where}: {error}; restore the journal from a backup") from None
        self._lines += 1
        self._head = hashlib.sha256(line).hexdigest()

    def _follow(self, record: dict[str, Any]) -> None:
        common = ("schema", "last", "time", "event")
        time, event = demand_text(record, "time", "the line"), record["event"]
        if event == _BEGIN:
            demand(self.open is None, "event", "possible here: the operation before it has not ended")
            entry = demand_object(record, "the line", (*common, *Change.__dataclass_fields__))
            change = _change(entry)
            demand(change.before == self.settled, "before", "what the lines before it lead to")
            self._operations.append(Operation(change, time))
            return
        operation = self.open
        demand(operation is not None, "event", "possible here: nothing was begun")
        assert operation is not None
        demand(event in (DONE, TAKEN_BACK), "event", f"one of {_BEGIN}, {DONE}, {TAKEN_BACK}")
        entry = demand_object(record, "the line", (*common, "receipt", "why"))
        receipt = _optional_sha256(entry, "receipt", "the line")
        demand(event == TAKEN_BACK or receipt is not None, "receipt", "a sha256 in hex")
        ending = Ending(event, time, receipt, demand_text(entry, "why", "the line"))
        self._operations[-1] = Operation(operation.change, operation.time, ending)


def _change(entry: dict[str, Any]) -> Change:
    demand(entry["operation"] in (PROMOTE, REVERT), "operation", f"one of {PROMOTE}, {REVERT}")
    before, after = _aliases(entry, "before"), _aliases(entry, "after")
    demand(after.production is not None, "after.production", "a sha256 in hex")
    return Change(
        operation=entry["operation"],
        before=before,
        after=after,
        name=demand_text(entry, "name", "the line"),
        baseline=demand_sha256(entry, "baseline", "the line"),
        anchors=demand_sha256(entry, "anchors", "the line"),
        receipt=_optional_sha256(entry, "receipt", "the line"),
        signed_by=_optional_sha256(entry, "signed_by", "the line"),
        reason=demand_text(entry, "reason", "the line"),
    )


def _aliases(entry: dict[str, Any], key: str) -> Aliases:
    names = demand_object(entry[key], key, tuple(Aliases.__dataclass_fields__))
    return Aliases(**{name: _optional_sha256(names, name, key) for name in names})


def _optional_sha256(entry: dict[str, Any], key: str, where: str) -> str | None:
    return None if entry[key] is None else demand_sha256(entry, key, where)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
