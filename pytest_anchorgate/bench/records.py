"""The record of a run: a JSONL file that grows with each answer, and from which an interrupted run goes on.

The first line says what is measured: digests of pack, suite and settings. A record counts only under the header
that it was written under, so a file is never continued with another pack, other tasks or other rules. Records are
appended and synced before the next batch begins; a line that a crash cut off is dropped.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_anchorgate.bench.evaluate import TaskResult
from pytest_anchorgate.strict_json import (
    Malformed,
    demand,
    demand_object,
    demand_sha256,
    demand_text,
    loads,
    shortest_float32,
)
from pytest_anchorgate.wire import is_margins, is_token_ids

__all__ = ["Header", "Record", "RecordFile", "RecordsError", "digest_of", "read_records"]

SCHEMA = 1
_RECORD_KEYS = (
    *("task_id", "status", "reason", "finish_reason", "text", "token_ids", "least_margin"),
    *("level", "seconds", "pack_sha256"),
)
_STATUSES = ("passed", "failed", "timeout", "killed", "error", "refused")


class RecordsError(ValueError):
    """A record file that cannot be used or continued; its text is one line."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a record file is about.

    Attributes:
        pack_name: name of the pack's file, for people.
        pack_identity: digest of the logical content; `pack_sha256` of the file.
        suite_digest: digest of what is asked and what counts as right.
        tasks: how many there are.
        settings: everything else that can change a verdict.
    """

    pack_name: str
    pack_identity: str
    pack_sha256: str
    suite: str
    suite_digest: str
    tasks: int
    settings: Mapping[str, Any]

    @property
    def settings_digest(self) -> str:
        """sha256 hex over the canonical JSON of the settings."""
        return digest_of(self.settings)

    def to_json(self) -> dict[str, Any]:
        """As the first line of the file."""
        return {"schema": SCHEMA, **asdict(self), "settings_digest": self.settings_digest}

    def difference(self, other: Header) -> str:
        """What keeps records of `other` from counting here, in words; "" if nothing does."""
        for what, mine, theirs in (
            ("another pack", self.pack_sha256, other.pack_sha256),
            ("another suite", self.suite, other.suite),
            ("other tasks", self.suite_digest, other.suite_digest),
            ("other settings", self.settings_digest, other.settings_digest),
        ):
            if mine != theirs:
                return f"{what} ({theirs[:12]}, now {mine[:12]})"
        return ""


@dataclass(frozen=True, slots=True)
class Record:
    """One answer as it is kept; see `TaskResult`.

    Attributes:
        least_margin: the smallest lead of a chosen token over the next best, None without tokens.
    """

    task_id: str
    status: str
    reason: str
    finish_reason: str
    text: str
    token_ids: tuple[int, ...]
    least_margin: float | None
    level: str
    seconds: float
    pack_sha256: str

    @classmethod
    def of(cls, result: TaskResult) -> Record:
        """The record of a result."""
        least = shortest_float32(min(result.margins)) if result.margins else None
        values = {key: getattr(result, key) for key in _RECORD_KEYS if key != "least_margin"}
        return cls(**values, least_margin=least)

    @property
    def held(self) -> bool | None:
        """Whether the answer is right; None where that could not be found out."""
        return None if self.status in ("error", "refused") else self.status == "passed"


class RecordFile:
    """A record file that is being written; to be used as a context manager.

    Attributes:
        records: task id -> what is known about it; a later record of a task replaces an earlier one.
    """

    def __init__(self, path: Path, header: Header, *, resume: bool) -> None:
        """Begins a file, or goes on with one.

        Raises:
            RecordsError: it exists and `resume` is off, is about something else, is in use, or is damaged.
            OSError: it cannot be written.
        """
        self.path = path
        self.header = header
        self.records: dict[str, Record] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b", buffering=0)
        try:
            self._begin(resume)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, results: Iterable[TaskResult]) -> None:
        """Writes results down for good.

        Raises:
            RecordsError: a result comes from other bytes than the header names.
            OSError: the disk is full, or gone.
        """
        records = [Record.of(result) for result in results]
        for record in records:
            if record.pack_sha256 != self.header.pack_sha256:
                raise RecordsError(f"{self.header.pack_name} was replaced during the run; start again")
        self._write(asdict(record) for record in records)
        self.records.update((record.task_id, record) for record in records)

    def _begin(self, resume: bool) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordsError(f"{self.path}: another run writes to it; name another --output") from None
        if os.fstat(self._file.fileno()).st_size == 0:
            self._write([self.header.to_json()])
            return
        if not resume:
            raise RecordsError(
                f"{self.path}: exists already; give --resume to go on with it, or another --output"
            )
        header, self.records, kept = _read(self.path)
        if header is None:
            self._file.truncate(0)
            self._write([self.header.to_json()])
            return
        difference = self.header.difference(header)
        if difference:
            raise RecordsError(f"{self.path}: was written for {difference}; name another --output")
        self._file.truncate(kept)

    def _write(self, values: Iterable[Mapping[str, Any]]) -> None:
        data = "".join(_line(value) for value in values).encode()
        end = os.fstat(self._file.fileno()).st_size
        try:
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError:
            # What is half written would be dropped on resuming anyway; this leaves a file of whole lines.
            with contextlib.suppress(OSError):
                self._file.truncate(end)
            raise


def read_records(path: Path) -> tuple[Header, dict[str, Record]]:
    """Reads a record file.

    Raises:
        RecordsError: FILE:LINE, for one that is not what `RecordFile` writes.
        OSError: it cannot be read.
    """
    header, records, _ = _read(path)
    if header is None:
        raise RecordsError(f"{path}: holds no complete line; run the benchmark again with --resume")
    return header, records


def digest_of(value: Any) -> str:
    """The sha256 hex over the canonical JSON of a value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> tuple[Header | None, dict[str, Record], int]:
    """The header, the records, and how many bytes of the file are whole lines."""
    data = path.read_bytes()
    kept = data.rfind(b"\n") + 1
    header: Header | None = None
    records: dict[str, Record] = {}
    for number, line in enumerate(data[:kept].splitlines(), start=1):
        with _named(path, number):
            value = loads(line.decode("utf-8"))
            if number == 1:
                header = _header(value)
            else:
                record = _record(value)
                records[record.task_id] = record
    return header, records, kept


@contextlib.contextmanager
def _named(path: Path, number: int) -> Iterator[None]:
    try:
        yield
    except (Malformed, UnicodeDecodeError) as error:
        raise RecordsError(f"{path}:{number}: {error}; name another --output") from None


def _header(value: Any) -> Header:
    fields = tuple(Header.__dataclass_fields__)
    entry = demand_object(value, "the header", ("schema", *fields, "settings_digest"))
    demand(entry.pop("schema") == SCHEMA, "schema", f"{SCHEMA}, as this release writes it")
    for key in ("pack_name", "suite"):
        demand_text(entry, key, "the header")
    for key in ("pack_identity", "pack_sha256", "suite_digest", "settings_digest"):
        demand_sha256(entry, key, "the header")
    demand(type(entry["tasks"]) is int and entry["tasks"] > 0, "tasks", "a number of tasks")
    demand(isinstance(entry["settings"], dict), "settings", "an object")
    said = entry.pop("settings_digest")
    header = Header(**entry)
    demand(header.settings_digest == said, "settings_digest", "the digest of the settings")
    return header


def _record(value: Any) -> Record:
    entry = demand_object(value, "the record", _RECORD_KEYS)
    for key in ("task_id", "reason", "finish_reason", "text", "level"):
        demand_text(entry, key, "the record")
    demand(entry["status"] in _STATUSES, "status", f"one of {', '.join(_STATUSES)}")
    demand(is_token_ids(entry["token_ids"]), "token_ids", "a list of token ids")
    least = entry["least_margin"]
    demand(least is None or is_margins([least]), "least_margin", "a number or null")
    demand(is_margins([entry["seconds"]]), "seconds", "a number of seconds")
    demand_sha256(entry, "pack_sha256", "the record")
    return Record(**{**entry, "token_ids": tuple(entry["token_ids"])})


def _line(value: Mapping[str, Any]) -> str:
    # ASCII: a text may hold line ends that splitlines knows and JSON does not escape.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"
