"""What ran a session: versions, platform, and the commit of the project that was gated."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

from pytest_anchorgate import __version__
from pytest_anchorgate.wire import MAX_LINE, printable

_GIT = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
_GIT_SECONDS = 5.0


def harness(project: Path) -> dict[str, str | None]:
    """Names and versions; None where something is not there.

    Args:
        project: folder whose commit is written down, "-dirty" behind it if files under version control differ.
    """
    facts = {
        "name": "pytest-anchorgate",
        "version": __version__,
        "pytest": _version("pytest"),
        "xdist": _version("pytest-xdist"),
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "projectCommit": _commit(project),
    }
    return {key: printable(value, MAX_LINE) if value is not None else None for key, value in facts.items()}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _commit(project: Path) -> str | None:
    try:
        done = subprocess.run(
            _GIT, cwd=project, capture_output=True, timeout=_GIT_SECONDS, text=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
