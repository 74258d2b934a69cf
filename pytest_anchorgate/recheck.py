"""The determinism check at work: answers generated a second time, in a fresh engine, in another way.

The second engine gets no drafts, fewer answers, in reverse order, with other threads and another prefill
chunk: all of what must not change a bit (docs/determinism.md). What it finds is judged in verdict.py, by the
rule in repeats.py. It never replaces the first answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_anchorgate.engine import EngineError, EngineRefused, Request, generate
from pytest_anchorgate.gate import Gate
from pytest_anchorgate.progress import Quiet
from pytest_anchorgate.repeats import Repeat, sample

PREFILL_CHUNK = 64
# The verifications that run meanwhile have deadlines; the second engine has time.
_NICE = 10
# A wait that nobody needs to be told about.
_PATIENCE = 1.0


@dataclass(slots=True)
class Repeated:
    """What a second engine gave.

    Attributes:
        repeats: its answers.
        failures: by task id why there is none.
        seconds: generating, without loading; `tokens`: written in that time.
    """

    repeats: list[Repeat] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    tokens: int = 0

    def add(self, other: Repeated) -> None:
        """Takes over the results of another engine."""
        self.repeats += other.repeats
        self.failures.update(other.failures)
        self.seconds += other.seconds
        self.tokens += other.tokens


def generate_again(gate: Gate, task_ids: Collection[str]) -> Repeated:
    """Has a fresh engine answer these anchors, in another layout than the first did.

    Whatever goes wrong ends up in `failures`: without a second answer there is no verdict.
    """
    wanted = [anchor for anchor in gate.anchors if anchor.task_id in task_ids][::-1]
    request = Request(
        pack=gate.pack.path,
        prompts=[anchor.prompt for anchor in wanted],
        max_new_tokens=[anchor.max_new_tokens for anchor in wanted],
        expected=[None] * len(wanted),
        threads=_other_threads(gate.answers.info),
        prefill_chunk=PREFILL_CHUNK,
        nice=_NICE,
    )
    try:
        done = generate(request, timeout=gate.timeout, listener=Quiet())
    except (EngineError, EngineRefused, OSError) as error:
        said = str(error) if isinstance(error, EngineError) else f"the engine refused the pack: {error}"
        return Repeated(failures={a.task_id: f"it was not generated again: {said}" for a in wanted})
    pack_sha256 = str(done.info["pack_sha256"])
    repeats = [
        Repeat(anchor.task_id, pack_sha256, answer.token_ids)
        for anchor, answer in zip(wanted, done.completions, strict=True)
    ]
    return Repeated(repeats, {}, done.seconds, done.tokens)


class Recheck:
    """The check of one session: the sample while the sandbox verifies, the lost anchors at the end."""

    def __init__(self, gate: Gate) -> None:
        self.result = Repeated()
        self._gate = gate
        self._thread: threading.Thread | None = None
        self._sampled: tuple[str, ...] = ()
        self._finished = False

    def start(self) -> None:
        """Begins with the sample, if the engine gave answers."""
        gate = self._gate
        if not gate.recheck or gate.answers.failure or self._thread is not None:
            return
        manifest = gate.manifest
        chosen = sample(manifest.pack_sha256, manifest.anchors_digest, gate.baseline.held, gate.recheck)
        self._sampled = tuple(task_id for task_id in chosen if task_id in gate.answers.completions)
        # A daemon: a session that is interrupted does not wait, and the engine ends with this process.
        self._thread = threading.Thread(target=self._run, args=(self._sampled,), daemon=True)
        self._thread.start()

    def finish(self, lost: Sequence[str], waiting: Callable[[int], object]) -> Repeated:
        """Waits for the sample and checks the lost anchors that are not part of it; once a session.

        Args:
            lost: the anchors that are lost by the first answer.
            waiting: told how many answers are still to come, where there are any.
        """
        if self._finished or self._thread is None:
            return self.result
        self._finished = True
        rest = tuple(task_id for task_id in lost if task_id not in self._sampled)
        self._thread.join(_PATIENCE)
        if rest or self._thread.is_alive():
            waiting(len(rest) + (len(self._sampled) if self._thread.is_alive() else 0))
        self._thread.join()
        if rest:
            self._run(rest)
        return self.result

    def _run(self, task_ids: tuple[str, ...]) -> None:
        if task_ids:
            self.result.add(generate_again(self._gate, task_ids))


def _other_threads(info: Mapping[str, object]) -> int:
    """Half of the first engine's threads, which leaves cores to the sandbox; two instead of one."""
    threads = info.get("threads")
    return max(1, threads // 2) if isinstance(threads, int) and threads > 1 else 2
