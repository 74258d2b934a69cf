"""The open organs and the recipes on them, built once into the cache. Where one cannot be had, a check skips."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.resolve import resolve_pack

QWEN = "qwen2.5-coder-0.5b"
ORGANS = ("smollm2-135m", QWEN)


@contextlib.contextmanager
def skipped_without(name: str) -> Iterator[None]:
    """Skips the test where the weights of this recipe cannot be had, as without a network."""
    try:
        yield
    except PackSourceError as error:
        pytest.skip(f"{name} cannot be had: {error}")


def organ_pack(name: str) -> Path:
    """The pack of a recipe."""
    with skipped_without(name):
        return resolve_pack(name, progress=False)
