"""The organ manager from Python: names, switches and ways back while requests are answered."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import pytest
from organs import damaged_pack, markov_pack, tag

from pytest_anchorgate.runtime import LoadedOrgan, OrganError, OrganManager, PackError, TextError

PROMPT = f"say {tag('a')}"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return markov_pack(tmp_path_factory.mktemp("manager") / "one.planck", {"a": "one", "b": "two"})


@pytest.fixture(scope="module")
def two(one: Path) -> Path:
    return damaged_pack(one, one.with_name("two.planck"), {"a": "b"})


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def answer(manager: OrganManager, name: str = "code") -> str:
    return manager.get(name).generate([PROMPT], raw=True)[0].text


def test_load_switch_and_revert(one: Path, two: Path) -> None:
    manager = OrganManager()
    assert manager.loaded() == []
    manager.load("code", one, threads=1)
    assert manager.loaded() == [LoadedOrgan("code", str(one), digest(one), "")]
    manager.load("code", two, threads=1)
    assert manager.loaded() == [LoadedOrgan("code", str(two), digest(two), digest(one))]
    assert answer(manager) == "two"
    manager.revert("code")
    assert manager.loaded() == [LoadedOrgan("code", str(one), digest(one), digest(two))]
    assert answer(manager) == "one"
    manager.revert("code")
    assert answer(manager) == "two"


def test_names_do_not_meet(one: Path, two: Path) -> None:
    manager = OrganManager()
    manager.load("prose", two, threads=1)
    manager.load("code", one, threads=1)
    assert [organ.name for organ in manager.loaded()] == ["code", "prose"]
    assert (answer(manager, "code"), answer(manager, "prose")) == ("one", "two")


def test_what_fails_changes_nothing(one: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.planck"
    bad.write_bytes(b"no pack")
    manager = OrganManager()
    with pytest.raises(PackError, match="header"):
        manager.load("code", bad)
    assert manager.loaded() == []
    manager.load("code", one, threads=1)
    before = manager.loaded()
    with pytest.raises(PackError, match="header"):
        manager.load("code", bad)
    with pytest.raises(OrganError, match="no previous pack"):
        manager.revert("code")
    with pytest.raises(OrganError, match="isa"):
        manager.load("code", one, isa="abacus")
    with pytest.raises(TextError, match="lone surrogate"):
        manager.load("\ud800", one)
    assert manager.loaded() == before


@pytest.mark.parametrize("method", ["revert", "get", "unload"])
def test_an_unknown_name_says_what_is_loaded(one: Path, method: str) -> None:
    manager = OrganManager()
    manager.load("code", one, threads=1)
    with pytest.raises(OrganError, match="organ prose: not loaded; loaded are: code"):
        getattr(manager, method)("prose")


def test_an_organ_in_hand_outlives_switches_and_the_manager(one: Path, two: Path) -> None:
    manager = OrganManager()
    manager.load("code", one, threads=1)
    held = manager.get("code")
    manager.load("code", two, threads=1)
    manager.load("code", two, threads=1)  # the first is now neither current nor previous
    manager.unload("code")
    assert manager.loaded() == []
    del manager
    assert held.generate([PROMPT], raw=True)[0].text == "one"
    assert held.info["pack_sha256"] == digest(one)


def test_requests_go_on_while_packs_are_switched(one: Path, two: Path) -> None:
    manager = OrganManager()
    manager.load("code", one, threads=1)
    manager.load("code", two, threads=1)
    done = threading.Event()
    strange: list[str] = []
    answered = [0, 0]

    def ask(which: int) -> None:
        while not done.is_set():
            text = answer(manager)
            answered[which] += 1
            if text not in ("one", "two"):
                strange.append(text)

    readers = [threading.Thread(target=ask, args=(which,)) for which in range(2)]
    for reader in readers:
        reader.start()
    deadline = time.monotonic() + 30
    switches = 0
    while (switches < 20 or min(answered) < 5) and time.monotonic() < deadline:
        if switches % 5 == 0:
            manager.load("code", one if switches % 10 else two, threads=1)
        manager.revert("code")
        switches += 1
    done.set()
    for reader in readers:
        reader.join(30)
    assert strange == []
    assert min(answered) >= 5


def test_a_load_leaves_the_interpreter_to_others(tmp_path: Path) -> None:
    """Hashing a pack takes a while; meanwhile other threads have to run."""
    long = {f"t{i}": f"answer {i}" for i in range(1500)}
    large = markov_pack(tmp_path / "large.planck", long)
    manager = OrganManager()
    loading = threading.Thread(target=manager.load, args=("code", large), kwargs={"threads": 1})
    loading.start()
    ticks = 0
    while loading.is_alive():
        ticks += 1
        time.sleep(0.0005)
    loading.join()
    assert ticks >= 5, f"only {ticks} ticks while {large.stat().st_size} bytes were loaded"
