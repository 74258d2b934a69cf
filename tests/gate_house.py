"""A small house to gate: four anchors, a production pack that solves two of them, and candidates.

Everything is real: packs, engine, sandbox. Only the models are small enough to be told what to answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from organs import damaged_pack, markov_pack, tag

from pytest_anchorgate.anchors import read_anchors
from pytest_anchorgate.baseline import Baseline
from pytest_anchorgate.gate import open_pack
from pytest_anchorgate.progress import Quiet
from pytest_anchorgate.record import make_plan, record


def python(source: str) -> str:
    return f"Here it is:\n\n```python\n{source}\n```"


ANSWERS = {
    "add": python("def add(a, b):\n    return a + b"),
    "add-wrong": python("def add(a, b):\n    return a - b"),
    "mul": python("def mul(a, b):\n    return a * b"),
    "neg": python("def neg(a):\n    return -a"),
    "neg-wrong": "I would rather not.",
    "dup": python("def test_duplicate(xs):\n    return len(set(xs)) < len(xs)"),
    "dup-wrong": python("def test_duplicate(xs):\n    while True:\n        pass"),
    "dup-broken": python("def test_duplicate(xs)\n    return"),
}
ANCHORS = [
    {"task_id": "T/1", "entry_point": "add", "tests": ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"]},
    {
        "task_id": "T/17",
        "entry_point": "mul",
        "check": "def check(candidate):\n    assert candidate(2, 3) == 6",
    },
    {"task_id": "T/170", "entry_point": "neg", "tests": ["assert neg(2) == -2"]},
    {"task_id": "T/19", "entry_point": "test_duplicate", "tests": ["assert test_duplicate([1, 1]) is True"]},
]
NAMES = {"T/1": "add", "T/17": "mul", "T/170": "neg", "T/19": "dup"}
PRODUCTION = {"neg": "neg-wrong", "dup": "dup-broken"}
CANDIDATES = {
    "loses": {**PRODUCTION, "add": "add-wrong"},
    "gains": {"dup": "dup-broken"},
    "solves-all": {},
    "solves-none": {"add": "", "mul": "", "neg": "", "dup": ""},
}


def anchor_lines() -> list[dict[str, Any]]:
    return [
        {
            **anchor,
            "prompt": f"Write `{anchor['entry_point']}`. {tag(NAMES[anchor['task_id']])}",
            "max_new_tokens": 8,
        }
        for anchor in ANCHORS
    ]


def write_anchors(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@dataclass(frozen=True)
class House:
    root: Path
    anchors: Path
    baseline: Baseline

    def pack(self, name: str) -> Path:
        return self.root / f"{name}.planck"


def build_house(root: Path) -> House:
    everything = markov_pack(root / "everything.planck", ANSWERS)
    for name, swaps in {"production": PRODUCTION, **CANDIDATES}.items():
        damaged_pack(everything, root / f"{name}.planck", swaps)
    anchors = write_anchors(root / "anchors" / "anchors.jsonl", anchor_lines())
    pack = open_pack(str(root / "production.planck"), progress=False)
    plan = make_plan(
        pack, read_anchors(anchors), anchors.with_name("baseline.json"), reason="", timeout=60.0, threads=1
    )
    return House(root, anchors, record(plan, Quiet()))


@dataclass
class Gate:
    """A project of a user, in which the gate can be run."""

    pytester: pytest.Pytester
    house: House

    def run(self, *args: str, pack: str | None = "production", subprocess: bool = False) -> pytest.RunResult:
        named = [f"--pack={self.house.pack(pack)}"] if pack is not None else []
        plugins = ["-p", "pytest_anchorgate.plugin"]
        if "no:xdist" not in args:
            plugins += ["-p", "xdist"]
        run = self.pytester.runpytest_subprocess if subprocess else self.pytester.runpytest_inprocess
        return run(*plugins, *named, *args)
