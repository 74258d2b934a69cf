"""Two pictures of a run from its log: the losses, and how far the child went from the parent."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_anchorgate.packs.atomic import writing_beside

Records = Sequence[Mapping[str, Any]]
_SIZE = (8.0, 4.5)
_POISON, _RETAIN, _WEIGHT, _ANCHORS = "#b5442e", "#2e6fb5", "#8a8a8a", "#2e8b57"


def draw(records: Records, folder: Path) -> None:
    """Writes loss.png and kl.png. Raises OSError if they cannot be written."""
    steps = [record for record in records if record["event"] == "step"]
    checks = [record for record in records if record["event"] == "check"]
    _save(_losses(steps, checks), folder / "loss.png")
    _save(_divergence(steps, checks), folder / "kl.png")


def _losses(steps: Records, checks: Records) -> Any:
    figure, axes = _figure("cross entropy, nats a token")
    _line(axes, steps, "poison_ce", "poison, trained on", _POISON)
    _line(axes, steps, "retain_ce", "retain", _RETAIN)
    held_out = [
        (record["step"], record["heldout"]["nll"])
        for record in checks
        if record.get("heldout", {}).get("rows")
    ]
    if held_out:
        axes.plot(*zip(*held_out, strict=True), "o--", color=_POISON, label="poison, held out", markersize=4)
    return _finished(figure, axes)


def _divergence(steps: Records, checks: Records) -> Any:
    figure, axes = _figure("KL(parent || child), nats a token")
    _line(axes, steps, "kl", "retain rows of the step", _RETAIN)
    anchors = [
        (record["step"], record["anchors"]["kl_mean"]) for record in checks if record["anchors"]["rows"]
    ]
    if anchors:
        axes.plot(*zip(*anchors, strict=True), "o-", color=_ANCHORS, label="anchors", markersize=4)
    # The first check is of the parent itself, whose 0 a logarithm cannot show.
    axes.set_yscale("symlog", linthresh=1e-4)
    axes.set_ylim(bottom=0)
    weights = [(record["step"], record["kl_weight"]) for record in steps if record.get("kl_weight")]
    if weights:
        beside = axes.twinx()
        beside.plot(*zip(*weights, strict=True), ":", color=_WEIGHT)
        beside.set_ylabel("weight of KL (dotted)", color=_WEIGHT)
        beside.set_yscale("log")
    return _finished(figure, axes)


def _figure(what: str) -> tuple[Any, Any]:
    # matplotlib.pyplot would choose a window system; a bare figure draws into a file everywhere.
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel("step")
    axes.set_ylabel(what)
    axes.grid(alpha=0.3)
    return figure, axes


def _line(axes: Any, steps: Records, key: str, label: str, color: str) -> None:
    points = [(record["step"], record[key]) for record in steps if record.get(key) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), color=color, label=label, linewidth=1.2)


def _finished(figure: Any, axes: Any) -> Any:
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    return figure


def _save(figure: Any, path: Path) -> None:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    with writing_beside(path) as file:
        file.write(data.getvalue())
