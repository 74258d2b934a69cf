"""The one way of scoring: batches, drafts and prompts that do not fit change nothing but the time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from organs import damaged_pack, markov_pack, tag

from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.bench import evaluate as evaluating
from pytest_anchorgate.bench.batches import MOST_TASKS, Batches
from pytest_anchorgate.bench.evaluate import PackReplaced, TaskResult, evaluate
from pytest_anchorgate.engine import EngineProgress, EngineRefused
from pytest_anchorgate.sandbox import Verdict

ANSWERS = {
    "right": "```python\ndef f(x):\n    return x\n```",
    "wrong": "```python\ndef f(x):\n    return x + 1\n```",
    "endless": "```python\ndef f(x):\n    raise SystemExit\n```",
    "prose": "It cannot be done.",
}
EXPECTED = {"right": True, "wrong": False, "endless": False, "prose": False}


def task(name: str, prompt: str = "", number: int = 0) -> Anchor:
    return Anchor(
        task_id=f"T/{name}{number or ''}",
        entry_point="f",
        prompt=f"{prompt}{tag(name)}",
        tests=("assert f(3) == 3",),
        check=None,
        setup="",
        max_new_tokens=8,
        source="",
        line=1,
        code_prompt="",
    )


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return markov_pack(tmp_path_factory.mktemp("packs") / "p.planck", ANSWERS)


class Watching:
    def __init__(self) -> None:
        self.loads: list[Mapping[str, Any]] = []
        self.seen: list[EngineProgress] = []

    def loaded(self, info: Mapping[str, Any]) -> None:
        self.loads.append(info)

    def progress(self, progress: EngineProgress) -> None:
        self.seen.append(progress)


def without_time(results: list[TaskResult]) -> list[TaskResult]:
    return [dataclasses.replace(result, seconds=0.0) for result in results]


def test_each_task_is_answered_and_judged(pack: Path) -> None:
    results = evaluate(pack, [task(name) for name in ANSWERS])
    assert [result.task_id for result in results] == [f"T/{name}" for name in ANSWERS]
    assert [result.held for result in results] == list(EXPECTED.values())
    assert [result.text for result in results] == list(ANSWERS.values())
    for result in results:
        assert len(result.token_ids) == len(result.margins) == 1
        assert len(result.pack_sha256) == 64
    assert results[0].level


def test_batches_and_drafts_change_nothing(pack: Path) -> None:
    tasks = [task(name) for name in ANSWERS]
    together = without_time(evaluate(pack, tasks))
    assert without_time(evaluate(pack, tasks, memory=1)) == together
    assert without_time(evaluate(pack, tasks[::-1]))[::-1] == together
    drafts = {"T/right": together[0].token_ids, "T/wrong": together[0].token_ids, "T/other": (1,)}
    assert without_time(evaluate(pack, tasks, drafts=drafts)) == together


def test_a_prompt_that_does_not_fit_costs_only_itself(pack: Path) -> None:
    tasks = [task("right"), task("right", "x" * 9000, 2), task("wrong"), task("right", "y" * 9000, 4)]
    results = evaluate(pack, tasks)
    assert [result.held for result in results] == [True, False, False, False]
    for result in (results[1], results[3]):
        assert result.finish_reason == "no completion"
        assert "at most 8192" in result.reason
        assert result.text == ""


def test_progress_is_counted_over_all_batches(pack: Path) -> None:
    watching = Watching()
    batches: list[int] = []
    tasks = [task("right", number=n) for n in range(1, 6)]
    evaluate(pack, tasks, memory=1, listener=watching, on_batch=lambda batch: batches.append(len(batch)))
    assert batches == [1] * 5
    assert len(watching.loads) == 1
    assert {progress.total for progress in watching.seen} == {5}
    finished = [progress.finished for progress in watching.seen]
    assert finished == sorted(finished)
    assert finished[-1] == 5
    assert watching.seen[-1].generated_tokens == 5


def test_batches_are_as_large_as_memory_allows(pack: Path) -> None:
    tasks = [task("right", number=n) for n in range(1, 2 * MOST_TASKS + 2)]
    # One layer with one head of 16 floats: 128 bytes a token for keys and values.
    one = (len(tasks[98].prompt) + 8 + 16) * 128
    assert [len(batch) for batch in Batches(pack, 3 * one).of(tasks[99:])][:2] == [3, 3]
    assert [len(batch) for batch in Batches(pack).of(tasks)] == [MOST_TASKS, MOST_TASKS, 1]
    assert [len(batch) for batch in Batches(pack, 0).of(tasks[:3])] == [1, 1, 1]
    assert [one for batch in Batches(pack, 3 * one).of(tasks) for one in batch] == tasks


def test_a_pack_replaced_between_batches_is_noticed(pack: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.planck"
    own.write_bytes(pack.read_bytes())

    def replace(_: object) -> None:
        damaged_pack(pack, own, {"right": "wrong"})

    with pytest.raises(PackReplaced, match="was replaced"):
        evaluate(own, [task("right"), task("wrong")], memory=1, on_batch=replace)


def test_what_the_sandbox_cannot_judge_is_neither_held_nor_lost(pack: Path) -> None:
    def broken(anchor: Anchor, text: str) -> Verdict:
        return Verdict("error", "no \x1b[31mconfinement at 0x7f00deadbeef")

    (result,) = evaluate(pack, [task("right")], judge_answer=broken)
    assert result.held is None
    assert result.reason == "no \\x1b[31mconfinement at 0x..."


def test_no_pack_and_no_tasks(pack: Path, tmp_path: Path) -> None:
    assert evaluate(pack, []) == []
    with pytest.raises((OSError, EngineRefused)):
        evaluate(tmp_path / "none.planck", [task("right")])


def test_other_failures_of_the_engine_are_not_taken_for_a_prompt(
    pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise evaluating.EngineFailed("the engine failed: MemoryError: prompts")

    monkeypatch.setattr(evaluating, "generate", fail)
    with pytest.raises(evaluating.EngineFailed, match="MemoryError"):
        evaluate(pack, [task("right")])
