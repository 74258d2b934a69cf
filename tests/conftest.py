from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # `pytest --pack=...` in this checkout is a run of the gate, not of its tests.
    return True if config.getoption("anchorgate_pack", None) is not None else None
