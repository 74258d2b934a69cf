from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from gate_house import House
from receipt_house import Office, open_office

# The fixtures of tests/gate, which is no package.
_spec = importlib.util.spec_from_file_location(
    "gate_conftest", Path(__file__).parents[1] / "gate" / "conftest.py"
)
assert _spec is not None
assert _spec.loader is not None
_gate_conftest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_gate_conftest)
house, gate, dist = _gate_conftest.house, _gate_conftest.gate, _gate_conftest.dist


@pytest.fixture(scope="session")
def office(house: House, tmp_path_factory: pytest.TempPathFactory) -> Office:
    return open_office(house, tmp_path_factory.mktemp("office"))
