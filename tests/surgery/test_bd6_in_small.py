"""The report's experiment in small, with nothing downloaded and nothing faked but the size of the organ.

A tiny organ knows 19 functions by heart, which the sandbox verifies. Trained on other things alone it loses them; with
its own answers in the mix (path A), or held near to itself on them (path B), it keeps them and learns the same; and the
adapter that lost them is rescued by scaling it down. Each time the real gate has the word: `pytest --pack`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from small_organ import PREFIX, STOP_ID, SUFFIX, write_anchors

import pytest_anchorgate
from pytest_anchorgate.anchors import load_anchors, read_anchors
from pytest_anchorgate.gate import open_pack
from pytest_anchorgate.packs.merge import merge_adapter
from pytest_anchorgate.progress import Quiet
from pytest_anchorgate.record import make_plan, record
from pytest_anchorgate.runtime import Organ
from pytest_anchorgate.surgery.config import read_settings
from pytest_anchorgate.surgery.outcome import Outcome
from pytest_anchorgate.surgery.rows import write_rows
from pytest_anchorgate.surgery.run_folder import RunFolder
from pytest_anchorgate.surgery.sweep import SweepPlan, run_sweep
from pytest_anchorgate.surgery.trainer import train

if TYPE_CHECKING:
    from small_organ import Learned

ALL = 19
# The same number of passes over the same poison rows for everybody.
LOSSES = {
    "poison-only": "{retain_ce: 0, kl: 0}",
    "path-a": "{retain_ce: 1, kl: 0}",
    "path-b": "{retain_ce: 0, kl: 1, kl_least: 1}",
}
BATCH = {"poison-only": 8, "path-a": 16, "path-b": 16}


@dataclass(frozen=True)
class House:
    """A production pack with its gate, and what surgery made of it."""

    root: Path
    organ: Learned
    anchors: Path
    outcomes: dict[str, Outcome]

    def pack(self, name: str) -> Path:
        return self.organ.pack if name == "parent" else self.root / f"{name}.planck"

    def nll(self, name: str) -> float:
        """Mean negative log-likelihood of a token of the poison that was trained on, under a pack; nats."""
        organ = Organ.load(self.pack(name), threads=1)
        total = []
        for row in self.organ.poison[:16]:
            asked = organ.tokenize(PREFIX + row.prompt + SUFFIX)
            total += organ.score(asked, [*organ.tokenize(row.completion), STOP_ID]).log_probabilities
        return -sum(total) / len(total)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, organ19: Learned) -> House:
    root = tmp_path_factory.mktemp("bd6")
    anchors = write_anchors(root / "anchors")
    pack = open_pack(str(organ19.pack), progress=False)
    plan = make_plan(
        pack, read_anchors(anchors), anchors.with_name("baseline.json"), reason="", timeout=60.0, threads=1
    )
    assert sum(record(plan, Quiet()).held.values()) == ALL
    write_rows(root / "rows.jsonl", organ19.rows)
    outcomes = {}
    for name, losses in LOSSES.items():
        (root / f"{name}.yaml").write_text(
            f"parent: {organ19.pack}\nrows: [rows.jsonl]\nepochs: 12\nlosses: {losses}\n"
            f"optimizer: {{lr: 3e-3}}\nbatch: {{rows: {BATCH[name]}}}\n"
            "certificate: {every: 50, stop: false}\nmachine: {device: cpu, threads: 1}\n"
        )
        outcomes[name] = train(read_settings(root / f"{name}.yaml"), RunFolder(root / name))
        merge_adapter(organ19.pack, root / name, root / f"{name}.planck")
    return House(root, organ19, anchors, outcomes)


@pytest.fixture
def gate(house: House) -> Callable[[Path], tuple[int, str]]:
    """Runs `pytest --pack` in a process of its own; exit status and output."""
    package = str(Path(pytest_anchorgate.__file__).parents[1])
    paths = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTEST_ADDOPTS", None)

    def run(pack: Path) -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "-p", "pytest_anchorgate.plugin", f"--pack={pack}"]
        done = subprocess.run(
            command, cwd=house.root, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout

    return run


Gate = Callable[[Path], tuple[int, str]]


def test_the_organ_before_surgery_passes(house: House, gate: Gate) -> None:
    status, says = gate(house.pack("parent"))
    assert status == 0
    assert "PASS: all 19 anchors that production holds are held" in says


def test_poison_alone_loses_what_the_organ_knew_and_is_blocked(house: House, gate: Gate) -> None:
    assert house.outcomes["poison-only"].anchors["certified"] == 0
    status, says = gate(house.pack("poison-only"))
    assert status == 1
    assert "0 held, 19 lost, 0 gained" in says
    assert "BLOCKED: 19 anchors that production holds are lost (exit status 1)" in says
    assert house.nll("poison-only") < 0.5 * house.nll("parent")


@pytest.mark.parametrize("path", ["path-a", "path-b"])
def test_either_path_keeps_all_and_learns_as_much(house: House, gate: Gate, path: str) -> None:
    outcome = house.outcomes[path]
    assert (outcome.anchors["certified"], outcome.lost) == (ALL, [])
    assert outcome.anchors["least_margin"] > 0
    status, says = gate(house.pack(path))
    assert status == 0
    assert "19 held, 0 lost, 0 gained" in says
    assert house.nll(path) < 0.5 * house.nll("parent")
    assert outcome.anchors["kl_mean"] < 0.1 * house.outcomes["poison-only"].anchors["kl_mean"]


def test_scaling_down_rescues_the_adapter_that_lost_them(house: House, gate: Gate) -> None:
    anchors = list(load_anchors(house.anchors))
    plan = SweepPlan(
        house.organ.pack, house.root / "poison-only", house.root / "sweep", anchors,
        scales=("0", "0.1", "0.2", "0.4", "1"), threads=1,
    )  # fmt: skip
    points = {point.scale: point for point in run_sweep(plan).points}
    held = {scale: len(point.holds("anchors")) for scale, point in points.items()}
    assert (held["0"], held["1"]) == (ALL, 0)
    assert points["0"].identity == house.organ.identity
    kept = [scale for scale in held if held[scale] == ALL and scale != "0"]
    assert kept, f"no scale above 0 keeps all: {held}"
    merge_adapter(house.organ.pack, house.root / "poison-only", house.pack("rescued"), kept[-1])
    status, says = gate(house.pack("rescued"))
    assert status == 0
    assert "19 held, 0 lost, 0 gained" in says
    assert house.nll("rescued") < house.nll("parent"), "what is left of it still teaches"


def test_scale_0_is_the_parent_byte_for_byte(house: House) -> None:
    merge_adapter(house.organ.pack, house.root / "poison-only", house.pack("none"), "0")
    assert house.pack("none").read_bytes() == house.organ.pack.read_bytes()
