"""The ledger of attempts: JSON lines that are only ever added to, each with the digest of the one before.

A failed attempt is as much a finding as a good one, so nothing is ever taken out: a line that is changed, dropped or
put in later breaks the chain, and reading says where.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from pytest_anchorgate.packs.frame import canonical_json
from pytest_anchorgate.strict_json import Malformed, loads
from pytest_anchorgate.surgery.errors import SurgeryError

FIRST = "0" * 64
MEASURED, PUBLISHED = "measured", "published in the report, not ours"
_KEYS = ("number", "previous", "origin", "attempt")
_TEXTS = ("name", "status")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One line of a ledger.

    Attributes:
        number: counted from 1.
        previous: sha256 hex of the line before, zeros for the first.
        origin: `MEASURED` or `PUBLISHED`.
        attempt: the record itself; what is not known is absent.
        digest: sha256 hex of this line.
    """

    number: int
    previous: str
    origin: str
    attempt: Mapping[str, Any]
    digest: str

    @property
    def name(self) -> str:
        """The attempt's name."""
        return str(self.attempt["name"])

    @property
    def seed(self) -> int | None:
        """Its seed, if it has one."""
        return self.attempt.get("seed")


@dataclass(frozen=True, slots=True)
class Ledger:
    """All attempts of a file.

    Attributes:
        torn: bytes behind the last whole line, which an interrupted write left; b"" if there are none.
    """

    path: Path
    attempts: tuple[Attempt, ...]
    torn: bytes = b""

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self.attempts)

    def __len__(self) -> int:
        return len(self.attempts)

    @property
    def head(self) -> str:
        """The digest that the next line has to name; writing it down elsewhere pins the whole ledger."""
        return self.attempts[-1].digest if self.attempts else FIRST

    def find(self, name: str, seed: int | None) -> Attempt | None:
        """The last attempt of this name and seed."""
        return next((one for one in reversed(self.attempts) if (one.name, one.seed) == (name, seed)), None)


def read_ledger(path: Path) -> Ledger:
    """Reads a ledger and checks its chain; a file that is not there is an empty one.

    Raises:
        SurgeryError: one line `file:line: ...` where the chain breaks.
        OSError: the file cannot be read.
    """
    data = path.read_bytes() if path.exists() else b""
    *lines, torn = data.split(b"\n")
    attempts: list[Attempt] = []
    previous = FIRST
    for number, line in enumerate(lines, start=1):
        try:
            attempts.append(_attempt(line, number, previous))
        except Malformed as problem:
            raise SurgeryError(
                f"{path}:{number}: {problem}: the ledger was edited; restore it from version control"
            ) from None
        previous = attempts[-1].digest
    return Ledger(path, tuple(attempts), torn)


def append(path: Path, attempt: Mapping[str, Any], origin: str = MEASURED) -> Attempt:
    """Adds an attempt and has it on the disk before returning. Several processes may add to one ledger.

    Raises:
        SurgeryError: the ledger is torn or edited, or the attempt lacks what every attempt has.
        OSError: it cannot be written; the ledger is as it was.
    """
    _check(attempt, origin)
    with FileLock(path.with_name(path.name + ".lock")):
        ledger = read_ledger(path)
        if ledger.torn:
            raise SurgeryError(
                f"{path}:{len(ledger) + 1}: the last line is torn: a write was interrupted; "
                "look at it, then move it aside with `anchorgate surgery attempts verify --repair`"
            )
        entry = {"number": len(ledger) + 1, "previous": ledger.head, "origin": origin, "attempt": attempt}
        line = canonical_json(entry)
        _write_at_end(path, line + b"\n")
    return _attempt(line, len(ledger) + 1, ledger.head)


def repair(path: Path) -> Path | None:
    """Moves a torn last line into a file of its own, whose path is returned; None if there is none.

    Raises:
        SurgeryError, OSError: as `read_ledger`.
    """
    with FileLock(path.with_name(path.name + ".lock")):
        ledger = read_ledger(path)
        if not ledger.torn:
            return None
        aside = path.with_name(f"{path.name}.torn-{secrets.token_hex(4)}")
        aside.write_bytes(ledger.torn)
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - len(ledger.torn))
            os.fsync(file.fileno())
    return aside


def _write_at_end(path: Path, data: bytes) -> None:
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except OSError:
            # Half a line of a full disk would look like an interrupted write.
            os.ftruncate(file.fileno(), size)
            raise


def _attempt(line: bytes, number: int, previous: str) -> Attempt:
    try:
        value = loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None
    if not isinstance(value, dict) or tuple(sorted(value)) != tuple(sorted(_KEYS)):
        raise Malformed("not a line of a ledger")
    if value["number"] != number or value["previous"] != previous:
        raise Malformed("the chain breaks here")
    if canonical_json(value) != line:
        raise Malformed("not in the form in which ledgers are written")
    return Attempt(number, previous, value["origin"], value["attempt"], hashlib.sha256(line).hexdigest())


def _check(attempt: Mapping[str, Any], origin: str) -> None:
    for key in _TEXTS:
        if not isinstance(attempt.get(key), str) or not attempt[key]:
            raise SurgeryError(f'the attempt lacks "{key}"; give it as a text')
    if origin not in (MEASURED, PUBLISHED):
        raise SurgeryError(f"the origin of an attempt is {MEASURED!r} or {PUBLISHED!r}")
