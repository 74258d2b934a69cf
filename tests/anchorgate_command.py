"""The command `anchorgate` as a process of its own, of the package under test: installed, or this checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest_anchorgate


def start_anchorgate(*arguments: str, cwd: Path, **options: Any) -> subprocess.Popen[str]:
    """Starts the command in `cwd`, which must not be a checkout.

    `python -m` puts the current folder first on the path, and a checkout may lack the compiled runtime.
    """
    package = str(Path(pytest_anchorgate.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-m", "pytest_anchorgate.cli", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": package},
        text=True,
        **options,
    )
