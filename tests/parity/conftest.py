"""The packs that most checks here are about."""

from __future__ import annotations

from pathlib import Path

import pytest
from open_organs import ORGANS, QWEN, organ_pack


@pytest.fixture(scope="session", params=ORGANS)
def pack(request: pytest.FixtureRequest) -> Path:
    return organ_pack(request.param)


@pytest.fixture(scope="session")
def qwen_pack() -> Path:
    return organ_pack(QWEN)
