"""The sweep's log: a header line that says what is swept, then one line a scale, each on the disk when it is done."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.packs.frame import canonical_json
from pytest_anchorgate.strict_json import Malformed, demand, demand_object, loads
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.sweep_choice import GROUPS, Point
from pytest_anchorgate.wire import is_token_ids

LOG = "sweep.jsonl"
_KEYS = ("scale", "identity", "sha256", "changed", "elements", "seconds", "held", "tokens", "failure")


@dataclass(slots=True)
class SweepLog:
    """The log of one folder; `points` by scale, without those that gave no answers, which are tried again."""

    path: Path
    points: dict[str, Point]

    @classmethod
    def open(cls, folder: Path, header: Mapping[str, Any]) -> SweepLog:
        """Reads the log, or begins one. A last line that was cut off by a crash or a full disk is dropped.

        Raises:
            SurgeryError: the log is of another parent, adapter or set of tasks, or is damaged.
            OSError: it cannot be read or written.
        """
        path = folder / LOG
        first = {"schema": 1, **header}
        data = path.read_bytes() if path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        if not whole:
            path.write_bytes(b"")
            log = cls(path, {})
            log._write(first)
            return log
        lines = [_parse(path, number, line) for number, line in enumerate(whole.splitlines(), start=1)]
        for key, value in first.items():
            if not isinstance(lines[0], dict) or lines[0].get(key) != value:
                raise SurgeryError(
                    f"{path}: the sweep in this folder has another {key.rstrip('s')}; name another folder, or remove it"
                )
        if whole != data:
            os.truncate(path, len(whole))
        points = [_point(path, number, line) for number, line in enumerate(lines[1:], start=2)]
        return cls(path, {point.scale: point for point in points if not point.failure})

    def append(self, point: Point) -> None:
        """Writes a point and waits until it is on the disk."""
        self.points[point.scale] = point
        record = {key: getattr(point, key) for key in _KEYS}
        self._write({**record, "tokens": {k: list(v) for k, v in sorted(point.tokens.items())}})

    def _write(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
        with self.path.open("ab") as file:
            file.write(line.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())


def tasks_digest(tasks: Mapping[str, Sequence[Anchor]]) -> str:
    """sha256 hex over what is asked in each group, whatever the order."""
    meaning = {
        group: sorted(hashlib.sha256(canonical_json(task.meaning())).hexdigest() for task in asked)
        for group, asked in tasks.items()
    }
    return hashlib.sha256(canonical_json(meaning)).hexdigest()


def _is_held(value: object) -> bool:
    return value is None or isinstance(value, bool)


def _parse(path: Path, number: int, line: bytes) -> Any:
    try:
        return loads(line.decode("utf-8"))
    except (Malformed, UnicodeDecodeError) as error:
        raise SurgeryError(f"{path}:{number}: damaged: {error}; remove the file to start again") from None


def _point(path: Path, number: int, value: Any) -> Point:
    try:
        record = demand_object(value, "the line", _KEYS)
        held = demand_object(record["held"], "held", GROUPS)
        for group in held.values():
            demand(
                isinstance(group, dict) and all(map(_is_held, group.values())), "held", "true, false or null"
            )
        tokens = record["tokens"]
        demand(
            isinstance(tokens, dict) and all(map(is_token_ids, tokens.values())),
            "tokens",
            "lists of token ids",
        )
        return Point(**{**record, "held": held, "tokens": {k: tuple(v) for k, v in tokens.items()}})
    except Malformed as error:
        raise SurgeryError(f"{path}:{number}: {error}; remove the file to start again") from None
