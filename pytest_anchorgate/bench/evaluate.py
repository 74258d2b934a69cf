"""A pack's greedy answers to tasks, and whether they are right: the one way in which anything here is scored.

    for result in evaluate(Path("organ.planck"), anchors):
        print(result.task_id, result.held)

The model runs in the engine host, a process of its own, batch after batch; answers are verified in the sandbox.
What a task scores depends on the pack and the task alone: not on the batch, the threads or the drafts
(docs/determinism.md).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.bench.batches import Batches
from pytest_anchorgate.engine import (
    EngineFailed,
    EngineProgress,
    Generated,
    Generation,
    Listener,
    Request,
    generate,
)
from pytest_anchorgate.evidence import judge
from pytest_anchorgate.packs.errors import PackFormatError
from pytest_anchorgate.progress import Quiet
from pytest_anchorgate.sandbox import Verdict
from pytest_anchorgate.verdict import NO_COMPLETION
from pytest_anchorgate.wire import MAX_LINE, printable, without_addresses

__all__ = ["Judge", "PackReplaced", "TaskResult", "evaluate", "generate_all", "judge_all"]

Judge = Callable[[Anchor, str], Verdict]

BATCH_SECONDS = 3600.0
_HELD = {"passed": True, "failed": False, "timeout": False, "killed": False}
# The runtime checks every prompt before it computes anything, and names the one it cannot take by its place.
_REFUSED_PROMPT = re.compile(r"\bprompts\[(\d+)\]: ")


class PackReplaced(PackFormatError):
    """The file at the pack's path changed while its answers were generated."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a pack did on one task.

    Attributes:
        status: of the sandbox: "passed", "failed", "timeout", "killed"; "error" or "refused" where nothing
            could be found out.
        reason: one printable line.
        text: the completion; `token_ids` are exact, without the stop token.
        margins: for each token its logit minus the second largest.
        finish_reason: "stop", "length", "code_end", or `NO_COMPLETION` where the pack cannot take the prompt.
        seconds: time the verification took.
        level: how the sandbox confined the code, "" if it was not started.
        pack_sha256: digest of the bytes that the engine had mapped.
    """

    task_id: str
    status: str
    reason: str
    text: str
    token_ids: tuple[int, ...]
    margins: tuple[float, ...]
    finish_reason: str
    seconds: float = 0.0
    level: str = ""
    pack_sha256: str = ""

    @property
    def held(self) -> bool | None:
        """Whether the answer is right; None where that could not be found out."""
        return _HELD.get(self.status)


def evaluate(
    pack: Path,
    tasks: Sequence[Anchor],
    *,
    threads: int | None = None,
    drafts: Mapping[str, Sequence[int]] | None = None,
    listener: Listener | None = None,
    timeout: float = BATCH_SECONDS,
    memory: int | None = None,
    judge_answer: Judge = judge,
    on_batch: Callable[[Sequence[TaskResult]], None] | None = None,
) -> list[TaskResult]:
    """Generates a pack's answers greedily and verifies each once.

    Args:
        pack: a `.planck` file.
        tasks: what to ask, ids unique.
        threads: of the engine; None lets it choose.
        drafts: task id -> tokens that the answer probably has, such as the parent's. They make it quicker and
            change nothing.
        listener: told how far the generation is; the counts run over all tasks.
        timeout: seconds for loading and generating one batch.
        memory: bytes for the key-value caches of a batch; None for half of what is free, at most 4 GiB.
        judge_answer: verifies one text; by default the code is taken out and run against the task's tests.
        on_batch: called with the results of each batch as soon as they are there, in this thread.

    Returns:
        One result a task, in order.

    Raises:
        EngineRefused, PackFormatError, OSError: the pack cannot be used.
        EngineError: there is no answer; see `engine`.
    """
    results: list[TaskResult] = []

    def judged(batch: Sequence[Anchor], done: Generation) -> None:
        results.extend(judge_all(batch, done.completions, str(done.info["pack_sha256"]), judge_answer))
        if on_batch is not None:
            on_batch(results[-len(batch) :])

    generate_all(
        pack,
        tasks,
        judged,
        threads=threads,
        drafts=drafts,
        listener=listener,
        timeout=timeout,
        memory=memory,
    )
    return results


def generate_all(
    pack: Path,
    tasks: Sequence[Anchor],
    take: Callable[[Sequence[Anchor], Generation], None],
    *,
    threads: int | None = None,
    drafts: Mapping[str, Sequence[int]] | None = None,
    listener: Listener | None = None,
    timeout: float = BATCH_SECONDS,
    memory: int | None = None,
) -> None:
    """Generates batch after batch, each in a fresh engine host, and hands each over; as `evaluate`."""
    known = drafts or {}
    sha256 = ""
    counting = _Counting(listener or Quiet(), len(tasks))
    for batch in Batches(pack, memory).of(tasks):
        request = Request(
            pack=pack,
            prompts=[task.prompt for task in batch],
            max_new_tokens=[task.max_new_tokens for task in batch],
            expected=[known.get(task.task_id) for task in batch],
            threads=threads,
        )
        done = _generate(request, timeout, counting)
        if sha256 not in ("", done.info["pack_sha256"]):
            raise PackReplaced(f"{pack}: was replaced while its answers were generated; start again")
        sha256 = str(done.info["pack_sha256"])
        counting.add(len(batch))
        take(batch, done)


def judge_all(
    tasks: Sequence[Anchor], completions: Sequence[Generated], pack_sha256: str, judge_answer: Judge = judge
) -> list[TaskResult]:
    """Verifies one completion a task, several at a time.

    An "error" is the sandbox's own failure, such as a machine too busy to start its processes in time, and says
    nothing about the answer: it is tried once more when the others are done, one at a time.
    """

    def one(task: Anchor, generated: Generated) -> TaskResult:
        if generated.finish_reason == NO_COMPLETION:
            verdict = Verdict("failed", generated.text)
        else:
            verdict = judge_answer(task, generated.text)
        return TaskResult(
            task_id=task.task_id,
            status=verdict.status,
            reason=printable(without_addresses(verdict.reason), MAX_LINE),
            text="" if generated.finish_reason == NO_COMPLETION else generated.text,
            token_ids=generated.token_ids,
            margins=generated.margins,
            finish_reason=generated.finish_reason,
            seconds=round(verdict.duration, 3),
            level=verdict.level,
            pack_sha256=pack_sha256,
        )

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        results = list(pool.map(one, tasks, completions))
    return [
        one(task, generated) if result.status == "error" else result
        for task, generated, result in zip(tasks, completions, results, strict=True)
    ]


def _generate(request: Request, timeout: float, listener: Listener) -> Generation:
    """One batch; a prompt that the pack cannot take gets no completion and does not cost the others theirs."""
    try:
        return generate(request, timeout=timeout, listener=listener)
    except EngineFailed as error:
        found = _REFUSED_PROMPT.search(str(error))
        if found is None or int(found[1]) >= len(request.prompts):
            raise
        place, words = int(found[1]), str(error)[found.end() :]
    rest = Request(
        pack=request.pack,
        prompts=_without(request.prompts, place),
        max_new_tokens=_without(request.max_new_tokens, place),
        expected=_without(request.expected, place),
        threads=request.threads,
    )
    done = _generate(rest, timeout, listener)
    none = Generated(f"the pack cannot take the prompt: {words}", (), (), NO_COMPLETION)
    completions = (*done.completions[:place], none, *done.completions[place:])
    return Generation(done.info, completions, done.seconds, done.tokens)


def _without(items: Sequence[Any], place: int) -> list[Any]:
    return [*items[:place], *items[place + 1 :]]


class _Counting:
    """Passes progress on as if all batches were one."""

    def __init__(self, listener: Listener, total: int) -> None:
        self._listener = listener
        self._total = total
        self._tasks = 0
        self._before = EngineProgress(0, total, 0, 0, 0.0)
        self._last = self._before
        self._loaded = False

    def loaded(self, info: Mapping[str, Any]) -> None:
        if not self._loaded:
            self._listener.loaded(info)
        self._loaded = True

    def progress(self, progress: EngineProgress) -> None:
        before = self._before
        self._last = EngineProgress(
            self._tasks + progress.finished,
            self._total,
            before.prompt_tokens + progress.prompt_tokens,
            before.generated_tokens + progress.generated_tokens,
            before.seconds + progress.seconds,
        )
        self._listener.progress(self._last)

    def add(self, tasks: int) -> None:
        """A batch is done."""
        self._tasks += tasks
        self._before = self._last
