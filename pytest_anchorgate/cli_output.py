"""The file a command is asked to write, looked at before the work begins."""

from __future__ import annotations

from pathlib import Path

from pytest_anchorgate.cli_house import UserError


def require_free(output: Path, force: bool) -> None:
    """Raises UserError if the file exists and may not be replaced, or if its folder does not exist."""
    if output.exists() and not force:
        raise UserError(f"{output} exists; give --force to replace it")
    if not output.parent.is_dir():
        raise UserError(f"{output.parent} is not a folder; create it first")
