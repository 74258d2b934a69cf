"""Where the official task files are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def official_file(variable: str, name: str) -> Path:
    """An official data file: from the environment, or from shared/data beside the checkout. Skips without it."""
    given = os.environ.get(variable)
    path = Path(given) if given else Path(__file__).parents[3] / "shared" / "data" / name
    if not path.exists():
        pytest.skip(f"no official data at {path}; set {variable}")
    return path
