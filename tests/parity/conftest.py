"""The two open organs, built once into the cache. Where they cannot be had (no network), the checks skip and say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.resolve import resolve_pack

ORGANS = ("smollm2-135m", "qwen2.5-coder-0.5b")
QWEN = "qwen2.5-coder-0.5b"


def organ_pack(name: str) -> Path:
    try:
        return resolve_pack(name, progress=False)
    except PackSourceError as error:
        pytest.skip(f"{name} cannot be had: {error}")


@pytest.fixture(scope="session", params=ORGANS)
def pack(request: pytest.FixtureRequest) -> Path:
    return organ_pack(request.param)


@pytest.fixture(scope="session")
def qwen_pack() -> Path:
    return organ_pack(QWEN)
