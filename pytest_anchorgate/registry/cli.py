"""`anchorgate promote | revert | status`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from pytest_anchorgate.cli import engine_progress
from pytest_anchorgate.cli_house import Undecided, UserError, one_line, threads_option, timeout_option
from pytest_anchorgate.gate import open_pack, user_errors
from pytest_anchorgate.receipt.cli_options import own_world
from pytest_anchorgate.receipt.cli_options import require_signature as signature_option
from pytest_anchorgate.receipt.errors import ReceiptError, ReceiptUnusable
from pytest_anchorgate.receipt.keys import PrivateKey, read_private_key
from pytest_anchorgate.regate import Limits
from pytest_anchorgate.registry import status as looking
from pytest_anchorgate.registry.errors import RegistryBusy, RegistryError
from pytest_anchorgate.registry.house import House, opened
from pytest_anchorgate.registry.journal import Change, JournalUncertain
from pytest_anchorgate.registry.live import LiveGate
from pytest_anchorgate.registry.promote import Wish
from pytest_anchorgate.registry.promote import promote as carry_out_promotion
from pytest_anchorgate.registry.render import render_recovered, render_status
from pytest_anchorgate.registry.revert import revert as carry_out_revert
from pytest_anchorgate.registry.store import RECEIPTS, VARIABLE, open_store
from pytest_anchorgate.reports.terminal import Run, render_summary, render_verdict
from pytest_anchorgate.sandbox.levels import LEVELS

BLOCKED = 1
_FILE = click.Path(path_type=Path)
_F = TypeVar("_F", bound=Callable[..., Any])


class Refused(click.ClickException):
    """A receipt does not prove what it should: one line, exit status 1 as for a lost anchor."""

    exit_code = BLOCKED


def _options(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    def apply(function: _F) -> _F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


_store = click.option(
    "--store",
    type=_FILE,
    metavar="DIR",
    help=f"Where packs, aliases and journal are (default: the variable {VARIABLE}, else the user's data folder).",
)
_gating = _options(
    _store,
    threads_option(),
    timeout_option(900.0, "Longest time for loading the pack and generating all answers in the live place."),
    click.option(
        "--sandbox-level",
        type=click.Choice(LEVELS),
        help="Weakest confinement of generated code to accept (default: any).",
    ),
    click.option(
        "--sign-with",
        type=_FILE,
        metavar="FILE",
        help="Private key that signs the receipt of the gate in place.",
    ),
)


@click.command()
@click.argument("spec", metavar="PACK")
@click.option(
    "--receipt", required=True, type=_FILE, metavar="FILE", help="What proves that the pack passes."
)
@own_world
@signature_option
@_gating
def promote(
    spec: str,
    receipt: Path,
    baseline: Path | None,
    anchors: Path | None,
    key: Path | None,
    require_signature: bool,
    store: Path | None,
    **limits: Any,
) -> None:
    """Put a pack into production, if its receipt follows.

    The receipt must be a passing one for exactly these bytes and this baseline. The alias `production` is
    switched in one piece, the pack is gated again in the live place, and everything is taken back if it fails
    there. The pack that was in production becomes `previous`.

    Exit status: 0 promoted, 1 refused or taken back, 11 taken back because nothing could be found out, 4 wrong usage.
    """
    with _told(), _opened(store) as house:
        live = _live(limits)
        pack = open_pack(spec, progress=True).path
        wish = Wish(pack, receipt, baseline, anchors, key, require_signature)
        change = carry_out_promotion(house, wish, live, click.echo)
        if change is None:
            click.echo(f"{pack.name} is in production already: nothing to do")
            return
        _conclude(house, change, live)


@click.command()
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the journal.")
@_gating
def revert(reason: str, store: Path | None, **limits: Any) -> None:
    """Go back to the pack that was in production before, and verify it there.

    It has to hold what its own baseline held when it was promoted; anchors and baseline of then are in the
    store. The two packs change places, so a second revert undoes the first.

    Exit status: 0 reverted, 1 or 11 taken back because it does not pass, 4 wrong usage.
    """
    with _told(), _opened(store) as house:
        live = _live(limits)
        change = carry_out_revert(house, reason.strip(), live, click.echo)
        _conclude(house, change, live)


@click.command()
@_store
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(store: Path | None, as_json: bool) -> None:
    """Say what is in production, since when, on whose receipt, and what came before.

    The stored packs are read and their digests compared. What a killed command left open is taken back.

    Exit status: 0 all is well, 1 something is wrong with the store.
    """
    with _told():
        found = looking.look(open_store(store))
    if as_json:
        click.echo(json.dumps(looking.to_json(found), indent=1, sort_keys=True))
    else:
        for line in render_status(found):
            click.echo(line)
    if found.problems:
        raise click.exceptions.Exit(BLOCKED)


@contextlib.contextmanager
def _opened(given: Path | None) -> Iterator[House]:
    with opened(open_store(given)) as house:
        if house.recovered is not None:
            click.echo(render_recovered(house.recovered), err=True)
        try:
            yield house
        except OSError as error:
            left = _left(error, house)
            if not left:
                raise
            raise OSError(error.errno, f"{error.strerror or error}; {left}", error.filename) from None


def _left(error: OSError, house: House) -> str:
    """In what state a command left the store that could not write to it; "" if nothing is open."""
    if isinstance(error, JournalUncertain):
        return "how far the command came is for `anchorgate status` to read"
    if house.journal.open is None:
        return ""
    return f"the {house.journal.open.change.operation} is still open and the next command will take it back"


def _live(limits: dict[str, Any]) -> LiveGate:
    path = limits.pop("sign_with")
    signer: PrivateKey | None = read_private_key(path) if path is not None else None
    return LiveGate(Limits(**limits), engine_progress, signer)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Every error as one line with the status that belongs to it."""
    try:
        yield
    except RegistryBusy as error:
        raise Undecided(str(error)) from None
    except ReceiptUnusable as error:
        raise UserError(one_line(error)) from None
    except ReceiptError as error:
        raise Refused(one_line(error)) from None
    except Exception as error:
        if not isinstance(error, (RegistryError, *user_errors())):
            raise
        raise UserError(one_line(error)) from None


def _conclude(house: House, change: Change, live: LiveGate) -> None:
    """Tells what was seen in the live place and what became of the change; exits with the verdict's status."""
    stayed = house.journal.settled == change.after
    seen = live.regated
    outcome = int(seen.decision.outcome) if seen is not None else Undecided.exit_code
    if seen is not None:
        answers = seen.gate.answers
        run = Run(live.seconds, answers.seconds, answers.tokens, change.name, seen.gate.baseline.pack.name)
        for line in (*render_summary(seen.decision, run), render_verdict(seen.decision, outcome)):
            click.echo(line)
    last = house.journal.operations[-1].ending
    if last is not None and last.receipt is not None:
        click.echo(f"receipt of this gate: {house.store.path(RECEIPTS, last.receipt)}")
    if stayed:
        click.echo(f"{change.name} is in production: {house.store.root / 'production'}")
        return
    where = "production is as it was" if change.before.production else "nothing is in production, as before"
    why = last.why if last is not None else ""
    click.echo(f"{change.operation} of {change.name} taken back, {where}: {why}", err=True)
    raise click.exceptions.Exit(outcome or Undecided.exit_code)
