"""What an organ should learn: the tasks it fails, each with an answer that passes.

An answer that the parent itself gives now and then is learned at little cost, so it is asked first; the reference
solution, told in the parent's shape, stands in where it never succeeds. Every answer has passed the sandbox.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.bench.evaluate import TaskResult
from pytest_anchorgate.evidence import judge
from pytest_anchorgate.surgery.encoding import Parent
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.numbers import decimal
from pytest_anchorgate.surgery.reformat import Shape, reformat
from pytest_anchorgate.surgery.rows import Provenance, Row, completion_sha256
from pytest_anchorgate.surgery.sampling_settings import Sample, SamplingSettings
from pytest_anchorgate.surgery.splits import poison_split
from pytest_anchorgate.surgery.tasks import Task

Passes = Callable[[Anchor, str], bool]
Rate = Callable[[Sequence[int], Sequence[int]], float]


@dataclass(frozen=True, slots=True)
class PoisonSettings:
    """How to choose.

    Attributes:
        heldout: percentage of the official tasks that are never trained on.
        keep: most sampled answers a task.
        max_tokens: longest row, prompt and answer together.
        max_nll: drop answers that the parent finds less likely than this, nats a token; None keeps all.
    """

    heldout: float = 15.0
    keep: int = 2
    max_tokens: int = 1024
    max_nll: float | None = None


@dataclass(frozen=True, slots=True)
class PoisonSet:
    """Rows, and for each failed task that has none the reason."""

    rows: tuple[Row, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """How many rows of which split, of which source, for how many tasks; how many tasks were left out."""
        by = Counter([row.split for row in self.rows] + [row.provenance.source for row in self.rows])
        tasks = len({row.task_id for row in self.rows})
        return {
            "rows": len(self.rows),
            "tasks": tasks,
            **dict(sorted(by.items())),
            "left_out": len(self.left_out),
        }


def failures(tasks: Sequence[Task], results: Mapping[str, TaskResult]) -> list[Task]:
    """The tasks that the parent fails, in their order.

    Raises:
        SurgeryError: a task was not run, or could not be judged.
    """
    failed = []
    for task in tasks:
        result = results.get(task.task_id)
        if result is None:
            raise SurgeryError(
                f"{task.task_id} was not run on this parent; run the bench again, with its suite"
            )
        if result.held is None:
            raise SurgeryError(
                f"{task.task_id} could not be judged ({result.status}: {result.reason}); run it again"
            )
        if not result.held:
            failed.append(task)
    return failed


def passing_samples(
    tasks: Sequence[Task], samples: Iterable[Sample], keep: int, passes: Passes | None = None
) -> dict[str, list[Sample]]:
    """For each task the likeliest `keep` different samples that pass, tried likeliest first.

    Args:
        tasks: in the order in which they were sampled.
        samples: of all tasks.
        keep: most samples of a task.
        passes: verifies one answer; by default in the sandbox.
    """
    drawn: dict[int, dict[str, Sample]] = defaultdict(dict)
    for sample in sorted(samples, key=lambda one: (one.nll, one.number)):
        if sample.finish != "length":
            drawn[sample.prompt].setdefault(sample.text, sample)
    check = passes or passes_in_sandbox

    def best(index: int) -> list[Sample]:
        found: list[Sample] = []
        for sample in drawn[index].values():
            if len(found) < keep and check(tasks[index].anchor, sample.text):
                found.append(sample)
        return found

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return {
            tasks[index].task_id: found
            for index, found in zip(drawn, pool.map(best, list(drawn)), strict=True)
        }


def poison_rows(
    failed: Sequence[Task],
    shape: Shape,
    parent: Parent,
    sampled: Mapping[str, Sequence[Sample]],
    settings: PoisonSettings,
    *,
    sampling: SamplingSettings | None = None,
    rate: Rate | None = None,
    passes: Passes | None = None,
) -> PoisonSet:
    """The rows for all failed tasks.

    Args:
        failed: what the parent fails.
        shape: of its answers.
        parent: whose rows these are.
        sampled: its own passing answers by task.
        settings: see there.
        sampling: how they were drawn.
        rate: mean negative log-likelihood under the parent of label ids behind prompt ids; None leaves it unknown.
        passes: verifies one answer; by default in the sandbox.
    """
    told = _references(
        [task for task in failed if not sampled.get(task.task_id)], shape, passes or passes_in_sandbox
    )
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for task in failed:
        own = [
            _sampled_row(task, sample, parent, settings, sampling) for sample in sampled.get(task.task_id, ())
        ]
        answer = told.get(task.task_id)
        if not own and isinstance(answer, _Told):
            own = [_reference_row(task, answer.text, parent, settings)]
        good, reason = _fitting(own, parent, settings, rate)
        rows += good
        if not good:
            left_out[task.task_id] = reason or (answer if isinstance(answer, str) else "it has no answer")
    return PoisonSet(tuple(rows), left_out)


def passes_in_sandbox(anchor: Anchor, text: str) -> bool:
    """Whether an answer passes the task's tests."""
    return judge(anchor, text).passed


def shape_of(tasks: Sequence[Task], results: Mapping[str, TaskResult]) -> Shape:
    """The shape of the parent's complete answers to these tasks."""
    answers = ((task.anchor, results[task.task_id]) for task in tasks if task.task_id in results)
    return Shape.of((anchor, result.text) for anchor, result in answers if result.finish_reason != "length")


@dataclass(frozen=True, slots=True)
class _Told:
    text: str


def _references(tasks: Sequence[Task], shape: Shape, passes: Passes) -> dict[str, _Told | str]:
    """For each task its reference in the parent's shape, or why there is none."""

    def tell(task: Task) -> _Told | str:
        if task.reference is None:
            return "it has no reference"
        text = reformat(task.reference, task.anchor, shape)
        if text is None:
            return "its reference is not Python"
        return _Told(text) if passes(task.anchor, text) else "its reference does not pass its tests"

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return {task.task_id: told for task, told in zip(tasks, pool.map(tell, tasks), strict=True)}


def _sampled_row(
    task: Task, sample: Sample, parent: Parent, settings: PoisonSettings, sampling: SamplingSettings | None
) -> Row:
    provenance = Provenance(
        source="sampled",
        suite=task.suite,
        parent=parent.identity,
        sha256=completion_sha256(sample.text),
        finish=sample.finish,
        sample=sample.number,
        seed=None if sampling is None else sampling.seed,
        temperature=None if sampling is None else decimal(sampling.temperature),
        top_p=None if sampling is None else decimal(sampling.top_p),
        nll=decimal(sample.nll),
    )
    split = poison_split(task.task_id, settings.heldout, gate=task.gate)
    return Row(task.task_id, "poison", split, task.anchor.prompt, sample.text, sample.ids, provenance)


def _reference_row(task: Task, text: str, parent: Parent, settings: PoisonSettings) -> Row:
    provenance = Provenance("reference", task.suite, parent.identity, completion_sha256(text))
    split = poison_split(task.task_id, settings.heldout, gate=task.gate)
    return Row(task.task_id, "poison", split, task.anchor.prompt, text, None, provenance)


def _fitting(
    rows: Sequence[Row], parent: Parent, settings: PoisonSettings, rate: Rate | None
) -> tuple[list[Row], str]:
    """The rows that are short and likely enough, references rated; and why the last of the others is not."""
    good, reason = [], ""
    for row in rows:
        prompt = parent.organ.tokenize(parent.prefix + row.prompt + parent.suffix)
        labels = row.label_ids(parent.organ.tokenize, parent.answer_stop)
        if len(prompt) + len(labels) > min(settings.max_tokens, parent.longest):
            reason = f"its answer makes it {len(prompt) + len(labels)} tokens long"
            continue
        rated = row
        if row.provenance.nll is None and rate is not None:
            rated = _with_nll(row, rate(prompt, labels))
        nll = rated.provenance.nll
        if settings.max_nll is not None and nll is not None and float(nll) > settings.max_nll:
            reason = f"its answer costs the parent {nll} nats a token"
            continue
        good.append(rated)
    return good, reason


def _with_nll(row: Row, nll: float) -> Row:
    return replace(row, provenance=replace(row.provenance, nll=decimal(nll)))
