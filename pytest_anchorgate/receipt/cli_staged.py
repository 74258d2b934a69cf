"""`anchorgate verify-staged`: the receipt check as a pre-commit hook. It reads and hashes; no model is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from pytest_anchorgate.cli_house import UserError
from pytest_anchorgate.receipt.cli import DOES_NOT_FOLLOW
from pytest_anchorgate.receipt.cli_options import PATH, own_world
from pytest_anchorgate.receipt.errors import ReceiptError, ReceiptUnusable
from pytest_anchorgate.receipt.verify import verify_receipt

SUFFIX = ".receipt.jsonl"


@click.command("verify-staged")
@click.argument("packs", nargs=-1, type=PATH)
@own_world
def verify_staged(
    packs: Sequence[Path], baseline: Path | None, anchors: Path | None, key: Path | None
) -> None:
    """Check each of PACKS against the receipt beside it, PACK.receipt.jsonl.

    For pre-commit, which names the packs that a commit changes. Exit status: 0 every receipt follows, 1 one does
    not or is missing, 4 nothing could be checked.
    """
    bad = unusable = 0
    for pack in packs:
        receipt = pack.with_name(pack.name + SUFFIX)
        try:
            verify_receipt(receipt, pack, baseline, anchors, key)
        except ReceiptUnusable as error:
            if receipt.exists():
                unusable += 1
                click.echo(f"{pack}: {error}", err=True)
            else:
                bad += 1
                click.echo(
                    f"{pack}: no receipt: run `pytest --pack={pack} --anchorgate-receipt={receipt}`", err=True
                )
        except ReceiptError as error:
            bad += 1
            click.echo(f"{pack}: {error}", err=True)
        else:
            click.echo(f"{pack}: the receipt follows")
    if bad:
        raise SystemExit(DOES_NOT_FOLLOW)
    if unusable:
        raise SystemExit(UserError.exit_code)
