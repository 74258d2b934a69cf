"""`anchorgate surgery attempts | report | experiment`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_anchorgate.cli_house import HouseGroup, UserError
from pytest_anchorgate.surgery.cli_errors import user_errors
from pytest_anchorgate.surgery.errors import SurgeryError

if TYPE_CHECKING:
    from pytest_anchorgate.surgery.attempts import Ledger

_FILE = click.Path(dir_okay=False, path_type=Path)
_LEDGER = click.argument("ledger", type=_FILE)


@click.group(cls=HouseGroup)
def attempts() -> None:
    """The ledger of attempts: only ever added to, each line chained to the one before."""


@attempts.command("list")
@_LEDGER
def list_attempts(ledger: Path) -> None:
    """Show the attempts of LEDGER, and whether its chain is whole."""
    from pytest_anchorgate.surgery.attempts import PUBLISHED
    from pytest_anchorgate.surgery.report import score_text

    with user_errors():
        found = _ledger(ledger)
    for attempt in found:
        seed = "" if attempt.seed is None else f" seed {attempt.seed}"
        origin = f" ({PUBLISHED})" if attempt.origin == PUBLISHED else ""
        scores = attempt.attempt.get("scores", {})
        words = ", ".join(f"{name} {score_text(score)}" for name, score in scores.items())
        click.echo(f"{attempt.number:3} {attempt.name}{seed}: {attempt.attempt['status']}; {words}{origin}")
    click.echo(f"{ledger}: {len(found)} attempts, head sha256:{found.head}")


@attempts.command("add")
@_LEDGER
@click.argument("record", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def add(ledger: Path, record: Path) -> None:
    """Add the attempt in RECORD, a JSON object with at least name and status, to LEDGER."""
    from pytest_anchorgate.strict_json import Malformed, loads
    from pytest_anchorgate.surgery.attempts import append
    from pytest_anchorgate.surgery.history import begin_ledger

    with user_errors():
        try:
            value = loads(record.read_text(encoding="utf-8"))
        except (Malformed, UnicodeDecodeError) as problem:
            raise SurgeryError(f"{record}: {problem}") from None
        if not isinstance(value, dict):
            raise SurgeryError(f"{record}: not a JSON object; write one attempt")
        begin_ledger(ledger)
        attempt = append(ledger, value)
    click.echo(f"{ledger}:{attempt.number}: {attempt.name}, sha256:{attempt.digest}")


@attempts.command("verify")
@_LEDGER
@click.option("--repair", is_flag=True, help="Move a torn last line aside into a file of its own.")
@click.option("--head", metavar="SHA256", help="Demand that the last line has this digest.")
def verify(ledger: Path, repair: bool, head: str | None) -> None:
    """Check the chain of LEDGER. Exit status 4 if it is broken, torn, or ends otherwise than --head says."""
    from pytest_anchorgate.surgery import attempts as ledgers

    with user_errors():
        if repair and (aside := ledgers.repair(ledger)) is not None:
            click.echo(f"{ledger}: the torn last line is in {aside} now", err=True)
        found = _ledger(ledger)
    if head is not None and head != found.head:
        raise UserError(f"{ledger}: ends with sha256:{found.head}, not {head:.80}: lines are missing or new")
    click.echo(f"{ledger}: {len(found)} attempts, the chain is whole, head sha256:{found.head}")


@click.command()
@_LEDGER
@click.option(
    "-o", "--output", type=_FILE, metavar="FILE", help="Where to write it (default: standard output)."
)
@click.option("--attempt", "name", metavar="NAME", help="The attempt to report on (default: the last one).")
def report(ledger: Path, output: Path | None, name: str | None) -> None:
    """Write the report of an attempt of LEDGER: pipeline, settings against all others, anchors, why, files.

    Everything in it is from the ledger; what nobody measured says so.
    """
    from pytest_anchorgate.packs.atomic import writing_beside
    from pytest_anchorgate.surgery.report import render

    with user_errors():
        text = render(_ledger(ledger), name)
        if output is None:
            click.echo(text, nl=False)
        else:
            with writing_beside(output) as file:
                file.write(text.encode("utf-8"))
            click.echo(f"{output}: written")


@click.command()
@click.argument("plan", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder of the experiment; one that is there goes on.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only this attempt. Repeatable.")
@click.option(
    "--seed", "seeds", type=click.IntRange(0), multiple=True, metavar="N", help="Only this seed. Repeatable."
)
@click.option("--ledger", type=_FILE, metavar="FILE", help="The ledger (default: ledger.jsonl in DIR).")
@click.option(
    "--humaneval", type=_FILE, envvar="ANCHORGATE_HUMANEVAL", metavar="FILE", help="The official file."
)
@click.option("--mbpp", type=_FILE, envvar="ANCHORGATE_MBPP", metavar="FILE", help="The official file.")
@click.option("--parent", metavar="PATH_OR_RECIPE", help="What `base` is (default: as the plan says).")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Of training and drawing.")
@click.option("--threads", type=click.IntRange(1, 1024), metavar="N", help="Threads of the engine.")
@click.option("--drop-packs", is_flag=True, help="Remove an attempt's pack when its results are there.")
@click.option(
    "--data-only", is_flag=True, help="Evaluate and build the row sets that need no attempt; train nothing."
)
def experiment(
    plan: Path,
    folder: Path,
    only: tuple[str, ...],
    seeds: tuple[int, ...],
    ledger: Path | None,
    humaneval: Path | None,
    mbpp: Path | None,
    parent: str | None,
    device: str | None,
    threads: int | None,
    drop_packs: bool,
    data_only: bool,
) -> None:
    """Run the attempts of PLAN that the ledger does not have yet.

    Several processes may share a folder, each with attempts of its own; what they need in common is made once.
    """
    with user_errors():
        from pytest_anchorgate.surgery.experiment import Experiment, Where
        from pytest_anchorgate.surgery.experiment_plan import read_plan
        from pytest_anchorgate.surgery.report import line_of

        where = Where(folder, ledger, humaneval, mbpp, parent, device, threads, keep_packs=not drop_packs)
        running = Experiment(read_plan(plan), where)
        if data_only:
            for rows in running.prepare():
                click.echo(f"{rows.path}: {len(rows)} rows, sha256:{rows.digest}")
            return
        running.run(only, seeds, lambda attempt: click.echo(line_of(attempt)))


def _ledger(path: Path) -> Ledger:
    """A ledger that is there, whole and not empty."""
    from pytest_anchorgate.surgery.attempts import read_ledger

    if not path.exists():
        raise SurgeryError(f"{path}: there is no such ledger; `attempts add` or `experiment` begins one")
    ledger = read_ledger(path)
    if ledger.torn:
        raise SurgeryError(
            f"{path}:{len(ledger) + 1}: the last line is torn: a write was interrupted, {len(ledger)} attempts are "
            "whole; look at it, then give `attempts verify --repair`"
        )
    return ledger
