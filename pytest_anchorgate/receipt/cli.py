"""`anchorgate verify` and `anchorgate key new`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pytest_anchorgate.cli_house import UserError
from pytest_anchorgate.packs.recipes import RECIPES
from pytest_anchorgate.receipt.cli_options import PATH, own_world
from pytest_anchorgate.receipt.cli_options import require_signature as signature_option
from pytest_anchorgate.receipt.errors import ReceiptError, ReceiptUnusable
from pytest_anchorgate.receipt.keys import new_key_pair
from pytest_anchorgate.receipt.verify import Verified, verify_receipt
from pytest_anchorgate.verdict import Standing

DOES_NOT_FOLLOW = 1


class DoesNotFollow(click.ClickException):
    """Something in a receipt does not follow: one line, exit status 1."""

    exit_code = DOES_NOT_FOLLOW


@click.command()
@click.argument("receipt", type=PATH)
@click.option(
    "--pack", required=True, type=PATH, metavar="PATH_OR_RECIPE", help="The pack that it should be about."
)
@own_world
@signature_option
@click.option("--previous", type=PATH, metavar="FILE", help="The receipt that it has to follow.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(
    receipt: Path,
    pack: Path,
    baseline: Path | None,
    anchors: Path | None,
    key: Path | None,
    require_signature: bool,
    previous: Path | None,
    as_json: bool,
) -> None:
    """Check that RECEIPT proves that a pack passes the gate with your baseline and your anchors.

    Nothing is run and nothing is fetched. The verdict is derived again from the evidence in the receipt. Exit
    status: 0 everything follows, 1 something does not, 4 nothing could be checked.
    """
    try:
        verified = verify_receipt(
            receipt, _on_disk(pack), baseline, anchors, key, require_signature, previous=previous
        )
    except ReceiptError as error:
        if as_json:
            click.echo(json.dumps({"verified": False, "problem": str(error)}))
        raise (UserError if isinstance(error, ReceiptUnusable) else DoesNotFollow)(str(error)) from None
    if as_json:
        click.echo(json.dumps(_to_json(verified), indent=1))
        return
    for line in _lines(verified):
        click.echo(line)


@click.group()
def key() -> None:
    """Make the keys that sign receipts."""


@key.command("new")
@click.option(
    "-o",
    "--output",
    required=True,
    type=PATH,
    metavar="FILE",
    help="The private key; the public one is FILE.pub.",
)
def new(output: Path) -> None:
    """Make an ed25519 key pair. Neither file is ever overwritten."""
    try:
        public_file, public = new_key_pair(output)
    except ReceiptUnusable as error:
        raise UserError(str(error)) from None
    click.echo(f"private key: {output} (keep it out of the repository)")
    click.echo(f"public key:  {public_file}, id {public.key_id}")


def _on_disk(pack: Path) -> Path:
    """The pack's file; a recipe means its file in the cache, which is not built for this."""
    recipe = RECIPES.get(str(pack))
    if recipe is None or pack.exists():
        return pack
    from pytest_anchorgate.packs.recipe_cache import place_of

    return place_of(recipe)


def _lines(verified: Verified) -> list[str]:
    world, facts, decision = verified.world, verified.facts, verified.decision
    counts = ", ".join(f"{len(decision.of(standing))} {standing.value}" for standing in Standing)
    return [
        f"{verified.path} follows: {facts.name} passed the gate on {facts.finished_on}",
        f"  pack       sha256 {world.pack.sha256}",
        f"  anchors    {len(world.anchors)}, digest {world.anchors.digest}",
        f"  baseline   digest {world.baseline.digest}, from {world.baseline.pack.name}",
        f"  evidence   {counts}; {len(facts.repeats)} generated twice",
        f"  signature  {_signature(verified)}",
        f"  follows    {f'receipt sha256 {facts.previous}' if facts.previous else 'no earlier receipt'}",
    ]


def _signature(verified: Verified) -> str:
    if verified.key_id is None:
        return "none: whoever could write the file could make it up (docs/receipts.md)"
    if not verified.trusted:
        return f"by key {verified.key_id}, which was not compared with one that you trust (--key)"
    return f"by key {verified.key_id}, as required"


def _to_json(verified: Verified) -> dict[str, Any]:
    world, facts, decision = verified.world, verified.facts, verified.decision
    return {
        "verified": True,
        "receipt": {"path": str(verified.path), "sha256": verified.sha256},
        "pack": {"name": facts.name, "sha256": world.pack.sha256, "identity": world.pack.identity},
        "anchors": {"n": len(world.anchors), "digest": world.anchors.digest},
        "baseline": {"digest": world.baseline.digest, "pack": world.baseline.pack.name},
        "counts": {standing.value: len(decision.of(standing)) for standing in Standing},
        "signature": {"keyid": verified.key_id, "trusted": verified.trusted},
        "previous": facts.previous,
        "startedOn": facts.started_on,
        "finishedOn": facts.finished_on,
        "exitStatus": facts.exit_status,
    }
