"""`anchorgate surgery merge | sweep`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pytest_anchorgate.cli_house import Undecided, UserError, one_line_errors
from pytest_anchorgate.cli_output import require_free
from pytest_anchorgate.packs import progress
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.merge import MergeReport, merge_adapter
from pytest_anchorgate.packs.resolve import resolve_pack

if TYPE_CHECKING:
    from pytest_anchorgate.engine import Listener
    from pytest_anchorgate.surgery.sweep import SweepPlan
    from pytest_anchorgate.surgery.sweep_choice import Point, Sweep

_FOLDER = click.Path(file_okay=False, path_type=Path)
_PARENT = click.option(
    "--parent", required=True, metavar="PATH_OR_RECIPE", help="The pack that the adapter was trained on."
)
_ADAPTER = click.option(
    "--adapter", type=_FOLDER, required=True, metavar="DIR", help="A LoRA adapter as PEFT saves it."
)
_ANY_BASE = click.option(
    "--any-base", is_flag=True, help="Take an adapter that names another pack as its base."
)
_ANY_SCALE = click.option("--any-scale", is_flag=True, help="Take a scale outside of 0 to 1.")


@click.command()
@_PARENT
@_ADAPTER
@click.option(
    "--scale", default="1", show_default=True, metavar="S", help="From 0 (the parent) to 1 (as trained)."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The pack to write.",
)
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
@_ANY_BASE
@_ANY_SCALE
def merge(
    parent: str, adapter: Path, scale: str, output: Path, force: bool, any_base: bool, any_scale: bool
) -> None:
    """Merge an adapter into a pack.

    W' = W + scale * alpha/r * B A, rounded once. The same parent, adapter and scale give the same bytes on
    every machine; a merge that changes nothing gives the parent, byte for byte.
    """
    with one_line_errors(PackFormatError, PackSourceError):
        pack = resolve_pack(parent)
        if output.exists() and output.samefile(pack):
            raise UserError(f"{output} is the parent itself; name another file")
        require_free(output, force)
        with progress.task(f"merging into {output.name}", pack.stat().st_size) as advance:
            report = merge_adapter(
                pack, adapter, output, scale, any_base=any_base, any_scale=any_scale, advance=advance
            )
    click.echo(describe(report, output))


def describe(report: MergeReport, output: Path) -> str:
    """What a merge did, for people."""
    if report.identical:
        return f"{output}: no stored bit changed: the parent {report.identity}, byte for byte"
    moved = sum(report.changed.values())
    weights = sum(bool(count) for count in report.changed.values())
    return (
        f"{output}: scale {report.scale} of adapter {report.adapter[:12]} on {report.parent[:12]}: "
        f"{moved:,} of {report.elements:,} elements in {weights} weights changed, identity {report.identity}"
    )


@click.command()
@_PARENT
@_ADAPTER
@click.option(
    "--anchors",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    metavar="DIR",
    help="The anchor set, none of which may be lost.",
)
@click.option(
    "--baseline",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Demand the anchors that this baseline holds (default: those that the parent holds).",
)
@click.option(
    "--rows",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Rows whose tasks are sentinels or held out, as `poison` and `retain` write them. Repeatable.",
)
@click.option(
    "--suites", default="", metavar="NAMES", help="Suites in which the rows' tasks are, with commas."
)
@click.option("--humaneval", type=click.Path(path_type=Path), envvar="ANCHORGATE_HUMANEVAL", metavar="FILE")
@click.option("--mbpp", type=click.Path(path_type=Path), envvar="ANCHORGATE_MBPP", metavar="FILE")
@click.option("--scales", default="", metavar="LIST", help="Decimals with commas (default: ten from 0 to 1).")
@click.option("--threads", type=click.IntRange(1, 1024), metavar="N", help="Threads of the engine.")
@click.option(
    "-o", "--output", type=_FOLDER, required=True, metavar="DIR", help="Folder for the log and the tables."
)
@_ANY_BASE
@_ANY_SCALE
def sweep(parent: str, scales: str, output: Path, **given: Any) -> None:
    """Find the best scale of an adapter.

    Each scale's child is asked every anchor, sentinel and held-out task. The best one loses no anchor, then no
    sentinels on balance, then solves most held-out tasks, then is the smallest. An interrupted sweep goes on where it
    was. Writes sweep.json and sweep.md, and no pack: `surgery merge` makes the chosen one.
    """
    from pytest_anchorgate.anchors import AnchorsError
    from pytest_anchorgate.baseline import BaselineError
    from pytest_anchorgate.engine import EngineError, EngineRefused
    from pytest_anchorgate.surgery import sweep as sweeping
    from pytest_anchorgate.surgery.errors import SurgeryError
    from pytest_anchorgate.surgery.rows import RowsError
    from pytest_anchorgate.surgery.sweep_choice import render
    from pytest_anchorgate.surgery.sweep_plan import make_plan, write_tables

    mistakes = (
        AnchorsError,
        BaselineError,
        EngineRefused,
        PackFormatError,
        PackSourceError,
        RowsError,
        SurgeryError,
    )
    with one_line_errors(*mistakes):
        wanted = tuple(scales.split(",")) if scales else sweeping.SCALES
        plan = make_plan(resolve_pack(parent), output, wanted, **given)
        try:
            found = sweeping.run_sweep(plan, on_point=_tell, listening=lambda: _listening(plan))
        except EngineError as error:
            raise Undecided(f"{error}; run the command again to go on") from None
        write_tables(found, output)
    click.echo(render(found), nl=False)
    if found.summary(found.choice).lost_anchors:
        raise SystemExit(1)


def _tell(point: Point, found: Sweep) -> None:
    counts = found.summary(point)
    words = [
        f"{len(point.holds(group))} of {len(tasks)} {group}" for group, tasks in point.held.items() if tasks
    ]
    words += [f"{len(counts.lost_anchors)} required anchors lost"] if counts.lost_anchors else []
    click.echo(f"anchorgate: scale {point.scale}: {point.failure or ', '.join(words)}", err=True)


@contextlib.contextmanager
def _listening(plan: SweepPlan) -> Iterator[Listener]:
    from rich.console import Console

    from pytest_anchorgate.progress import LineProgress, RichProgress

    at_most = sum(task.max_new_tokens for tasks in plan.tasks().values() for task in tasks)
    console = Console(stderr=True)
    if console.is_terminal:
        with RichProgress(console, at_most) as bar:
            yield bar
    else:
        yield LineProgress(lambda line: click.echo(line, err=True), expected_tokens=at_most, guess="at most")
