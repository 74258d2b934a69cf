"""The command `anchorgate`. What a subcommand needs is imported when it runs, so that `--help` is quick."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_anchorgate import __version__
from pytest_anchorgate.cli_house import (
    HouseGroup,
    Lazy,
    Undecided,
    UserError,
    threads_option,
    timeout_option,
)

if TYPE_CHECKING:
    from pytest_anchorgate.baseline import Baseline
    from pytest_anchorgate.progress import LineProgress, RichProgress

_LAZY = {
    "pack": Lazy("pytest_anchorgate.packs.cli", "pack", "Build, inspect and compare packs."),
    "sandbox": Lazy(
        "pytest_anchorgate.sandbox.cli", "sandbox", "Explain how generated code is confined here."
    ),
    "anchors": Lazy("pytest_anchorgate.anchors_cli", "anchors", "Import and check anchor sets."),
    "bench": Lazy(
        "pytest_anchorgate.bench.cli", "bench", "Count the tasks of published suites that a pack solves."
    ),
    "surgery": Lazy(
        "pytest_anchorgate.surgery.cli", "surgery", "Teach an organ without losing what it holds."
    ),
    "verify": Lazy(
        "pytest_anchorgate.receipt.cli",
        "verify",
        "Check that a receipt proves that a pack passes the gate.",
    ),
    "verify-staged": Lazy(
        "pytest_anchorgate.receipt.cli_staged",
        "verify_staged",
        "Check packs against the receipts beside them (for pre-commit).",
    ),
    "diff": Lazy(
        "pytest_anchorgate.ratchet_cli",
        "diff",
        "Show what changed between two baselines, one line an anchor.",
    ),
    "key": Lazy("pytest_anchorgate.receipt.cli", "key", "Make the keys that sign receipts."),
    "promote": Lazy(
        "pytest_anchorgate.registry.cli",
        "promote",
        "Put a pack whose receipt follows into production.",
    ),
    "revert": Lazy("pytest_anchorgate.registry.cli", "revert", "Go back to the pack before, and verify it."),
    "status": Lazy("pytest_anchorgate.registry.cli", "status", "Say what is in production, and since when."),
}


@click.group(cls=HouseGroup, lazy=_LAZY, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="anchorgate")
def main() -> None:
    """Regression gates for model weights.

    The gate itself is `pytest --pack=candidate.planck`.
    """


@main.command()
@click.option("--pack", "spec", required=True, metavar="PATH_OR_RECIPE", help="The pack in production now.")
@click.option(
    "--anchors",
    "place",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the anchor set, or its anchors.jsonl (default: as for pytest).",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The baseline file (default: baseline.json beside the anchors).",
)
@click.option(
    "--reason", default="", metavar="TEXT", help="Why anchors that the present baseline holds may go."
)
@threads_option()
@timeout_option(3600.0, "Longest time for loading the pack and generating all answers.")
def record(
    spec: str, place: Path | None, output: Path | None, reason: str, threads: int | None, timeout: float
) -> None:
    """Record what the production pack does on every anchor.

    The result is what candidates are compared with, so review it and put it under version control.
    Anchors that the present baseline holds are not dropped without a --reason.
    """
    from pytest_anchorgate import record as recording
    from pytest_anchorgate.anchors import read_anchors
    from pytest_anchorgate.engine import EngineError
    from pytest_anchorgate.gate import open_pack, user_errors
    from pytest_anchorgate.places import BASELINE_FILE, find_anchors

    try:
        recording.refuse_in_ci()
        anchors = read_anchors(place if place is not None else find_anchors(Path.cwd()))
        target = (output or anchors.path.with_name(BASELINE_FILE)).absolute()
        pack = open_pack(spec, progress=True)
        plan = recording.make_plan(
            pack, anchors, target, reason=reason.strip(), timeout=timeout, threads=threads
        )
        with engine_progress(sum(anchor.max_new_tokens for anchor in anchors)) as listener:
            baseline = recording.record(plan, listener)
    except (recording.RecordUndecided, EngineError) as error:
        raise Undecided(str(error)) from None
    except user_errors() as error:
        raise UserError(" ".join(str(error).splitlines())) from None
    _tell(baseline, target)


def _tell(baseline: Baseline, target: Path) -> None:
    width = max(map(len, baseline.anchors))
    for task_id, entry in baseline.anchors.items():
        click.echo(
            f"{task_id:{width}}  {'held' if entry.held else f'not held: {entry.status}: {entry.reason}'}"
        )
    held = sum(baseline.held.values())
    click.echo(f"{held} of {len(baseline.anchors)} anchors held by {baseline.pack.name}: written to {target}")
    if not held:
        click.echo("nothing is protected: a gate with this baseline can block nothing")


@contextlib.contextmanager
def engine_progress(at_most_tokens: int) -> Iterator[RichProgress | LineProgress]:
    """Shows on standard error how far the engine is: a bar on a terminal, plain lines elsewhere."""
    from rich.console import Console

    from pytest_anchorgate.progress import LineProgress, RichProgress

    console = Console(stderr=True)
    if console.is_terminal:
        with RichProgress(console, at_most_tokens) as bar:
            yield bar
    else:
        yield LineProgress(
            lambda line: click.echo(line, err=True), expected_tokens=at_most_tokens, guess="at most"
        )


if __name__ == "__main__":
    main()
