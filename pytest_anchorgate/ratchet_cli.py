"""`anchorgate diff`: what changed from one baseline to the next."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_anchorgate.baseline import BaselineError, read_baseline
from pytest_anchorgate.cli_house import UserError
from pytest_anchorgate.ratchet import compare_baselines, gives_up, render_changes

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("old", metavar="BASELINE_A", type=_FILE)
@click.argument("new", metavar="BASELINE_B", type=_FILE)
@click.pass_context
def diff(context: click.Context, old: Path, new: Path) -> None:
    """Show what changed from BASELINE_A to BASELINE_B, one line an anchor, worst first.

    Exits with 1 if B no longer holds something that A holds, and with 4 if a file is no baseline.
    """
    try:
        then, now = read_baseline(old), read_baseline(new)
    except BaselineError as error:
        raise UserError(" ".join(str(error).splitlines())) from None
    changes = compare_baselines(then, now)
    for line in render_changes(then, now, changes):
        click.echo(line)
    context.exit(1 if gives_up(changes) else 0)
