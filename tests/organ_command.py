"""Runs the command `organ` that was installed with the package under test."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(sysconfig.get_path("scripts")) / "organ"


def organ_command() -> str:
    if not COMMAND.exists():
        pytest.skip(f"no {COMMAND}: the package is not installed from a wheel")
    return str(COMMAND)


def run_organ(*arguments: str, requests: str | list[dict[str, Any]] = "") -> subprocess.CompletedProcess[str]:
    text = (
        requests if isinstance(requests, str) else "".join(json.dumps(request) + "\n" for request in requests)
    )
    return subprocess.run(
        [organ_command(), *arguments], input=text, capture_output=True, text=True, check=False, timeout=300
    )
