"""`anchorgate surgery merge | sweep`."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_anchorgate.cli_house import UserError, one_line_errors
from pytest_anchorgate.packs import progress
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.merge import MergeReport, merge_adapter
from pytest_anchorgate.packs.resolve import resolve_pack

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
        _require_free(output, pack, force)
        with progress.task(f"merging into {output.name}", pack.stat().st_size) as advance:
            report = merge_adapter(
                pack, adapter, output, scale, any_base=any_base, any_scale=any_scale, advance=advance
            )
    click.echo(describe(report, output))


def _require_free(output: Path, parent: Path, force: bool) -> None:
    if output.exists() and output.samefile(parent):
        raise UserError(f"{output} is the parent itself; name another file")
    if output.exists() and not force:
        raise UserError(f"{output} exists; give --force to replace it")
    if not output.parent.is_dir():
        raise UserError(f"{output.parent} is not a folder; create it first")


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
