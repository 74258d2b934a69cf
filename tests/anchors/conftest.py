"""Where the official data files are, on machines that have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _official(variable: str, name: str) -> Path:
    given = os.environ.get(variable)
    # A folder "shared/data" beside the checkout is the other place where a developer may keep them.
    path = Path(given) if given else Path(__file__).parents[3] / "shared" / "data" / name
    if not path.is_file():
        pytest.skip(f"the official file is not part of this project: set {variable} to your {name}")
    return path


@pytest.fixture(scope="session")
def humaneval_path() -> Path:
    return _official("ANCHORGATE_HUMANEVAL", "HumanEval.jsonl.gz")


@pytest.fixture(scope="session")
def mbpp_path() -> Path:
    return _official("ANCHORGATE_MBPP", "mbpp.jsonl")
