"""The receipt's part in a pytest session: gone before anything else happens, there once the verdict is final."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_anchorgate.options import path_option
from pytest_anchorgate.receipt.errors import ReceiptError, ReceiptUnusable
from pytest_anchorgate.receipt.stale import remove_stale

if TYPE_CHECKING:
    from pytest_anchorgate.ledger import Ledger
    from pytest_anchorgate.receipt.keys import PrivateKey

RECEIPT: pytest.StashKey[Plan] = pytest.StashKey()
_PREVIOUS: pytest.StashKey[str] = pytest.StashKey()
_FLAG, _KEY = "anchorgate_receipt", "anchorgate_key"


def clear(config: pytest.Config, options: argparse.Namespace) -> None:
    """Removes the receipt of an earlier run, as soon as pytest knows its options.

    That is before conftests are loaded and before the command line is checked, so that a run that ends in a
    usage error leaves none either.

    Raises:
        pytest.UsageError: it cannot be removed.
    """
    # xdist says it in no other way so early. Whoever sets it by hand gains nothing: `prepare` clears again.
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    path = path_option(config, _FLAG, options)
    if path is not None:
        _remove(config, path)


def prepare(config: pytest.Config) -> None:
    """Plans the receipt of this session, if one is wanted.

    Raises:
        pytest.UsageError: the receipt's place or the key cannot be used.
    """
    path, key = path_option(config, _FLAG), path_option(config, _KEY)
    if path is None:
        if config.getoption(_KEY) is not None:
            raise pytest.UsageError(
                "--anchorgate-key signs a receipt: say where it goes with --anchorgate-receipt"
            )
        return
    _remove(config, path)
    if not path.parent.is_dir():
        raise pytest.UsageError(f"--anchorgate-receipt: {path.parent} is not a folder: make it first")
    from pytest_anchorgate.receipt.from_gate import now
    from pytest_anchorgate.receipt.keys import read_private_key

    try:
        signer = read_private_key(key) if key is not None else None
    except ReceiptUnusable as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[RECEIPT] = Plan(path, signer, config.stash.get(_PREVIOUS, None), now(), config.rootpath)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the receipt goes, and what is known of it from the start; see `from_gate.receipt_of`."""

    path: Path
    signer: PrivateKey | None
    previous: str | None
    started_on: str
    project: Path

    def settle(self, ledger: Ledger, status: int) -> int:
        """Writes the receipt, and makes a session that cannot write it undecided.

        Args:
            ledger: all evidence.
            status: the exit status that the process would have.

        Returns:
            The exit status.
        """
        from pytest_anchorgate.verdict import Outcome

        if not ledger.evidence:
            return status
        try:
            said = self._write(ledger, status)
        except (ReceiptError, OSError) as error:
            reason = error.strerror or error if isinstance(error, OSError) else error
            final = status or int(Outcome.UNDECIDED)
            said = f"UNDECIDED: no receipt at {self.path}: {reason} (exit status {final})"
            status = final
        print(f"anchorgate: {said}", file=sys.stderr)
        return status

    def _write(self, ledger: Ledger, status: int) -> str:
        # Only now: a session without a receipt need not pay for these.
        from pytest_anchorgate.packs.errors import PackFormatError
        from pytest_anchorgate.receipt.canonical import sha256_hex
        from pytest_anchorgate.receipt.from_gate import receipt_of
        from pytest_anchorgate.receipt.harness import harness
        from pytest_anchorgate.receipt.statement import result_of
        from pytest_anchorgate.receipt.write import write

        decision = ledger.decision()
        try:
            receipt = receipt_of(
                ledger.gate,
                ledger.evidence,
                ledger.incidents,
                decision,
                repeats=ledger.recheck.result.repeats,
                exit_status=status,
                started_on=self.started_on,
                harness=harness(self.project),
                previous=self.previous,
                signer=self.signer,
            )
        except PackFormatError as error:
            raise ReceiptError(str(error)) from None
        if receipt is None:
            return f"no receipt at {self.path}: the engine never said which pack it ran"
        write(self.path, receipt)
        by = f"signed by key {self.signer.key_id[:12]}" if self.signer else "unsigned"
        result = result_of(decision, status)
        return f"receipt {self.path}: {result}, {by}, sha256 {sha256_hex(receipt)[:12]}"


def _remove(config: pytest.Config, path: Path) -> None:
    try:
        removed = remove_stale(path)
    except ReceiptUnusable as error:
        raise pytest.UsageError(f"--anchorgate-receipt: {error}") from None
    if removed is not None:
        config.stash[_PREVIOUS] = removed
