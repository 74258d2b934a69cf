"""`anchorgate surgery train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pytest_anchorgate.cli_house import UserError, one_line_errors

if TYPE_CHECKING:
    from pytest_anchorgate.surgery.outcome import Outcome

_INTERRUPTED = 130


@click.command()
@click.argument("config", type=click.Path(path_type=Path), metavar="CONFIG.yaml")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder to write (default: `output`).",
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
def train(config: Path, output: Path | None, resume: bool) -> None:
    """Train a LoRA adapter from CONFIG.yaml.

    The folder becomes a standard PEFT directory with run.yaml (every setting, defaults included), log.jsonl, loss.png,
    kl.png, preview.txt, certificate.json and checkpoints/ beside the adapter. docs/surgery.md explains the settings.
    """
    try:
        from pytest_anchorgate.surgery import trainer
    except ImportError as error:
        raise UserError(
            f"training needs the extra [surgery]: pip install 'pytest-anchorgate[surgery]' ({error})"
        ) from None
    from pytest_anchorgate.surgery.config import read_settings
    from pytest_anchorgate.surgery.errors import SurgeryError
    from pytest_anchorgate.surgery.run_folder import RunFolder
    from pytest_anchorgate.surgery.train_progress import listener_here

    with one_line_errors(SurgeryError):
        settings = read_settings(config)
        chosen = output or settings.output
        if chosen is None:
            raise UserError(f"{config} names no output; give -o DIR")
        folder = RunFolder(chosen.absolute())
        if resume and folder.finished:
            click.echo(f"{chosen}: this run is finished; nothing to resume")
            return
        listener = listener_here()
        try:
            outcome = trainer.train(replace(settings, output=None), folder, listener, resume=resume)
        except KeyboardInterrupt:
            click.echo(f"interrupted; {trainer.saved_so_far(folder)}; go on with --resume", err=True)
            raise SystemExit(_INTERRUPTED) from None
        finally:
            listener.end()
    _tell(outcome)


def _tell(outcome: Outcome) -> None:
    if outcome.stopped:
        click.echo(
            f"stopped after step {outcome.steps} of {outcome.planned}: anchors lost their certificate; "
            f"the adapter is that of step {outcome.adapter_step}"
        )
    for name in ("anchors", "sentinels", "heldout"):
        found: Mapping[str, Any] = getattr(outcome, name)
        if found["rows"]:
            click.echo(_line(name, found))
    if outcome.lost:
        click.echo(f"without certificate now: {', '.join(outcome.lost)}")
    click.echo(f"{outcome.folder.path}: {outcome.steps} steps in {outcome.seconds:.0f} s")


def _line(name: str, found: Mapping[str, Any]) -> str:
    rates = f"cross entropy {found['nll']:.4f}, KL {found['kl_mean']:.4f} (largest {found['kl_max']:.3f}) nats a token"
    if name == "heldout":
        return f"held out: {found['rows']} rows, {rates}"
    certified = f"{found['certified']} of {found['rows']} certified, least margin {found['least_margin']:.3f}"
    return f"{name}: {certified}, {rates}"
