"""`anchorgate surgery poison | retain | rows`: what to learn and what to keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pytest_anchorgate.cli_house import HouseGroup
from pytest_anchorgate.cli_output import require_free
from pytest_anchorgate.surgery.cli_errors import user_errors
from pytest_anchorgate.surgery.errors import SurgeryError

if TYPE_CHECKING:
    from pytest_anchorgate.bench.evaluate import TaskResult
    from pytest_anchorgate.surgery.tasks import Sources, Task

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(dir_okay=False, path_type=Path)
_OUTPUT = click.option("-o", "--output", type=_FILE, required=True, metavar="FILE", help="The rows to write.")
_FORCE = click.option("--force", is_flag=True, help="Replace the output if it exists.")
_HELDOUT = click.option(
    "--heldout",
    type=click.FloatRange(0, 100, max_open=True),
    default=15.0,
    show_default=True,
    metavar="PERCENT",
    help="Official tasks that are never trained on, drawn by a hash of the id.",
)
# One place for what both commands are asked about; the order is that of --help.
_ASKED = (
    click.option("--pack", "spec", required=True, metavar="PATH_OR_RECIPE", help="The parent."),
    click.option(
        "--suites",
        default="",
        metavar="NAMES",
        help="Of humaneval, mbpp100, mbpp and mbpp-extra (MBPP 511 to 974), with commas.",
    ),
    click.option(
        "--anchors",
        "anchor_sets",
        type=click.Path(exists=True, path_type=Path),
        multiple=True,
        metavar="DIR",
        help="An anchor set; its tasks are the gate's, so never held out. Repeatable.",
    ),
    click.option(
        "--gate-ids",
        default="",
        metavar="IDS",
        help="Official tasks that the gate asks for too, or `report`.",
    ),
    click.option(
        "--humaneval", type=_FILE, envvar="ANCHORGATE_HUMANEVAL", metavar="FILE", help="The official file."
    ),
    click.option("--mbpp", type=_FILE, envvar="ANCHORGATE_MBPP", metavar="FILE", help="The official file."),
    click.option(
        "--records",
        type=click.Path(exists=True, path_type=Path),
        metavar="DIR",
        help="Records of `anchorgate bench` for this pack; what they lack is run now.",
    ),
    click.option("--threads", type=click.IntRange(1, 1024), metavar="N", help="Threads of the engine."),
)


def _asked(command: Command) -> Command:
    for option in reversed(_ASKED):
        command = option(command)
    return command


@click.command()
@_asked
@click.option(
    "--samples",
    type=click.IntRange(0, 1024),
    default=16,
    show_default=True,
    metavar="K",
    help="Answers to draw for each failed task; 0 takes references alone and needs no torch.",
)
@click.option("--temperature", type=click.FloatRange(0, min_open=True), default=0.8, show_default=True)
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=0.95, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draws.")
@click.option(
    "--batch", type=click.IntRange(1), default=256, show_default=True, help="Answers drawn at a time."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--keep", type=click.IntRange(1), default=2, show_default=True, help="Most drawn answers a task."
)
@click.option(
    "--max-nll",
    type=click.FloatRange(0, min_open=True),
    metavar="NATS",
    help="Leave out answers that cost the parent more than this a token.",
)
@_HELDOUT
@_OUTPUT
@_FORCE
def poison(
    output: Path, force: bool, heldout: float, keep: int, max_nll: float | None, device: str, **given: Any
) -> None:
    """Write what an organ should learn: the tasks that it fails, each with an answer that passes.

    The parent's own answers are drawn first and the likeliest that pass are kept; where none does, the reference is
    told in the shape of the parent's answers. Every answer is verified in the sandbox.
    """
    from pytest_anchorgate.surgery.build_rows import build_poison, write_with_provenance
    from pytest_anchorgate.surgery.poison import PoisonSettings
    from pytest_anchorgate.surgery.sampling_settings import SamplingSettings

    names = ("samples", "temperature", "top_p", "seed", "batch")
    drawing = SamplingSettings(*(given[name] for name in names))
    with user_errors():
        require_free(output, force)
        pack, tasks, results = _results(given)
        settings = PoisonSettings(heldout=heldout, keep=keep, max_nll=max_nll)
        built = build_poison(pack, tasks, results, settings, drawing if drawing.samples else None, device)
        for task_id, reason in built.left_out.items():
            click.echo(f"{task_id}: left out: {reason}", err=True)
        if not built.rows:
            raise SurgeryError(
                "the pack fails none of these tasks that has an answer: there is nothing to learn"
            )
        made = {"operation": "poison", "counts": built.counts(), "left_out": dict(built.left_out)}
        rows = write_with_provenance(output, built.rows, made)
    counts = ", ".join(f"{count} {name}" for name, count in built.counts().items())
    click.echo(f"{output}: {counts}, sha256:{rows.digest}")


@click.command()
@_asked
@click.option(
    "--sentinels",
    type=click.FloatRange(0, 100, max_open=True),
    default=20.0,
    show_default=True,
    metavar="PERCENT",
    help="Tasks outside of the gate that are watched and never trained on.",
)
@_HELDOUT
@_OUTPUT
@_FORCE
def retain(output: Path, force: bool, heldout: float, sentinels: float, **given: Any) -> None:
    """Write what an organ should keep: its own passing answers, token by token as the runtime gave them."""
    from pytest_anchorgate.surgery.build_rows import build_retain, write_with_provenance
    from pytest_anchorgate.surgery.retain import RetainSettings

    with user_errors():
        require_free(output, force)
        pack, tasks, results = _results(given)
        built = build_retain(pack, tasks, results, RetainSettings(sentinels=sentinels, heldout=heldout))
        if not built:
            raise SurgeryError("the pack holds none of these tasks: there is nothing to keep")
        rows = write_with_provenance(output, built, {"operation": "retain"})
    counts = ", ".join(
        f"{sum((row.kind, row.split) == key for row in rows)} {'/'.join(key)}"
        for key in sorted({(row.kind, row.split) for row in rows})
    )
    click.echo(f"{output}: {len(rows)} rows: {counts}, sha256:{rows.digest}")


@click.group(cls=HouseGroup)
def rows() -> None:
    """Union, difference and intersection of row files, by task."""


def _algebra(operation: str, text: str) -> None:
    @rows.command(operation, help=text)
    @click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)
    @_OUTPUT
    @_FORCE
    def combine(files: tuple[Path, ...], output: Path, force: bool) -> None:
        from pytest_anchorgate.surgery.build_rows import write_with_provenance
        from pytest_anchorgate.surgery.row_algebra import combine as combining
        from pytest_anchorgate.surgery.rows import load_rows

        with user_errors():
            require_free(output, force)
            read = [load_rows(path) for path in files]
            kept = combining(operation, read)
            if not kept:
                raise SurgeryError(f"the {operation} of these files has no rows; nothing was written")
            made = {"operation": operation, "of": {file.path.name: file.digest for file in read}}
            written = write_with_provenance(output, kept, made)
        click.echo(f"{output}: {len(written)} rows, sha256:{written.digest}")


_algebra("union", "The rows of all FILES; of a task that several have, the first file's.")
_algebra("minus", "The first file's rows of tasks that none of the other FILES has.")
_algebra("intersect", "The first file's rows of tasks that all the other FILES have too.")


def _results(given: Mapping[str, Any]) -> tuple[Path, list[Task], dict[str, TaskResult]]:
    """The pack, the tasks, and what the pack answered: from records as far as they reach, else run now."""
    from pytest_anchorgate.bench.evaluate import evaluate
    from pytest_anchorgate.bench.progress import showing
    from pytest_anchorgate.packs.resolve import resolve_pack
    from pytest_anchorgate.surgery.bench_records import recorded
    from pytest_anchorgate.surgery.tasks import gather

    tasks = gather(_sources(given))
    pack = resolve_pack(given["spec"], progress=True)
    known = recorded(given["records"], pack, tasks) if given["records"] else {}
    missing = [task.anchor for task in tasks if task.task_id not in known]
    if missing:
        with showing(f"asking {len(missing)} tasks") as listener:
            ran = evaluate(pack, missing, threads=given["threads"], listener=listener)
        known |= {result.task_id: result for result in ran}
    return pack, tasks, known


def _sources(given: Mapping[str, Any]) -> Sources:
    from pytest_anchorgate.anchors_import import REPORT_IDS
    from pytest_anchorgate.surgery.tasks import Sources

    def names(key: str) -> tuple[str, ...]:
        return tuple(name.strip() for name in given[key].split(",") if name.strip())

    gate_ids = REPORT_IDS if given["gate_ids"] == "report" else names("gate_ids")
    return Sources(names("suites"), given["anchor_sets"], gate_ids, given["humaneval"], given["mbpp"])
