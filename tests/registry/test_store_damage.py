"""A store that others changed: packs, journal and aliases that are not what they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from registry_house import (
    NEW,
    OLD,
    OTHER,
    World,
    alias,
    command,
    events,
    status,
)

from pytest_anchorgate.registry.store import Store


def damage(path: Path) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_pack_is_seen_and_never_switched_to(world: World, store: Path) -> None:
    world.copy("two", store)
    damage((store / "previous").resolve())
    told = status(store, exit_code=1)
    assert not told["previous"]["whole"]
    assert told["production"]["whole"]
    assert "DAMAGED" in command(store, "status").stdout
    result = command(store, "revert")
    assert result.exit_code == 4
    assert "the stored pack is damaged" in result.stderr
    assert events(store)[-1] == "done"
    # Promoting it again replaces what is damaged.
    assert world.promote(store, OLD).exit_code == 0
    assert status(store)["production"]["whole"]
    damage((store / "production").resolve())
    assert not status(store, exit_code=1)["production"]["whole"]
    assert world.promote(store, OLD).stdout.endswith("in production already: nothing to do\n")
    assert status(store)["production"]["whole"]


def test_a_pack_that_is_damaged_after_it_was_stored(
    world: World, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest that counts is the one of the mapped bytes."""
    world.copy("one", store)
    keep = Store.keep_file

    def keep_and_damage(self: Store, kind: object, source: Path, sha256: str) -> Path:
        kept = keep(self, kind, source, sha256)  # type: ignore[arg-type]
        damage(kept)
        return kept

    monkeypatch.setattr(Store, "keep_file", keep_and_damage)
    result = world.promote(store, NEW)
    assert result.exit_code in (1, 11)
    assert f"{store / 'production'} led to another pack" in result.stdout
    assert alias(store, "production") == world.sha256(OLD)
    assert status(store)["production"]["whole"]


def test_an_edited_journal_is_seen(world: World, store: Path) -> None:
    world.copy("two", store)
    path = store / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"solves-all.planck", b"solves-nil.planck", 1))
    told = status(store, exit_code=1)
    assert told["problems"] == [
        f"{path}:4: last is not the digest of the line before: the file was edited; "
        "restore the journal from a backup"
    ]
    assert told["production"]["sha256"] == world.sha256(NEW)
    for arguments in (["revert"], world.arguments(OTHER)):
        result = command(store, *arguments)
        assert result.exit_code == 4
        assert "journal.jsonl:4: last is not" in result.stderr
    assert alias(store, "production") == world.sha256(NEW)


@pytest.mark.parametrize("key", ["schema", "last", "time", "event", "why", "receipt"])
def test_a_journal_line_without_a_key_is_no_line(world: World, store: Path, key: str) -> None:
    world.copy("two", store)
    path = store / "journal.jsonl"
    *lines, last = path.read_text().splitlines()
    record = json.loads(last)
    del record[key]
    path.write_text("\n".join([*lines, json.dumps(record)]) + "\n")
    (problem,) = status(store, exit_code=1)["problems"]
    assert f"{path}:4: the line " in problem
    assert key in problem


def test_an_alias_that_others_changed_is_seen(world: World, store: Path) -> None:
    world.copy("two", store)
    link = store / "production"
    link.unlink()
    link.symlink_to(f"packs/sha256-{world.sha256(OLD)}.planck")
    told = status(store, exit_code=1)
    assert f"{link} was changed by other hands" in told["problems"][0]
    assert told["production"]["sha256"] == world.sha256(OLD)
    result = command(store, "revert")
    assert result.exit_code == 4
    assert f"point it back to packs/sha256-{world.sha256(NEW)}.planck" in result.stderr
    link.unlink()
    link.write_bytes(b"a copy")
    assert "was not made by anchorgate (no symlink)" in status(store, exit_code=1)["problems"][0]
