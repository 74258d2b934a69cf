"""Fixtures over the small house, for every room that runs the gate in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from gate_house import Gate, House, build_house

# An inner session in this process forgets the modules that it was the first to import, but their package
# keeps them as attributes: what the plugin imports late has to be imported before.
import pytest_anchorgate.cli
import pytest_anchorgate.head_start
import pytest_anchorgate.sandbox.launcher
import pytest_anchorgate.session

DISTRIBUTIONS = {"alone": (), "n2": ("-n2",)}


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build_house(tmp_path_factory.mktemp("house"))


@pytest.fixture
def gate(pytester: pytest.Pytester, house: House, monkeypatch: pytest.MonkeyPatch) -> Gate:
    # The same plugins whether or not this checkout is installed, and a quick start of the workers.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    # Of the worker that runs these tests; an inner session would take itself for one.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    # The package under test, be it installed or this checkout: a checkout may lack the compiled runtime.
    package = str(Path(pytest_anchorgate.__file__).parents[1])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    folder = pytester.path / "anchors"
    folder.mkdir()
    for name in ("anchors.jsonl", "baseline.json"):
        (folder / name).write_bytes((house.anchors.parent / name).read_bytes())
    return Gate(pytester, house)


@pytest.fixture(params=DISTRIBUTIONS.values(), ids=DISTRIBUTIONS.keys())
def dist(request: pytest.FixtureRequest) -> tuple[str, ...]:
    chosen: tuple[str, ...] = request.param
    return chosen


@pytest.fixture(params=[(), ("-n1",)], ids=["alone", "n1"])
def workers(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """With and without xdist, where one worker is enough to tell."""
    chosen: tuple[str, ...] = request.param
    return chosen
