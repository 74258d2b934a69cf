"""Runs the command `organ` that belongs to the package under test."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

INSTALLED = Path(sysconfig.get_path("scripts")) / "organ"


def organ_command() -> str:
    # `setup.py build_ext --inplace` leaves the module beside the sources and the command in the build folder.
    built = Path(__file__).parents[1].glob("build/*/cmake/cli/organ")
    found = [command for command in (INSTALLED, *built) if command.exists()]
    if not found:
        pytest.skip(f"no {INSTALLED}: the package is not installed from a wheel")
    return str(found[0])


def run_organ(*arguments: str, requests: str | list[dict[str, Any]] = "") -> subprocess.CompletedProcess[str]:
    text = (
        requests if isinstance(requests, str) else "".join(json.dumps(request) + "\n" for request in requests)
    )
    return subprocess.run(
        [organ_command(), *arguments], input=text, capture_output=True, text=True, check=False, timeout=300
    )
