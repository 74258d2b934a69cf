"""Flags that leave tests out, stop early or run nothing: with a good pack undecided, with a bad one never green."""

from __future__ import annotations

import pytest
from gate_house import Gate
from traps import both, said, spring

T17 = "anchors/anchors.jsonl::anchor[T/17]"
LEFT_OUT = {
    "-k": (("-k", "T/17"), "deselected by -k 'T/17'"),
    "-k nothing": (("-k", "nothing"), "deselected by -k 'nothing'"),
    "-m": (("-m", "slow"), "deselected by -m 'slow'"),
    "node id": ((T17,), "the arguments name other tests"),
    "--deselect": (("--deselect", "anchors/anchors.jsonl"), "deselected by --deselect"),
    "--deselect one": (("--deselect", T17), "deselected by --deselect"),
}


@both(LEFT_OUT, "-k", "node id", "--deselect")
def test_what_is_left_out_is_missed(gate: Gate, trap: str, workers: tuple[str, ...]) -> None:
    args, words = LEFT_OUT[trap]
    result = spring(gate, *args, *workers)
    assert result.ret == 11
    assert f"not run: {words}" in said(result)


@pytest.mark.parametrize("trap", LEFT_OUT)
def test_a_loss_may_be_left_out_but_not_hidden(gate: Gate, trap: str) -> None:
    args, _ = LEFT_OUT[trap]
    # T/1 is what this pack loses; where it still ran, the loss is told.
    assert spring(gate, *args, pack="loses").ret == (1 if trap == "--deselect one" else 11)


def test_the_last_failed_alone_prove_nothing(gate: Gate, workers: tuple[str, ...]) -> None:
    gate.run(pack="loses")
    result = spring(gate, "--lf", *workers)
    assert result.ret == 11
    assert "not run: --last-failed leaves out what did not fail" in said(result)


def test_stepwise_goes_on_where_it_stopped_and_so_misses_the_rest(gate: Gate) -> None:
    gate.run("--stepwise", "--deselect", "anchors/anchors.jsonl::anchor[T/1]", pack="solves-none")
    result = spring(gate, "--stepwise")
    assert result.ret == 11
    assert "undecided: T/1: not run: deselected" in said(result)


@both(["-x", "--maxfail=1", "-x reversed"], "-x")
def test_stopping_early_keeps_the_loss(gate: Gate, trap: str, workers: tuple[str, ...]) -> None:
    flag, _, order = trap.partition(" ")
    if order:
        gate.pytester.makeconftest("def pytest_collection_modifyitems(items):\n    items.reverse()\n")
    result = spring(gate, flag, *workers, pack="solves-none")
    assert result.ret == (2 if workers else 1)
    assert "BLOCKED: " in said(result)


def test_stopping_at_the_failure_of_another_test_is_undecided(gate: Gate, workers: tuple[str, ...]) -> None:
    gate.pytester.makepyfile(test_first="def test_it():\n    assert False\n")
    result = spring(gate, "-x", "test_first.py", "anchors", *workers)
    assert result.ret == (2 if workers else 1)
    assert "UNDECIDED: " in said(result)


RUNS_NOTHING = {
    "--collect-only": "--collect-only",
    "--co": "--collect-only",
    "--setup-plan": "--setup-plan",
    "--setup-only": "--setup-only",
    "--fixtures": "--fixtures",
    "--funcargs": "--fixtures",
    "--fixtures-per-test": "--fixtures-per-test",
    "--markers": "--markers",
    "--cache-show": "--cache-show",
    "--help": "--help",
    "-h": "--help",
}


@pytest.mark.parametrize("flag", RUNS_NOTHING)
def test_modes_that_run_nothing_say_so(gate: Gate, flag: str) -> None:
    result = spring(gate, flag)
    assert result.ret == 11
    assert f"{RUNS_NOTHING[flag]} runs no tests" in said(result)


@pytest.mark.parametrize("flag", ["--co", "--setup-plan"])
def test_modes_that_run_nothing_say_so_with_workers_too(gate: Gate, flag: str) -> None:
    assert spring(gate, flag, "-n1", pack="loses").ret == 11


IGNORED = {
    "--ignore": ("--ignore=anchors",),
    "--ignore-glob": ("--ignore-glob=*anchors*",),
    "norecursedirs": ("-o", "norecursedirs=anchors"),
    "another folder": ("elsewhere",),
    "only other tests": ("test_other.py",),
    "testpaths": ("-o", "testpaths=elsewhere"),
    "another ini": ("-c", "other.ini"),
    "a conftest": (),
}


@both(IGNORED, "--ignore", "only other tests")
def test_anchors_that_are_ignored_run_all_the_same(gate: Gate, trap: str, workers: tuple[str, ...]) -> None:
    gate.pytester.mkdir("elsewhere")
    gate.pytester.makepyfile(test_other="def test_it():\n    pass\n")
    gate.pytester.makefile(".ini", other="[pytest]\n")
    if trap == "a conftest":
        gate.pytester.makeconftest(
            "collect_ignore = ['anchors']\ndef pytest_ignore_collect(collection_path):\n    return True\n"
        )
    result = spring(gate, *IGNORED[trap], *workers, pack="loses")
    assert result.ret == 1
    assert "BLOCKED: 1 anchor that production holds is lost (exit status 1)" in result.outlines


PARTIAL = {
    "all": (),
    "some": ("-k", "T/17"),
    "without a second answer": ("--anchorgate-recheck=0",),
}


@pytest.mark.parametrize("trap", PARTIAL)
@pytest.mark.parametrize("pack", ["production", "loses"])
def test_a_partial_run_proves_nothing(gate: Gate, trap: str, pack: str) -> None:
    result = spring(gate, "--anchorgate-partial", *PARTIAL[trap], pack=pack)
    assert result.ret == 11
    assert "UNDECIDED: partial: proves nothing (exit status 11)" in result.outlines


def test_a_partial_run_proves_nothing_with_workers_either(gate: Gate) -> None:
    result = spring(gate, "--anchorgate-partial", "-n1")
    assert result.ret == 11
    assert "UNDECIDED: partial: proves nothing (exit status 11)" in result.outlines
