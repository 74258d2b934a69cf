from __future__ import annotations

import pytest
from gate_fixtures import dist, gate, house
from gate_house import House
from receipt_house import Office, open_office

__all__ = ["dist", "gate", "house", "office"]


@pytest.fixture(scope="session")
def office(house: House, tmp_path_factory: pytest.TempPathFactory) -> Office:
    return open_office(house, tmp_path_factory.mktemp("office"))
