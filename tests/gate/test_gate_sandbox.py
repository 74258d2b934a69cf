"""The level of confinement: printed, required, and never below what was required."""

from __future__ import annotations

import pytest
from gate_house import Gate

from pytest_anchorgate.sandbox import offer as offers
from pytest_anchorgate.sandbox.offer import Offer

WEAK = Offer("standard", {"full": "namespaces: new namespaces: not permitted"})
NOTHING = Offer("", {}, "system-call filter: broken")


def test_the_header_names_the_level(gate: Gate) -> None:
    result = gate.run()
    result.stdout.re_match_lines([r"anchorgate: sandbox (full|standard|preloaded) \(.+\)"])
    assert result.ret == 0


def test_a_level_that_is_there_can_be_required(gate: Gate, dist: tuple[str, ...]) -> None:
    assert gate.run("--anchorgate-sandbox-level=preloaded", *dist).ret == 0


@pytest.mark.parametrize("offered", [WEAK, NOTHING])
@pytest.mark.parametrize("how", ["flag", "ini"])
def test_less_than_required_is_a_usage_error_that_says_why(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, how: str, offered: Offer
) -> None:
    monkeypatch.setattr(offers, "offer", lambda: offered)
    if how == "ini":
        gate.pytester.makeini("[pytest]\nanchorgate_sandbox_level = full\n")
    result = gate.run(*(["--anchorgate-sandbox-level=full"] if how == "flag" else []))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: anchorgate_sandbox_level is full, but this machine offers *: *"])
    why = offered.failure or offered.missing["full"]
    assert why in result.stderr.str()
    assert "Traceback" not in result.stderr.str()


def test_without_a_requirement_a_weaker_level_is_only_said(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers, "offer", lambda: WEAK)
    result = gate.run()
    result.stdout.fnmatch_lines(["anchorgate: sandbox standard (Landlock and system-call filter)"])
    assert result.ret == 0


def test_a_level_that_does_not_exist_is_a_usage_error(gate: Gate) -> None:
    result = gate.run("--anchorgate-sandbox-level=paranoid")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --anchorgate-sandbox-level is 'paranoid', not one of full, standard, preloaded"]
    )
