"""Flags and ini keys, read into one frozen Settings; a usage error names the flag that is wrong."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_anchorgate.places import find_anchors
from pytest_anchorgate.repeats import DEFAULT_SIZE, LEAST_SIZE
from pytest_anchorgate.sandbox.levels import LEVELS

DEFAULT_TIMEOUT = 900.0
# Modes in which pytest runs no test, by the name of the option that asks for them.
_RUNS_NOTHING = {
    "collectonly": "--collect-only",
    "setupplan": "--setup-plan",
    "setuponly": "--setup-only",
    "showfixtures": "--fixtures",
    "show_fixtures_per_test": "--fixtures-per-test",
    "cacheshow": "--cache-show",
    "markers": "--markers",
    "help": "--help",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line and the ini file ask for.

    Attributes:
        pack: path of a pack, or name of a recipe.
        anchors: folder that holds the anchor set, or the file itself; it may turn out not to exist.
        baseline: None for `baseline.json` beside the anchors file.
        timeout: seconds for loading the pack and generating every answer.
        threads: of the engine; None lets it choose.
        partial: a run on some anchors, for debugging; proves nothing.
        sandbox_level: the weakest confinement of generated code to accept; None for any.
        recheck: how many held anchors are generated a second time; 0 in a partial run only.
        github: "auto", "on" or "off": annotations and step summary of GitHub Actions.
        code_quality: where GitLab's code quality report goes; `sarif`: a SARIF file; None for nowhere.
    """

    pack: str
    anchors: Path
    baseline: Path | None
    timeout: float
    threads: int | None
    partial: bool
    sandbox_level: str | None
    recheck: int = DEFAULT_SIZE
    github: str = "auto"
    code_quality: Path | None = None
    sarif: Path | None = None


def add_options(parser: pytest.Parser) -> None:
    """Declares flags and ini keys. Help texts: capital letter, no full stop at the end of a single phrase."""
    group = parser.getgroup("anchorgate")
    add = group.addoption
    add(
        "--pack",
        dest="anchorgate_pack",
        metavar="PATH_OR_RECIPE",
        help="Gate this candidate pack: a .planck file, or a recipe such as bd6-pass1. "
        "Without it the plugin does nothing.",
    )
    add(
        "--anchorgate-anchors",
        dest="anchorgate_anchors",
        metavar="DIR",
        help="Folder of the anchor set, or its anchors.jsonl "
        "(default: ./anchors, else the set that comes with the plugin)",
    )
    add(
        "--anchorgate-baseline",
        dest="anchorgate_baseline",
        metavar="FILE",
        help="What the production pack did (default: baseline.json beside the anchors)",
    )
    add(
        "--anchorgate-timeout",
        dest="anchorgate_timeout",
        metavar="SECONDS",
        help=f"Longest time for loading the pack and generating all answers (default: {DEFAULT_TIMEOUT:.0f})",
    )
    add(
        "--anchorgate-threads",
        dest="anchorgate_threads",
        metavar="N",
        help="Threads of the engine; the verdict does not depend on it (default: one for each core)",
    )
    add(
        "--anchorgate-partial",
        dest="anchorgate_partial",
        action="store_true",
        help="Debugging: run the selected anchors only. Proves nothing and exits 11.",
    )
    add(
        "--anchorgate-recheck",
        dest="anchorgate_recheck",
        metavar="N",
        help="How many held anchors a fresh engine answers a second time, besides every lost one "
        f"(default: {DEFAULT_SIZE}, at least {LEAST_SIZE})",
    )
    add(
        "--anchorgate-sandbox-level",
        dest="anchorgate_sandbox_level",
        metavar="LEVEL",
        help="Weakest confinement of generated code to accept: full, standard or preloaded "
        "(default: the best that the machine offers; see `anchorgate sandbox doctor`)",
    )
    add(
        "--anchorgate-github",
        dest="anchorgate_github",
        choices=("auto", "on", "off"),
        default="auto",
        help="Annotations and step summary for GitHub Actions (default: auto, on where GITHUB_ACTIONS is true)",
    )
    add(
        "--anchorgate-codequality",
        dest="anchorgate_codequality",
        metavar="FILE",
        help="Write a GitLab code quality report",
    )
    add(
        "--anchorgate-sarif",
        dest="anchorgate_sarif",
        metavar="FILE",
        help="Write a SARIF 2.1.0 report",
    )
    add(
        "--anchorgate-receipt",
        dest="anchorgate_receipt",
        metavar="FILE",
        help="Write a receipt of the verdict, for `anchorgate verify`. One that is there is removed first.",
    )
    add(
        "--anchorgate-key",
        dest="anchorgate_key",
        metavar="FILE",
        help="Sign the receipt with this ed25519 private key (see `anchorgate key new`)",
    )
    parser.addini("anchorgate_receipt", "Where the receipt goes, relative to the ini file")
    parser.addini("anchorgate_key", "Private key that signs the receipt, relative to the ini file")
    parser.addini(
        "anchorgate_junit_properties",
        "Whether anchors carry readable properties into JUnit files; some strict schemas forbid them",
        type="bool",
        default=True,
    )
    parser.addini("anchorgate_anchors", "Folder of the anchor set, relative to the ini file")
    parser.addini("anchorgate_baseline", "What the production pack did, relative to the ini file")
    parser.addini(
        "anchorgate_timeout", "Longest time in seconds for loading the pack and generating all answers"
    )
    parser.addini("anchorgate_sandbox_level", "Weakest confinement to accept: full, standard or preloaded")


def read_settings(config: pytest.Config) -> Settings | None:
    """The settings, None if no pack is named.

    Raises:
        pytest.UsageError: a value that is not what its flag takes.
    """
    pack = config.getoption("anchorgate_pack")
    if pack is None:
        return None
    if not pack:
        raise pytest.UsageError("--pack is empty: name a .planck file or a recipe")
    return Settings(
        pack=pack,
        anchors=path_option(config, "anchorgate_anchors")
        or find_anchors(config.rootpath, config.invocation_params.dir),
        baseline=path_option(config, "anchorgate_baseline"),
        timeout=_timeout(config),
        threads=_threads(config.getoption("anchorgate_threads")),
        partial=config.getoption("anchorgate_partial"),
        sandbox_level=_sandbox_level(config),
        recheck=_recheck(
            config.getoption("anchorgate_recheck"), partial=config.getoption("anchorgate_partial")
        ),
        github=config.getoption("anchorgate_github"),
        code_quality=_output(config, "anchorgate_codequality"),
        sarif=_output(config, "anchorgate_sarif"),
    )


def names_gate(options: argparse.Namespace) -> bool:
    """Whether the command line is about the gate: it names a pack, or the receipt of one."""
    return (options.anchorgate_pack, options.anchorgate_receipt) != (None, None)


def runs_nothing(options: argparse.Namespace) -> str:
    """The flag by which pytest was asked not to run any test, "" if it was not."""
    return next((flag for option, flag in _RUNS_NOTHING.items() if getattr(options, option, None)), "")


def leaves_out(options: argparse.Namespace) -> bool:
    """Whether the command line may select some tests only; a guess that no verdict depends on."""
    flags = ("keyword", "markexpr", "deselect", "lf", "stepwise")
    named = any("::" in argument for argument in getattr(options, "file_or_dir", None) or ())
    return named or any(getattr(options, flag, None) for flag in flags)


def path_option(config: pytest.Config, name: str, options: argparse.Namespace | None = None) -> Path | None:
    """A path from the command line, relative to the current folder, or from the ini file, relative to it.

    Args:
        config: pytest's.
        name: of the option and of the ini key.
        options: the command line where `config` does not hold it yet.

    Raises:
        pytest.UsageError: the flag is given without a value.
    """
    given = getattr(options, name) if options is not None else config.getoption(name)
    if given is not None:
        if not given:
            raise pytest.UsageError(f"--{name.replace('_', '-')} is empty: name a path")
        return _absolute(config.invocation_params.dir, given)
    in_ini = config.getini(name)
    if not in_ini:
        return None
    folder = config.inipath.parent if config.inipath is not None else config.rootpath
    return _absolute(folder, in_ini)


def _output(config: pytest.Config, name: str) -> Path | None:
    """A file to write, in a folder that exists."""
    given = config.getoption(name)
    if given is None:
        return None
    flag = f"--{name.replace('_', '-')}"
    path = _absolute(config.invocation_params.dir, given) if given else None
    if path is None or path.is_dir() or not path.parent.is_dir():
        raise pytest.UsageError(f"{flag} is {given!r}: name a file in a folder that exists")
    return path


def _absolute(folder: Path, path: str) -> Path:
    # Without `..`, which would make a node id that leaves the rootdir look as if it were inside.
    return Path(os.path.normpath(folder / Path(path).expanduser()))


def _timeout(config: pytest.Config) -> float:
    given = config.getoption("anchorgate_timeout")
    name = "--anchorgate-timeout" if given is not None else "the ini key anchorgate_timeout"
    text = given if given is not None else config.getini("anchorgate_timeout")
    if not text:
        return DEFAULT_TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise pytest.UsageError(f"{name} is {text!r}, not a positive number of seconds")
    return seconds


def _sandbox_level(config: pytest.Config) -> str | None:
    given = config.getoption("anchorgate_sandbox_level")
    name = "--anchorgate-sandbox-level" if given is not None else "the ini key anchorgate_sandbox_level"
    text = given if given is not None else config.getini("anchorgate_sandbox_level") or None
    if text is not None and text not in LEVELS:
        raise pytest.UsageError(f"{name} is {text!r}, not one of {', '.join(LEVELS)}")
    return text


def _recheck(text: str | None, *, partial: bool) -> int:
    if text is None:
        return DEFAULT_SIZE
    least = 0 if partial else LEAST_SIZE
    if not text.isdecimal() or int(text) < least:
        why = "" if partial else ": without a second answer nothing is proven"
        raise pytest.UsageError(f"--anchorgate-recheck is {text!r}, not a number from {least}{why}")
    return int(text)


def _threads(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise pytest.UsageError(f"--anchorgate-threads is {text!r}, not a number from 1 to 1024")
    return int(text)
