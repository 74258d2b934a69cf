"""What changed between two baselines, and how a gain becomes an anchor: to the letter."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from gate_house import Gate, House

from pytest_anchorgate.baseline import Baseline, Dropped, PackIdentity, Recorded
from pytest_anchorgate.cli import main


def recorded(*, held: bool = True, tokens: tuple[int, ...] = (1, 2, 3), margin: float = 2.0) -> Recorded:
    status, reason = ("passed", "fine") if held else ("failed", "f(1) == 2: got 3")
    margins = (4.0, *(margin for _ in tokens[1:]))
    return Recorded("a" * 64, held, status, reason, 64, "stop", "text", tokens, margins)


def baseline(name: str, dropped: tuple[Dropped, ...] = (), **anchors: Recorded) -> Baseline:
    entries = {f"T/{key[1:]}": entry for key, entry in anchors.items()}
    return Baseline(PackIdentity(name, "b" * 64, "c" * 64), "d" * 64, "fma-k/1", entries, dropped)


def diff(folder: Path, old: Baseline, new: Baseline) -> Result:
    paths = [folder / "a.json", folder / "b.json"]
    for path, side in zip(paths, (old, new), strict=True):
        path.write_text(side.to_text())
    return CliRunner().invoke(main, ["diff", *map(str, paths)])


def test_every_kind_of_change_has_its_line(tmp_path: Path) -> None:
    changed = dataclasses.replace(recorded(), anchor_digest="e" * 64)
    old = baseline(
        "old.planck",
        **{
            "t1": recorded(),
            "t2": recorded(held=False),
            "t3": recorded(),
            "t4": recorded(),
            "t5": recorded(),
        },
        **{"t6": recorded(), "t7": recorded(), "t8": recorded(held=False), "t9": recorded(held=False)},
    )
    dropped = (Dropped("T/1", "b" * 64, "nobody asks"), Dropped("T/7", "b" * 64, "out of date"))
    new = baseline(
        "new.planck",
        dropped,
        **{"t1": recorded(held=False), "t2": recorded(), "t3": recorded(tokens=(1, 2, 4), margin=0.25)},
        **{"t4": recorded(margin=3.0), "t5": recorded(), "t6": changed, "t9": recorded(held=False)},
        **{"t10": recorded(), "t11": recorded(held=False)},
    )
    result = diff(tmp_path, old, new)
    assert result.output.splitlines() == [
        "- old.planck identity bbbbbbbbbbbb, holds 6 of 9, numerics fma-k/1",
        "+ new.planck identity bbbbbbbbbbbb, holds 6 of 9, numerics fma-k/1",
        "held -> lost: T/1: failed: f(1) == 2: got 3; dropped: nobody asks",
        "held -> gone: T/7: dropped: out of date",
        "anchor changed: T/6: what is asked or what counts as right differs; held",
        "not held -> gone: T/8",
        "lost -> held: T/2",
        "new -> held: T/10",
        "new -> not held: T/11: failed: f(1) == 2: got 3",
        "text changed: T/3: from token 3 on; smallest margin 2, then 0.25",
        "margin changed: T/4: smallest margin 2, then 3",
        "2 unchanged, 9 changed",
    ]
    assert result.exit_code == 1


def test_gains_and_new_texts_are_no_loss(tmp_path: Path) -> None:
    old = baseline("p", t1=recorded(), t2=recorded(held=False))
    assert diff(tmp_path, old, old).exit_code == 0
    assert diff(tmp_path, old, baseline("p", t1=recorded(tokens=(9,)), t2=recorded())).exit_code == 0
    assert diff(tmp_path, old, baseline("p", t2=recorded())).exit_code == 1


def test_an_older_reason_is_not_this_changes(tmp_path: Path) -> None:
    before = (Dropped("T/1", "b" * 64, "long ago"),)
    result = diff(
        tmp_path, baseline("p", before, t1=recorded()), baseline("p", before, t1=recorded(held=False))
    )
    assert "held -> lost: T/1: failed: f(1) == 2: got 3" in result.output.splitlines()


@pytest.mark.parametrize("content", [None, "{}", "\0"])
def test_what_is_no_baseline_is_one_line(tmp_path: Path, house: House, content: str | None) -> None:
    path = tmp_path / "b.json"
    if content is not None:
        path.write_text(content)
    result = CliRunner().invoke(main, ["diff", str(house.anchors.with_name("baseline.json")), str(path)])
    assert result.exit_code == 4
    assert result.output.count("\n") == 1
    assert str(path) in result.output


def test_a_real_pair(house: House, tmp_path: Path) -> None:
    target = tmp_path / "gains.json"
    command = [
        "record",
        "--pack",
        str(house.pack("gains")),
        "--anchors",
        str(house.anchors),
        "-o",
        str(target),
    ]
    assert CliRunner(env={"CI": ""}).invoke(main, command).exit_code == 0
    result = CliRunner().invoke(main, ["diff", str(house.anchors.with_name("baseline.json")), str(target)])
    assert result.exit_code == 0
    assert result.output.splitlines()[2:] == ["lost -> held: T/170", "3 unchanged, 1 changed"]


def test_a_gain_says_how_to_keep_it(gate: Gate) -> None:
    lines = gate.run(pack="gains").outlines
    at = lines.index("gained: T/170")
    assert lines[at + 1] == (
        "it is protected once this pack is in production and recorded: anchorgate record --pack gains.planck"
    )
    assert "recorded" not in gate.run(pack="production").stdout.str()
