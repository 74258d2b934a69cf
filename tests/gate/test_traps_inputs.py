"""Anchors, baselines, packs, environment variables and ini files that would make the gate weaker."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from gate_house import Gate, anchor_lines, write_anchors
from traps import refused, said, spring

from pytest_anchorgate import verdict
from pytest_anchorgate.cli import main

ANCHORS: dict[str, Any] = {
    "emptied": lambda _: [],
    "shrunk": lambda lines: lines[1:],
    "twice the same": lambda lines: [lines[1], *lines[1:]],
    "another prompt": lambda lines: [{**lines[0], "prompt": "Say nothing."}, *lines[1:]],
    "a weaker test": lambda lines: [{**lines[0], "tests": ["assert True or add"]}, *lines[1:]],
    "no tests": lambda lines: [{**lines[0], "tests": []}, *lines[1:]],
    "a shorter answer": lambda lines: [{**lines[0], "max_new_tokens": 1}, *lines[1:]],
}


@pytest.mark.parametrize("trap", ANCHORS)
def test_anchors_that_changed_do_not_fit_the_baseline(gate: Gate, trap: str) -> None:
    write_anchors(gate.pytester.path / "anchors" / "anchors.jsonl", ANCHORS[trap](anchor_lines()))
    result = spring(gate, pack="loses")
    assert result.ret == 4
    assert "anchors.jsonl" in said(result) or "another anchor set" in said(result)


def test_anchors_that_change_after_the_start_do_not_count(gate: Gate) -> None:
    # The workers read the file themselves, and the evidence says what they read.
    gate.pytester.makeconftest(
        """
        import json
        from pathlib import Path

        def pytest_configure(config):
            if hasattr(config, "workerinput"):
                path = Path("anchors/anchors.jsonl")
                lines = [json.loads(line) for line in path.read_text().splitlines()]
                lines[0]["tests"] = ["assert add(1, 2) == -1"]
                path.write_text("".join(json.dumps(line) + chr(10) for line in lines))
        """
    )
    result = spring(gate, "-n1", pack="loses")
    assert result.ret == 11
    assert "the evidence belongs to another anchor set (" in said(result)


BASELINES: dict[str, Any] = {
    "missing": lambda _: None,
    "empty": lambda _: "",
    "no anchors": lambda text: json.dumps({**json.loads(text), "anchors": {}}),
    "held without having passed": lambda text: text.replace('"status": "passed"', '"status": "failed"'),
    "not held though it passed": lambda text: text.replace('"held": true', '"held": false'),
    "other anchors": lambda text: text.replace("T/17", "T/18"),
}


@pytest.mark.parametrize("trap", BASELINES)
def test_a_baseline_that_does_not_hold_together_is_refused(gate: Gate, trap: str) -> None:
    path = gate.pytester.path / "anchors" / "baseline.json"
    text = path.read_text()
    changed = BASELINES[trap](text)
    assert changed != text
    path.unlink()
    if changed is not None:
        path.write_text(changed)
    result = spring(gate, pack="loses")
    assert result.ret == 4
    assert "baseline" in said(result)


def weaker(text: str) -> str:
    """A baseline in which production never held T/1: well formed, and a lie."""
    data = json.loads(text)
    data["anchors"]["T/1"].update(held=False, status="failed", reason="add(1, 2) == 3: got -1")
    return json.dumps(data)


def test_a_baseline_that_lies_is_caught_by_the_trusted_one(gate: Gate) -> None:
    path = gate.pytester.path / "anchors" / "baseline.json"
    path.write_text(weaker(path.read_text()))
    # The session is green by the baseline it was given; a verify job has its own (docs/threat-model.md).
    result = gate.run("--anchorgate-receipt=receipt.json", pack="loses")
    assert result.ret == 0
    assert "another baseline" in refused(gate, "loses")


def test_a_baseline_recorded_on_the_candidate_is_caught_by_the_trusted_one(gate: Gate) -> None:
    folder = gate.pytester.path / "anchors"
    command = ["record", "--pack", str(gate.house.pack("loses")), "--anchors", str(folder)]
    refusing = CliRunner(env={"CI": ""}).invoke(main, command)
    assert refusing.exit_code == 4
    assert "give --reason TEXT" in refusing.output
    (folder / "baseline.json").unlink()
    assert CliRunner(env={"CI": ""}).invoke(main, command).exit_code == 0
    assert gate.run("--anchorgate-receipt=receipt.json", pack="loses").ret == 0
    assert "another baseline" in refused(gate, "loses")


def test_anchors_and_baseline_shrunk_together_are_caught_by_the_trusted_ones(gate: Gate) -> None:
    folder = gate.pytester.path / "anchors"
    write_anchors(folder / "anchors.jsonl", anchor_lines()[1:])
    (folder / "baseline.json").unlink()
    command = ["record", "--pack", str(gate.house.pack("loses")), "--anchors", str(folder)]
    assert CliRunner(env={"CI": ""}).invoke(main, command).exit_code == 0
    assert gate.run("--anchorgate-receipt=receipt.json", pack="loses").ret == 0
    assert "another anchor set" in refused(gate, "loses") or "another baseline" in refused(gate, "loses")


def test_another_pack_than_the_one_that_was_asked_for_is_caught_by_its_digest(gate: Gate) -> None:
    gate.pytester.makeconftest(
        "import pytest\n\n@pytest.hookimpl(tryfirst=True)\ndef pytest_configure(config):\n"
        f"    config.option.anchorgate_pack = {str(gate.house.pack('production'))!r}\n"
    )
    result = gate.run("--anchorgate-receipt=receipt.json", pack="loses")
    assert result.ret == 0
    assert "production.planck" in said(result)
    assert "it is for another pack" in refused(gate, "loses")


REPLACING = {
    "another file": "shutil.copyfile({other!r}, 'new'); os.replace('new', {path!r})",
    "in place": "open({path!r}, 'r+b').write(open({other!r}, 'rb').read())",
}


@pytest.mark.parametrize("wait", [0.0, 1.0], ids=["at once", "later"])
@pytest.mark.parametrize("how", REPLACING)
def test_a_pack_that_is_replaced_during_the_run_is_undecided(gate: Gate, how: str, wait: float) -> None:
    path = gate.pytester.path / "candidate.planck"
    path.write_bytes(gate.house.pack("production").read_bytes())
    replace = REPLACING[how].format(other=str(gate.house.pack("loses")), path=str(path))
    gate.pytester.makeconftest(
        f"""
        import os
        import shutil
        import time
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_collection_finish(session):
            time.sleep({wait})
            {replace}
        """
    )
    result = spring(gate, f"--pack={path}", pack=None)
    assert result.ret == 11
    # The engine may have mapped the old bytes or the new ones, by when it came to it. Of the old ones it is the
    # second engine that finds other bytes.
    seen = (
        "candidate.planck was replaced while the session started",
        "it was generated again from another pack",
    )
    assert any(words in said(result) for words in seen)


ENVIRONMENT: dict[str, tuple[dict[str, str], int]] = {
    "addopts partial": ({"PYTEST_ADDOPTS": "--anchorgate-partial"}, 11),
    "addopts collect": ({"PYTEST_ADDOPTS": "--collect-only"}, 11),
    "addopts select": ({"PYTEST_ADDOPTS": "-k T/17"}, 11),
    "addopts no second answer": ({"PYTEST_ADDOPTS": "--anchorgate-recheck=0"}, 4),
    "addopts without the ledger": ({"PYTEST_ADDOPTS": "-p no:anchorgate-ledger"}, 11),
    "addopts another pack": ({"PYTEST_ADDOPTS": "--pack={production}"}, 1),
    "addopts another receipt": ({"PYTEST_ADDOPTS": "--anchorgate-receipt=elsewhere.json"}, 1),
    "addopts maxfail": ({"PYTEST_ADDOPTS": "--maxfail=1"}, 1),
    "an unknown instruction set": ({"ANCHORGATE_ISA": "quantum"}, 4),
    "another instruction set": ({"ANCHORGATE_ISA": "scalar"}, 1),
    "no asserts": ({"PYTHONOPTIMIZE": "2"}, 1),
    "hash seed": ({"PYTHONHASHSEED": "1"}, 1),
    "python options": ({"PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1"}, 1),
    "ci": ({"CI": "true", "GITHUB_ACTIONS": "true"}, 1),
    "no ci": ({"CI": ""}, 1),
}


@pytest.mark.parametrize("trap", ENVIRONMENT)
def test_no_environment_variable_opens_the_gate(
    gate: Gate, trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables, status = ENVIRONMENT[trap]
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(production=gate.house.pack("production")))
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    result = spring(gate, pack="loses", subprocess=True)
    assert result.ret == status, said(result)


# Choice of kernels, places where the user's copy of a data set lies, and where packs are kept: places are no
# proof, digests are.
HOUSE_VARIABLES = {
    "ANCHORGATE_ISA",
    "ANCHORGATE_HUMANEVAL",
    "ANCHORGATE_LIVECODEBENCH",
    "ANCHORGATE_MBPP",
    "ANCHORGATE_CACHE",
    "ANCHORGATE_STORE",
}


def test_no_variable_of_this_house_has_another_name() -> None:
    # Whoever adds one has to think of what it can do to a verdict, and say so in docs/threat-model.md.
    package = Path(verdict.__file__).parent
    sources = "".join(path.read_text() for path in package.rglob("*.py"))
    found = set(re.findall(r"ANCHORGATE_[A-Z_]+", sources))
    assert "ANCHORGATE_ISA" in found
    assert found <= HOUSE_VARIABLES


INI: dict[str, tuple[str, int]] = {
    "partial": ("addopts = --anchorgate-partial", 11),
    "no second answer": ("addopts = --anchorgate-recheck=0", 4),
    "select": ("addopts = -k T/17", 11),
    "collect": ("addopts = --co", 11),
    "without the ledger": ("addopts = -p no:anchorgate-ledger", 11),
    "no time": ("anchorgate_timeout = 1e-9", 11),
    "a timeout that is none": ("anchorgate_timeout = inf", 4),
    "a level that is none": ("anchorgate_sandbox_level = off", 4),
    "no anchors": ("anchorgate_anchors = elsewhere", 4),
    "no baseline": ("anchorgate_baseline = elsewhere.json", 4),
    "ignore": ("addopts = --ignore=anchors\nnorecursedirs = anchors\npython_files = nothing", 1),
    "xfail": ("xfail_strict = false\naddopts = --runxfail", 1),
    "an unknown key": ("anchorgate_allow_losses = true", 1),
}


@pytest.mark.parametrize("trap", INI)
def test_no_ini_key_opens_the_gate(gate: Gate, trap: str) -> None:
    text, status = INI[trap]
    gate.pytester.makeini(f"[pytest]\n{text}\n")
    assert spring(gate, pack="loses").ret == status


def test_an_ini_that_disables_the_plugin_makes_the_pack_an_unknown_argument(gate: Gate) -> None:
    gate.pytester.makeini("[pytest]\naddopts = -p no:anchorgate\n")
    result = gate.pytester.runpytest_subprocess(f"--pack={gate.house.pack('loses')}")
    assert result.ret == 4
    assert "unrecognized arguments: --pack" in said(result)


def test_a_stale_receipt_is_gone_even_where_the_command_line_is_wrong(gate: Gate) -> None:
    for args in (("--nonsense",), ("--anchorgate-timeout=x",), ("--pack=",)):
        assert spring(gate, *args).ret == 4
        assert not os.path.lexists(gate.pytester.path / "receipt.json")


def test_a_receipt_is_for_one_pack(gate: Gate) -> None:
    assert gate.run("--anchorgate-receipt=receipt.json").ret == 0
    assert refused(gate, "production") == ""
    assert "it is for another pack" in refused(gate, "loses")
