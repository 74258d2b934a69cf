"""Small suites in words of our own, and packs that answer every prompt with one and the same text.

A suite's prompts all end alike, so a hand-made pack cannot tell its tasks apart. It need not: its one answer defines
many functions, and so solves the tasks whose function it has.
"""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from organs import markov_pack, tag

from pytest_anchorgate.cli import main

HUNDRED = range(11, 111)
ADD = "def add_{n}(x):\n    return x + {n}\n"


def answer_pack(path: Path, source: str) -> Path:
    """A pack that answers everything with this program."""
    return markov_pack(path, {"all": f"```python\n{source}```"}, template=("", tag("all")))


def adding(numbers: Iterable[int]) -> str:
    return "".join(ADD.format(n=n) for n in numbers)


def write_mbpp(path: Path, numbers: Iterable[int] = HUNDRED) -> Path:
    """Task n asks for add_n."""
    lines = [
        {
            "task_id": n,
            "text": f"Write a function that adds {n}.",
            "code": ADD.format(n=n),
            "test_list": [f"assert add_{n}(1) == {n + 1}", f"assert add_{n}(-{n}) == 0"],
            "test_setup_code": "",
            "challenge_test_list": [],
        }
        for n in numbers
    ]
    return write_lines(path, lines)


def write_humaneval(path: Path, names: Iterable[str]) -> Path:
    lines = [
        {
            "task_id": f"HumanEval/{n}",
            "entry_point": name,
            "prompt": f'def {name}(x):\n    """Give back {n} more than x."""\n',
            "canonical_solution": f"    return x + {n}\n",
            "test": f"def check(candidate):\n    assert candidate(1) == {n + 1}\n",
        }
        for n, name in enumerate(names)
    ]
    return write_lines(path, lines)


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def packed(tests: Any) -> str:
    """Private tests as the releases have them."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


def live_task(
    question_id: str, tests: list[tuple[str, str]], function: str = "", **changes: Any
) -> dict[str, Any]:
    """A line of a LiveCodeBench file: the first test is public, the others are private."""
    kind = "functional" if function else "stdin"
    entries = [{"input": given, "output": wanted, "testtype": kind} for given, wanted in tests]
    starter = (
        f"class Solution:\n    def {function}(self, xs: List[int]) -> int:\n        " if function else ""
    )
    return {
        "question_title": question_id,
        "question_content": f"Do what {question_id} says.",
        "platform": "leetcode" if function else "atcoder",
        "question_id": question_id,
        "contest_id": "c1",
        "contest_date": "2024-01-06T00:00:00",
        "starter_code": starter,
        "difficulty": "easy",
        "public_test_cases": json.dumps(entries[:1]),
        "private_test_cases": packed(entries[1:]),
        "metadata": json.dumps({"func_name": function} if function else {}),
        **changes,
    }


def anchorgate(*args: object, code: int = 0) -> Result:
    """Runs the command; its exit status must be `code`."""
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exit_code == code, f"{result.exit_code}: {result.output}\n{result.stderr}"
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def only_line(result: Result) -> str:
    """The one line of a user's error."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert result.stderr.rstrip().endswith(lines[0])
    return lines[0]
