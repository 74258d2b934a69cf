"""LiveCodeBench: both kinds of tests, the packed form of the releases, and files that are not what they should be."""

from __future__ import annotations

import base64
import json
import os
import pickle
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
from bench_house import live_task, packed, write_lines

from pytest_anchorgate.anchors import AnchorsError
from pytest_anchorgate.bench import livecode_judge
from pytest_anchorgate.bench.livecode_compare import same_output, same_value
from pytest_anchorgate.bench.livecode_format import parse_problem
from pytest_anchorgate.bench.livecodebench import LiveCodeFile, read_livecodebench
from pytest_anchorgate.sandbox import Verdict

SUMS = [(f"{a} {a + 1}\n", f"{2 * a + 1}\n") for a in range(25)]
LISTS = [("[1, 2]\n3", "[3, 6]"), ("[]\n4", "[]"), ("[5]\n0", "[0]")]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> LiveCodeFile:
    path = tmp_path_factory.mktemp("lcb") / "test.jsonl"
    tasks = [
        live_task("sum_a", SUMS),
        live_task("scale", LISTS, "scale"),
        live_task("echo", [("a\n\nb\n", "a\n\nb")]),
        live_task("plain", LISTS, "scale", starter_code="def scale(xs, k):\n    "),
    ]
    return read_livecodebench(write_lines(path, tasks))


def judged(file: LiveCodeFile, number: int, code: str) -> Verdict:
    return file.judge(file.tasks[number].anchor, f"Like this:\n\n```python\n{code}\n```")


PROGRAMS_THAT_PASS = {
    "input": "a, b = map(int, input().split())\nprint(a + b)",
    "stdin": "import sys\nprint(sum(int(w) for w in sys.stdin.read().split()))",
    "readline": "from sys import stdin\nprint(sum(map(int, stdin.readline().split())))",
    "imported for it": "print(reduce(operator.add, map(int, stdin.read().split())))",
    "buffers": "import sys\nsys.stdout.buffer.write(b'%d' % sum(map(int, sys.stdin.buffer.read().split())))",
    "open": "print(sum(map(int, open(0).read().split())))",
    "main": "def main():\n    print(sum(map(int, input().split())))\n\n\nif __name__ == '__main__':\n    main()",
    "exit": "import sys\nprint(sum(map(int, input().split())))\nsys.exit(0)\nprint('no')",
    "thread": "import threading\nthreading.Thread(target=lambda: print(sum(map(int, input().split())))).start()",
    "equal number": "print(float(sum(map(int, input().split()))), end='')",
    "spaces": "print(' ', sum(map(int, input().split())), '\\n')",
    "closes": "import sys\nprint(sum(map(int, input().split())))\nsys.stdout.close()",
    "dataclass": (
        "from dataclasses import dataclass\n\n\n@dataclass\nclass P:\n    a: int\n    b: int\n\n\n"
        "p = P(*map(int, input().split()))\nprint(p.a + p.b)"
    ),
    "no state is kept": (
        "if 'seen' in globals():\n    raise ValueError\nseen = 1\nprint(sum(map(int, input().split())))"
    ),
}
PROGRAMS_THAT_FAIL = {
    "wrong": ("a, b = map(int, input().split())\nprint(a - b)", "failed", "test 1 of 25"),
    "wrong late": (
        "s = sum(map(int, input().split()))\nprint(s if s < 41 else 0)",
        "failed",
        "test 21 of 25",
    ),
    "nothing": ("pass", "failed", "got ''"),
    "raises": ("print(1 / 0)", "failed", "ZeroDivisionError"),
    "too much input": ("input()\ninput()", "failed", "EOFError"),
    "not Python": ("def (", "failed", "SyntaxError"),
    "leaves": ("import os\nos._exit(0)", "failed", "left its process"),
    "files": ("open('/etc/passwd').read()", "failed", "denied by the sandbox|PermissionError|FileNotFound"),
    "forged": (
        "import sys\nclass Same(str):\n    def __eq__(self, other):\n        return True\n"
        "    __hash__ = str.__hash__\nsys.modules['candidate'].answer = lambda given: Same('x')\nprint(0)",
        "failed",
        "test 1 of 25",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS_THAT_PASS)
def test_programs_that_pass(file: LiveCodeFile, name: str) -> None:
    verdict = judged(file, 0, PROGRAMS_THAT_PASS[name])
    assert (verdict.status, verdict.reason) == ("passed", "all 25 tests")
    assert verdict.level


@pytest.mark.parametrize("name", PROGRAMS_THAT_FAIL)
def test_programs_that_fail(file: LiveCodeFile, name: str) -> None:
    code, status, reason = PROGRAMS_THAT_FAIL[name]
    verdict = judged(file, 0, code)
    assert verdict.status == status
    assert re.search(reason, verdict.reason)


def test_an_endless_program_costs_one_test(file: LiveCodeFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livecode_judge, "_SECONDS_A_TEST", 1)
    verdict = judged(file, 0, "while True:\n    pass")
    assert verdict.status == "timeout"
    assert verdict.reason.startswith("test 1 of 25: ")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("class Solution:\n    def scale(self, xs, k):\n        return [x * k for x in xs]", "passed"),
        ("class Solution:\n    def scale(self, xs: List[int], k):\n        return tuple(x * k for x in xs)", "passed"),
        ("class Solution:\n    def scale(self, xs, k):\n        return [x * 3 for x in xs]", "failed"),
        ("class Solution:\n    def other(self, xs, k):\n        return []", "failed"),
        ("class Solution:\n    def scale(self, xs):\n        return xs", "failed"),
        ("def scale(xs, k):\n    return [x * k for x in xs]", "passed"),
    ],
)  # fmt: skip
def test_functions(file: LiveCodeFile, code: str, status: str) -> None:
    assert judged(file, 1, code).status == status


def test_a_function_outside_a_class(file: LiveCodeFile) -> None:
    assert judged(file, 3, "def scale(xs, k):\n    return [x * k for x in xs]").passed
    assert not judged(file, 3, "def scaled(xs, k):\n    return [x * k for x in xs]").passed


def test_an_answer_without_code_fails_even_where_nothing_is_expected(tmp_path: Path) -> None:
    silent = read_livecodebench(write_lines(tmp_path / "l.jsonl", [live_task("quiet", [("x\n", "")])]))
    assert silent.judge(silent.tasks[0].anchor, "I would rather not.").reason == "the answer holds no code"
    assert judged(silent, 0, "input()").passed


def test_lines_are_compared_and_blank_ones_count(file: LiveCodeFile) -> None:
    assert judged(file, 2, "import sys\nprint(sys.stdin.read())").passed
    assert not judged(file, 2, "print('a')\nprint('b')").passed


@pytest.mark.parametrize(
    ("got", "wanted", "same"),
    [
        ("1\n2\n", "1\n2", True),
        (" 1 \n2", "1\n 2 ", True),
        ("1.50 2", "1.5 2.0", True),
        ("1e2", "100", True),
        ("yes", "Yes", False),
        ("1 2", "1  2", True),
        ("a b", "a  b", False),
        ("1", "1\n2", False),
        ("50000000000000000", "50000000000000001", False),
        ("nan", "nan", True),
        ("sNaN 1", "1 sNaN", False),
        (None, "None", False),
    ],
)
def test_outputs_are_compared_as_published(got: object, wanted: str, same: bool) -> None:
    assert same_output(got, wanted) is same


def test_values_are_compared_as_published() -> None:
    assert same_value((1, 2), [1, 2])
    assert not same_value([(1, 2)], [[1, 2]])
    assert not same_value("1", 1)


def test_tests_that_are_large_are_judged_in_parts(tmp_path: Path) -> None:
    noise = [os.urandom(300_000).hex() for _ in range(6)]
    path = write_lines(tmp_path / "l.jsonl", [live_task("first", [(text, text[:9]) for text in noise])])
    large = read_livecodebench(path)
    assert judged(large, 0, "print(input()[:9])").reason == "all 6 tests"
    late = f"t = input()\nprint(t[:9] if t[:9] != {noise[5][:9]!r} else 0)"
    assert judged(large, 0, late).reason.startswith("test 6 of 6: ")


def test_a_test_that_is_too_large_decides_nothing(tmp_path: Path) -> None:
    noise = os.urandom(1_000_000).hex()
    path = write_lines(tmp_path / "l.jsonl", [live_task("first", [("ab", "a"), (noise, noise[:1])])])
    verdict = judged(read_livecodebench(path), 0, "print(input()[:1])")
    assert (verdict.status, verdict.reason) == ("error", "test 2 of 2 is larger than the sandbox takes")


def test_a_file_that_changes_meanwhile_decides_nothing(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "l.jsonl", [live_task("sum_a", SUMS)])
    file = read_livecodebench(path)
    write_lines(path, [live_task("sum_a", SUMS, question_content="Do nothing at al.")])
    verdict = judged(file, 0, "print(sum(map(int, input().split())))")
    assert verdict.status == "error"
    assert verdict.reason == f"{path}:1: was changed while the benchmark ran"


def test_what_is_read(file: LiveCodeFile, tmp_path: Path) -> None:
    assert [task.anchor.task_id for task in file.tasks] == [
        f"LiveCodeBench/{name}" for name in ("sum_a", "scale", "echo", "plain")
    ]
    assert [task.functional for task in file.tasks] == [False, True, False, True]
    assert {task.date for task in file.tasks} == {"2024-01-06"}
    assert "standard input" in file.tasks[0].anchor.prompt
    assert "class Solution:\n    def scale" in file.tasks[1].anchor.prompt
    lines = [live_task(f"t{n}", SUMS) for n in range(5)]
    path = write_lines(tmp_path / "five.jsonl", lines)
    assert len(read_livecodebench(path, 3).tasks) == 3
    assert len(read_livecodebench(path).tasks) == 5


def test_private_tests_may_be_plain_json(tmp_path: Path) -> None:
    tests = [{"input": "1 1", "output": "2", "testtype": "stdin"}]
    line = live_task("sum_a", SUMS[:1], private_test_cases=json.dumps(tests))
    problem = parse_problem(json.dumps(line).encode())
    assert [test.wanted for test in problem.tests] == ["1\n", "2"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle(protocol: int) -> None:
    tests = json.dumps([{"input": "é\n", "output": "2", "testtype": "stdin"}], ensure_ascii=False)
    text = base64.b64encode(zlib.compress(pickle.dumps(tests, protocol))).decode()
    line = live_task("sum_a", SUMS[:1], private_test_cases=text)
    assert parse_problem(json.dumps(line).encode()).tests[1].given == "é\n"


class Canary:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("exit 0",)


def pickled(value: object, squeeze: bool = True) -> str:
    data = pickle.dumps(value)
    return base64.b64encode(zlib.compress(data) if squeeze else data).decode()


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "id": ({"question_id": "a b"}, '"question_id" is'),
    "no question": ({"question_content": " "}, '"question_content" is empty'),
    "no date": ({"contest_date": "soon"}, '"contest_date" is'),
    "text": ({"difficulty": 3}, '"difficulty" is not text'),
    "metadata": ({"metadata": "{"}, '"metadata" is not JSON'),
    "metadata list": ({"metadata": "[]"}, '"metadata" is not a JSON object'),
    "public": ({"public_test_cases": "{}"}, '"public_test_cases" is not a JSON list'),
    "no tests": ({"public_test_cases": "[]", "private_test_cases": "[]"}, "it has no tests"),
    "kind": (
        {
            "public_test_cases": '[{"input": "", "output": "", "testtype": "file"}]',
            "private_test_cases": "[]",
        },
        '"testtype" must be stdin for all tests or functional for all, not file',
    ),
    "kinds": (
        {"public_test_cases": '[{"input": "1", "output": "1", "testtype": "functional"}]'},
        '"testtype" must be stdin for all tests or functional for all, not functional, stdin',
    ),
    "no function": (
        {
            "public_test_cases": '[{"input": "1", "output": "1", "testtype": "functional"}]',
            "private_test_cases": "[]",
        },
        'names no function in "func_name"',
    ),
    "arguments": (
        {
            "public_test_cases": '[{"input": "1\\n?", "output": "1", "testtype": "functional"}]',
            "private_test_cases": "[]",
            "metadata": '{"func_name": "f"}',
        },
        '"input" of test 1 is not JSON',
    ),
    "output": (
        {"private_test_cases": '[{"input": "1", "testtype": "stdin"}]'},
        'key "output" of test 2 is missing',
    ),
    "neither": ({"private_test_cases": "?"}, "is neither JSON nor base64"),
    "not zlib": ({"private_test_cases": pickled("[]", squeeze=False)}, "cannot be decompressed"),
    "cut off": (
        {"private_test_cases": base64.b64encode(base64.b64decode(packed([1] * 99))[:-4]).decode()},
        "is cut off",
    ),
    "code": (
        {"private_test_cases": pickled(Canary())},
        "a pickle with the opcode .*; only a text is accepted",
    ),
    "list": ({"private_test_cases": pickled(["[]"])}, "a pickle with the opcode EMPTY_LIST"),
    "number": ({"private_test_cases": pickled(1)}, "a pickle with the opcode BININT1"),
    "no pickle": (
        {"private_test_cases": base64.b64encode(zlib.compress(b"[]")).decode()},
        "is no pickle",
    ),
    "two texts": (
        {"private_test_cases": base64.b64encode(zlib.compress(b"\x80\x04\x8c\x02[]\x8c\x02[].")).decode()},
        "a pickle of 2 texts",
    ),
    "inner": ({"private_test_cases": pickled("[")}, '"private_test_cases" is not JSON'),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_line_is_named(name: str, tmp_path: Path) -> None:
    changes, words = MALFORMED[name]
    path = write_lines(
        tmp_path / "l.jsonl", [live_task("good", SUMS[:2]), {**live_task("bad", SUMS[:2]), **changes}]
    )
    with pytest.raises(AnchorsError, match=words) as caught:
        read_livecodebench(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert "\n" not in str(caught.value)
    assert len(read_livecodebench(path, 1).tasks) == 1


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_anchorgate.bench.livecode_format.MAX_UNPACKED", 1000)
    line = live_task("bomb", SUMS[:1], private_test_cases=pickled(" " * 5000))
    with pytest.raises(AnchorsError, match="unpacks to over"):
        read_livecodebench(write_lines(tmp_path / "l.jsonl", [line]))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds no tasks"),
        (b"\n\n", "holds no tasks"),
        (b"[]\n", ":1: the line is not a JSON object"),
        (b"{}\n", ':1: key "question_id" is missing'),
        (b"\n{", ":2: the line is not JSON"),
        (b"\xff\n", ":1: the line is not JSON"),
        (b"\x1f\x8b\x08", "is compressed"),
    ],
)
def test_other_files(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "l.jsonl"
    path.write_bytes(data)
    with pytest.raises(AnchorsError, match=re.escape(words)):
        read_livecodebench(path)


def test_no_file_a_folder_and_an_id_twice(tmp_path: Path) -> None:
    with pytest.raises(AnchorsError, match="No such file"):
        read_livecodebench(tmp_path / "none.jsonl")
    with pytest.raises(AnchorsError, match="is not a file"):
        read_livecodebench(tmp_path)
    twice = write_lines(tmp_path / "l.jsonl", [live_task("a", SUMS[:1]), live_task("a", SUMS[:1])])
    with pytest.raises(AnchorsError, match=r"l\.jsonl:2: question_id a is already taken by line 1"):
        read_livecodebench(twice)
