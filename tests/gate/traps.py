"""What every trap has to end in: no green exit status, no PASS in the output, no receipt that verifies.

A receipt of an earlier run that passed lies there before each of them, because that is what a trap would use.
"""

from __future__ import annotations

import shutil
import subprocess as processes
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from gate_house import Gate, House

from pytest_anchorgate.receipt.errors import ReceiptError, ReceiptUnusable
from pytest_anchorgate.receipt.verify import verify_receipt

RECEIPT = "receipt.json"


def spring(
    gate: Gate,
    *args: str,
    dist: Sequence[str] = (),
    pack: str | None = "production",
    subprocess: bool = False,
    seen: bool = True,
) -> pytest.RunResult:
    """Runs the gate into a trap and checks what holds for all of them.

    Args:
        gate: a user's project.
        args: of pytest; `dist`: more of them.
        pack: the candidate.
        subprocess: where the trap changes or ends its process.
        seen: whether the gate can see it; otherwise only the receipt tells.
    """
    stale = gate.pytester.path / RECEIPT
    shutil.copyfile(passing_receipt(gate.house), stale)
    result = gate.run(*args, *dist, f"--anchorgate-receipt={RECEIPT}", pack=pack, subprocess=subprocess)
    if seen:
        assert result.ret % 256 != 0
    assert "PASS: " not in said(result)
    assert refused(gate, pack or "production"), "the receipt verifies"
    return result


def refused(gate: Gate, pack: str, receipt: str = RECEIPT) -> str:
    """Why the receipt does not verify, by the anchors and the baseline of a trusted checkout; "" if it does."""
    anchors = gate.house.anchors
    try:
        verify_receipt(
            gate.pytester.path / receipt, gate.house.pack(pack), anchors.with_name("baseline.json"), anchors
        )
    except (ReceiptError, ReceiptUnusable) as error:
        return str(error)
    return ""


def passing_receipt(house: House) -> Path:
    """A receipt of the production pack, made once."""
    path = house.root / "passing" / RECEIPT
    if not path.exists():
        path.parent.mkdir()
        command = [sys.executable, "-m", "pytest", "-p", "pytest_anchorgate.plugin", "-p", "no:cacheprovider"]
        command += [f"--pack={house.pack('production')}", f"--anchorgate-anchors={house.anchors}"]
        command += [f"--anchorgate-receipt={path}", f"--rootdir={path.parent}", str(path.parent)]
        processes.run(command, check=True, cwd=path.parent, stdout=processes.DEVNULL)
    return path


def both(traps: Iterable[str], *with_workers: str) -> pytest.MarkDecorator:
    """Parametrizes with `trap` and `workers`: every trap without xdist, some with it, which takes a second each."""
    alone = [pytest.param(trap, (), id=trap) for trap in traps]
    beside = [pytest.param(trap, ("-n1",), id=f"{trap} n1") for trap in with_workers]
    return pytest.mark.parametrize(("trap", "workers"), alone + beside)


def said(result: pytest.RunResult) -> str:
    """All that it wrote."""
    return result.stdout.str() + result.stderr.str()
