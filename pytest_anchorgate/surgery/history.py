"""The attempts of the BD6 report, with its published figures: the first lines of a new ledger, marked as not ours."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from filelock import FileLock

from pytest_anchorgate.surgery.attempts import PUBLISHED, append, read_ledger


def published() -> list[dict[str, Any]]:
    """The report's attempts in their order."""
    text = (files("pytest_anchorgate.surgery") / "history.json").read_text(encoding="utf-8")
    attempts: list[dict[str, Any]] = json.loads(text)
    return attempts


def begin_ledger(path: Path) -> None:
    """Makes a new ledger that begins with the report's attempts; one that holds anything stays as it is.

    Raises:
        SurgeryError, OSError: as `read_ledger` and `append`.
    """
    with FileLock(path.with_name(path.name + ".begin.lock")):
        ledger = read_ledger(path)
        if len(ledger) or ledger.torn:
            return
        for attempt in published():
            append(path, attempt, PUBLISHED)
