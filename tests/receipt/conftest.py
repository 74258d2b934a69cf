from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

# The house of tests/gate, with its fixtures; it is not a package, so pytest does not find it from here.
_GATE = Path(__file__).parents[1] / "gate"
sys.path.append(str(_GATE))
_spec = importlib.util.spec_from_file_location("gate_conftest", _GATE / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_gate_conftest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_gate_conftest)
house, gate, dist = _gate_conftest.house, _gate_conftest.gate, _gate_conftest.dist

from receipt_house import Office, open_office  # noqa: E402


@pytest.fixture(scope="session")
def office(house, tmp_path_factory: pytest.TempPathFactory) -> Office:
    return open_office(house, tmp_path_factory.mktemp("office"))
