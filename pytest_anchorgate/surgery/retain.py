"""What an organ should keep: its own answers that pass, token by token as the runtime gave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_anchorgate.bench.evaluate import TaskResult
from pytest_anchorgate.surgery.encoding import Parent
from pytest_anchorgate.surgery.rows import FINISHES, Provenance, Row, completion_sha256
from pytest_anchorgate.surgery.splits import retain_split
from pytest_anchorgate.surgery.tasks import Task


@dataclass(frozen=True, slots=True)
class RetainSettings:
    """How to part the rows.

    Attributes:
        sentinels: percentage of the tasks outside of the gate that are watched and never trained on.
        heldout: the percentage that poison sets hold out; these tasks are watched too.
        max_tokens: longest row, prompt and answer together.
    """

    sentinels: float = 20.0
    heldout: float = 15.0
    max_tokens: int = 1024


def retain_rows(
    tasks: Sequence[Task], results: Mapping[str, TaskResult], parent: Parent, settings: RetainSettings
) -> list[Row]:
    """One row for each task that the parent holds: kind "anchor" for the gate's tasks, else "retain".

    Args:
        tasks: what was asked.
        results: of the parent's greedy run.
        parent: the pack that ran.
        settings: see there.
    """
    rows = []
    for task in tasks:
        result = results.get(task.task_id)
        if result is None or not result.held or result.finish_reason not in FINISHES:
            continue
        ids = tuple(result.token_ids)
        if result.finish_reason == "stop":
            # The runtime does not say which stop id it saw; the answers of a chat model end with this one.
            ids = (*ids, parent.answer_stop)
        prompt = parent.organ.tokenize(parent.prefix + task.anchor.prompt + parent.suffix)
        if len(prompt) + len(ids) > min(settings.max_tokens, parent.longest) and not task.gate:
            continue
        provenance = Provenance(
            "own", task.suite, parent.identity, completion_sha256(result.text), finish=result.finish_reason
        )
        split = retain_split(task.task_id, settings.sentinels, gate=task.gate, heldout=settings.heldout)
        kind = "anchor" if task.gate else "retain"
        rows.append(Row(task.task_id, kind, split, task.anchor.prompt, result.text, ids, provenance))
    return rows
