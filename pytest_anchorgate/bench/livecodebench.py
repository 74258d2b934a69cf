"""LiveCodeBench tasks from the user's copy of a release file; their text is never part of this project.

The files of a release hold hundreds of megabytes, nearly all of it tests. So a file is read line by line, of each
task only its question stays in memory, and its tests are read again from their place when an answer is there.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_anchorgate.anchors import Anchor, AnchorsError
from pytest_anchorgate.anchors_line import shown
from pytest_anchorgate.bench.livecode_format import LineProblem, Problem, parse_problem
from pytest_anchorgate.bench.livecode_judge import judge_problem
from pytest_anchorgate.sandbox import Verdict

__all__ = ["LiveCodeFile", "LiveCodeTask", "read_livecodebench"]

MAX_NEW_TOKENS = 1024
MAX_LINE_BYTES = 256 << 20
_CLOSING = "Answer with one Python code block."


@dataclass(frozen=True, slots=True)
class LiveCodeTask:
    """One task and where its line stands.

    Attributes:
        anchor: what is asked; it holds no tests.
        sha256: of the line.
    """

    anchor: Anchor
    platform: str
    difficulty: str
    date: str
    functional: bool
    offset: int
    length: int
    sha256: str


class LiveCodeFile:
    """The tasks of one file, and the judge of answers to them."""

    def __init__(self, path: Path, tasks: tuple[LiveCodeTask, ...]) -> None:
        self.path = path
        self.tasks = tasks
        self._by_id = {task.anchor.task_id: task for task in tasks}
        # Unpacked tests are large, and answers are judged in several threads.
        self._reading = threading.Lock()

    def judge(self, anchor: Anchor, text: str) -> Verdict:
        """Verifies what a model wrote on a task of this file; see `judge_problem`."""
        task = self._by_id[anchor.task_id]
        try:
            problem = self._read(task)
        except (OSError, LineProblem) as error:
            return Verdict("error", f"{shown(self.path)}:{task.anchor.line}: {error}")
        return judge_problem(problem, text)

    def _read(self, task: LiveCodeTask) -> Problem:
        with self._reading:
            with self.path.open("rb") as file:
                file.seek(task.offset)
                raw = file.read(task.length)
            if hashlib.sha256(raw).hexdigest() != task.sha256:
                raise LineProblem("was changed while the benchmark ran")
            return parse_problem(raw)


def read_livecodebench(path: Path, limit: int | None = None) -> LiveCodeFile:
    """Reads the first `limit` tasks of a file, all if None; each is checked to the last test.

    Raises:
        AnchorsError: one line, FILE:LINE, for a file that is not LiveCodeBench.
    """
    tasks: list[LiveCodeTask] = []
    seen: dict[str, int] = {}
    for number, offset, raw in _lines(path):
        try:
            problem = parse_problem(raw)
        except LineProblem as wrong:
            raise AnchorsError(
                f"{shown(path)}:{number}: {wrong}; get a file of LiveCodeBench's code_generation_lite"
            ) from None
        first = seen.setdefault(problem.question_id, number)
        if first != number:
            raise AnchorsError(
                f"{shown(path)}:{number}: question_id {problem.question_id} is already taken by line {first}; "
                "remove one of the two"
            )
        tasks.append(_task(problem, number, offset, raw))
        if len(tasks) == limit:
            break
    if not tasks:
        raise AnchorsError(
            f"{shown(path)}: holds no tasks; get a file of LiveCodeBench's code_generation_lite"
        )
    return LiveCodeFile(path.absolute(), tuple(tasks))


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number, offset and content of each line that is not blank."""
    try:
        if not path.is_file():
            what = "is not a file" if path.exists() else "No such file or directory"
            raise AnchorsError(f"{shown(path)}: {what}; name a file of LiveCodeBench's code_generation_lite")
        with path.open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                raise AnchorsError(f"{shown(path)}: is compressed; unpack it first with gzip -dk")
            file.seek(0)
            number = offset = 0
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise AnchorsError(f"{shown(path)}:{number}: longer than {MAX_LINE_BYTES >> 20} MiB")
                if raw.strip():
                    yield number, offset, raw
                offset += len(raw)
    except OSError as error:
        raise AnchorsError(f"{shown(path)}: {error.strerror or error}; check the path") from None


def _task(problem: Problem, number: int, offset: int, raw: bytes) -> LiveCodeTask:
    anchor = Anchor(
        task_id=f"LiveCodeBench/{problem.question_id}",
        entry_point=problem.function or "main",
        prompt=_prompt(problem),
        tests=(),
        check=None,
        setup="",
        max_new_tokens=MAX_NEW_TOKENS,
        source="LiveCodeBench",
        line=number,
        code_prompt="",
    )
    return LiveCodeTask(
        anchor=anchor,
        platform=problem.platform,
        difficulty=problem.difficulty,
        date=problem.date,
        functional=bool(problem.function),
        offset=offset,
        length=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def _prompt(problem: Problem) -> str:
    """The question and the form of the answer, in the words that the other suites use."""
    parts = [problem.question.replace("\r\n", "\n").strip()]
    if problem.function:
        parts.append(f"Complete this code.\n\n```python\n{problem.starter_code.rstrip()}\n```")
    else:
        parts.append("Write a program that reads the input from standard input and prints the answer.")
    return "\n\n".join([*parts, _CLOSING])
