"""What the commands that must be quick do not import: it is most of the time that they take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "pytest",
    "numpy",
    "rich",
    "jinja2",
    "cryptography",
    "gguf",
    "torch",
    "platformdirs",
    "importlib.metadata",
}
_LIST = "import sys; {}; print(*sorted(sys.modules))"


@pytest.mark.parametrize(
    ("imports", "allowed"),
    [
        ("import pytest_anchorgate.receipt.cli, pytest_anchorgate.receipt.cli_staged", set()),
        ("import pytest_anchorgate.cli, pytest_anchorgate.packs.reader", set()),
        (
            "import pytest_anchorgate.plugin, pytest_anchorgate.head_start, pytest_anchorgate.session",
            {"pytest"},
        ),
    ],
    ids=["verify", "cli", "gate"],
)
def test_nothing_heavy_is_imported_on_the_way(imports: str, allowed: set[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LIST.format(imports)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    loaded = set(done.stdout.split())
    if "pytest" in allowed:
        allowed = allowed | {"importlib.metadata"}  # pytest's own
    assert loaded & (HEAVY - allowed) == set()
