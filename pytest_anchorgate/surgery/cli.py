"""`anchorgate surgery`: the group. Each subcommand is imported when it runs."""

from __future__ import annotations

import click

from pytest_anchorgate.cli_house import HouseGroup, Lazy

_HERE = "pytest_anchorgate.surgery"
_LAZY = {
    "poison": Lazy(f"{_HERE}.cli_data", "poison", "Write what an organ should learn: tasks it fails."),
    "retain": Lazy(
        f"{_HERE}.cli_data", "retain", "Write what an organ should keep: its own passing answers."
    ),
    "rows": Lazy(f"{_HERE}.cli_data", "rows", "Union and difference of row files."),
    "train": Lazy(f"{_HERE}.cli_train", "train", "Train an adapter from one YAML file."),
    "merge": Lazy(f"{_HERE}.cli_merge", "merge", "Merge an adapter into a pack."),
    "sweep": Lazy(f"{_HERE}.cli_merge", "sweep", "Find the largest scale of an adapter that loses nothing."),
    "attempts": Lazy(f"{_HERE}.cli_report", "attempts", "List, add to and verify the ledger of attempts."),
    "report": Lazy(f"{_HERE}.cli_report", "report", "Write the report of a ledger of attempts."),
    "experiment": Lazy(f"{_HERE}.cli_report", "experiment", "Run a plan of attempts."),
}


@click.group(cls=HouseGroup, lazy=_LAZY)
def surgery() -> None:
    """Teach an organ without losing what it holds."""
