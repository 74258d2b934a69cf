from __future__ import annotations

from pathlib import Path

import pytest
from registry_house import World, build_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build_world(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"
