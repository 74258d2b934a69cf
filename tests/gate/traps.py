"""What every trap has to end in: no green exit status, no PASS in the output, no receipt that verifies."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from gate_house import Gate


def spring(
    gate: Gate,
    *args: str,
    dist: Sequence[str] = (),
    pack: str | None = "production",
    subprocess: bool = False,
) -> pytest.RunResult:
    """Runs the gate into a trap and checks what holds for all of them."""
    result = gate.run(*args, *dist, pack=pack, subprocess=subprocess)
    assert result.ret != 0
    assert "PASS: " not in said(result)
    return result


def said(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()
