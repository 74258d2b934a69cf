"""The log of a run: JSON, one record a line, each on the disk before the next begins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.strict_json import Malformed, loads


class Logbook:
    """Appends records to a file.

    Args:
        path: the file, made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, event: str, **values: Any) -> None:
        """Appends a record {"event": event, ...}. Raises OSError if it cannot be written."""
        line = json.dumps({"event": event, **values}, ensure_ascii=False, allow_nan=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def records(self) -> list[dict[str, Any]]:
        """All complete records; a last line that an interruption cut off is left out."""
        return list(self._read()) if self._path.exists() else []

    def clear(self) -> None:
        """Forgets everything: a run that was interrupted before its first checkpoint begins again."""
        self._path.unlink(missing_ok=True)

    def rewind(self, step: int) -> None:
        """Takes back what was logged after `step` steps, so that a resumed run's log has every step once."""
        kept = [
            record for record in self.records() if record.get("step", 0) <= step and record["event"] != "end"
        ]
        with writing_beside(self._path) as file:
            for record in kept:
                file.write((json.dumps(record, ensure_ascii=False) + "\n").encode())

    def _read(self) -> Iterator[dict[str, Any]]:
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = loads(line)
            except Malformed:
                return
            if not isinstance(record, dict) or not isinstance(record.get("event"), str):
                return
            yield record
