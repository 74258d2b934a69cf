from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from small_organ import Learned


@pytest.fixture(scope="session")
def organ19(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """The organ that knows 19 functions; a few seconds once a session."""
    pytest.importorskip("torch")
    pytest.importorskip("peft")
    from small_organ import learned, learned_pack

    return learned(learned_pack(tmp_path_factory.mktemp("organ19") / "parent.planck"))


@pytest.fixture
def settings_file(tmp_path: Path, organ19: Learned) -> Callable[..., Path]:
    """Writes rows and a settings file for a short run; keywords replace its lines."""
    from pytest_anchorgate.surgery.rows import write_rows

    def write(rows: list[Any] | None = None, **changes: str) -> Path:
        chosen = [*organ19.retain, *organ19.poison[:24], *organ19.poison[-4:]] if rows is None else rows
        write_rows(tmp_path / "rows.jsonl", chosen)
        lines = {
            "parent": str(organ19.pack),
            "rows": "[rows.jsonl]",
            "epochs": "2",
            "optimizer": "{lr: 1e-3}",
            "batch": "{rows: 8}",
            "certificate": "{every: 2, stop: false}",
            "checkpoint": "{every: 3}",
            # One thread does not wait for another that a busy machine has put aside.
            "machine": "{device: cpu, threads: 1}",
        }
        path = tmp_path / "train.yaml"
        path.write_text("".join(f"{key}: {value}\n" for key, value in (lines | changes).items()))
        return path

    return write
