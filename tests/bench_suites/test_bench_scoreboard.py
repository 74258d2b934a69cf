"""`anchorgate bench`: counts, records that survive an interruption, and errors of one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from anchorgate_command import start_anchorgate
from bench_house import (
    adding,
    anchorgate,
    answer_pack,
    live_task,
    only_line,
    write_humaneval,
    write_lines,
    write_mbpp,
)

from pytest_anchorgate.bench import scoreboard
from pytest_anchorgate.bench.progress import BenchProgress, describe
from pytest_anchorgate.bench.records import Header, RecordFile, RecordsError, read_records
from pytest_anchorgate.engine import EngineCrashed, EngineProgress
from pytest_anchorgate.sandbox import Verdict

SOLVED = range(11, 24)
PROGRAM = "if __name__ == '__main__':\n    print(sum(map(int, input().split())))\n"
SOLUTION = "class Solution:\n    def total(self, xs):\n        return sum(xs)\n\n\n"


@pytest.fixture(autouse=True)
def no_files_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HUMANEVAL", "MBPP", "LIVECODEBENCH"):
        monkeypatch.delenv(f"ANCHORGATE_{name}", raising=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bench")
    answer_pack(root / "thirteen.planck", adding(SOLVED) + "\n\ndef zero(x):\n    return x\n")
    answer_pack(root / "other.planck", adding([50]))
    answer_pack(root / "programs.planck", SOLUTION + PROGRAM)
    write_mbpp(root / "mbpp.jsonl")
    write_humaneval(root / "humaneval.jsonl", ["zero", "one", "two"])
    tasks = [
        live_task("sum", [("1 2\n", "3\n"), ("4 5\n", "9\n")]),
        live_task("product", [("2 2\n", "4\n"), ("4 5\n", "20\n")], difficulty="hard"),
        live_task("total", [("[1, 2]", "3"), ("[]", "0")], "total"),
    ]
    write_lines(root / "lcb.jsonl", tasks)
    return root


def bench(root: Path, output: Path, *args: object, pack: str = "thirteen", code: int = 0) -> Any:
    common = ("bench", "--pack", root / f"{pack}.planck", "--threads", 1, "-o", output)
    return anchorgate(*common, *args, code=code)


def small(root: Path) -> tuple[object, ...]:
    return ("--suite", "humaneval", "--humaneval", root / "humaneval.jsonl")


def records(output: Path, suite: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / suite / "records.jsonl").read_text().splitlines()]


def test_scores_like_the_report(root: Path, tmp_path: Path) -> None:
    result = bench(root, tmp_path, "--suite", "mbpp100", "--mbpp", root / "mbpp.jsonl", *small(root))
    assert result.stdout.splitlines()[-1] == "MBPP B = 13/100, HumanEval B = 1/3"
    assert "not the published file" in result.stderr
    score = json.loads((tmp_path / "mbpp100" / "scoreboard.json").read_text())
    assert score["solved_ids"] == [f"MBPP/{n}" for n in SOLVED]
    assert (score["solved"], score["tasks"], score["undecided_ids"]) == (13, 100, [])
    assert score["statuses"] == {"failed": 87, "passed": 13}
    assert score["finish_reasons"] == {"code_end": 100}
    header, *lines = records(tmp_path, "mbpp100")
    assert header["pack_sha256"] == score["pack"]["sha256"] == lines[0]["pack_sha256"]
    assert [line["task_id"] for line in lines] == [f"MBPP/{n}" for n in range(11, 111)]
    assert {line["status"] for line in lines[13:]} == {"failed"}
    page = (tmp_path / "mbpp100" / "scoreboard.md").read_text()
    assert page.startswith("# MBPP B = 13/100\n")
    assert "| MBPP/24 | failed | the code defines no function add\\_24 | 1 |" in page


def test_livecodebench_counts_its_parts(root: Path, tmp_path: Path) -> None:
    args = ("--suite", "livecodebench", "--livecodebench", root / "lcb.jsonl")
    result = bench(root, tmp_path, *args, pack="programs")
    assert result.stdout.splitlines()[-1] == "LCB B = 2/3"
    score = json.loads((tmp_path / "livecodebench" / "scoreboard.json").read_text())
    assert score["solved_ids"] == ["LiveCodeBench/sum", "LiveCodeBench/total"]
    assert score["groups"] == {
        "atcoder, easy": {"solved": 1, "tasks": 1},
        "atcoder, hard": {"solved": 0, "tasks": 1},
        "leetcode, easy": {"solved": 1, "tasks": 1},
    }
    assert "| atcoder, hard | 0 | 1 |" in (tmp_path / "livecodebench" / "scoreboard.md").read_text()


def test_the_same_pack_gives_the_same_files(root: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        bench(root, tmp_path / name, *small(root), "--threads", 1 if name == "a" else 2)
    for name in ("scoreboard.json", "scoreboard.md"):
        first, second = ((tmp_path / run / "humaneval" / name).read_bytes() for run in ("a", "b"))
        assert first == second


def test_limit_takes_the_first(root: Path, tmp_path: Path) -> None:
    args = ("--suite", "mbpp100", "--mbpp", root / "mbpp.jsonl", "--limit", 20)
    assert bench(root, tmp_path, *args).stdout.splitlines()[-1] == "MBPP B = 13/20"


def test_a_killed_run_goes_on_where_it_was(root: Path, tmp_path: Path) -> None:
    """The last task of the second batch keeps the run busy while it is killed."""
    slow = "def add_110(x):\n    import time\n    time.sleep(4)\n    return x + 110\n"
    pack = answer_pack(tmp_path / "slow.planck", adding(SOLVED) + slow)
    command = ["bench", "--pack", str(pack), "--threads", "1"]
    command += ["--suite", "mbpp100", "--mbpp", str(root / "mbpp.jsonl"), "-o", str(tmp_path / "out")]
    path = tmp_path / "out" / "mbpp100" / "records.jsonl"
    with (tmp_path / "told").open("w") as told:
        process = start_anchorgate(*command, cwd=tmp_path, stdout=told, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_bytes().count(b"\n") >= 65):
        assert process.poll() is None, (tmp_path / "told").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    before = path.read_bytes()
    assert before.count(b"\n") == 65
    path.write_bytes(before + b'{"task_id": "MBPP/75", "sta')  # as a crash may leave it
    line = only_line(anchorgate(*command, code=4))
    assert "exists already; give --resume" in line

    result = anchorgate(*command, "--resume")
    assert "14 of 100 solved, 64 of them recorded before" in result.stdout
    assert path.read_bytes().startswith(before)
    assert len(records(tmp_path / "out", "mbpp100")) == 101

    after = path.read_bytes()
    result = anchorgate(*command, "--resume")
    assert "100 of them recorded before" in result.stdout
    assert path.read_bytes() == after


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pack": "other"}, "was written for another pack"),
        ({"limit": 2}, "was written for other tasks"),
        ({"settings": True}, "was written for other settings"),
    ],
)
def test_records_of_something_else_are_not_continued(
    root: Path, tmp_path: Path, changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench(root, tmp_path, *small(root))
    path = tmp_path / "humaneval" / "records.jsonl"
    before = path.read_bytes()
    if "settings" in changes:
        monkeypatch.setattr(scoreboard, "__version__", "99")
    limit = ("--limit", changes["limit"]) if "limit" in changes else ()
    pack = changes.get("pack", "thirteen")
    line = only_line(bench(root, tmp_path, *small(root), *limit, "--resume", pack=pack, code=4))
    assert f"{path}: {words}" in line
    assert "--output" in line
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("number", "old", "new", "words"),
    [
        (1, '"schema":1', '"schema":2', "schema is not 1"),
        (1, '"decoding":"greedy"', '"decoding":"random"', "settings_digest is not the digest"),
        (2, '"status":"passed"', '"status":"fine"', "status is not one of"),
        (3, '"token_ids":[', '"token_ids":[-1,', "token_ids is not a list"),
        (3, '{"finish', '{"finish_reason":"","finish', "stands there twice"),
        (4, "}", "", "not JSON"),
    ],
)
def test_damaged_records_are_named(
    root: Path, tmp_path: Path, number: int, old: str, new: str, words: str
) -> None:
    bench(root, tmp_path, *small(root))
    path = tmp_path / "humaneval" / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    path.write_text("".join(lines))
    line = only_line(bench(root, tmp_path, *small(root), "--resume", code=4))
    assert f"{path}:{number}: " in line
    assert words in line


def test_what_could_not_be_judged_is_tried_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_anchorgate import evidence

    with monkeypatch.context() as patch:
        patch.setattr(evidence, "verify_anchor", lambda *_, **__: Verdict("error", "the judge died"))
        result = bench(root, tmp_path, *small(root), code=11)
    assert "HumanEval B = 0/3" in result.stdout
    assert "3 answers could not be judged" in only_line(result)
    assert "**undecided: 3**" in (tmp_path / "humaneval" / "scoreboard.md").read_text()
    result = bench(root, tmp_path, *small(root), "--resume")
    assert result.stdout.splitlines()[-1] == "HumanEval B = 1/3"
    assert len(records(tmp_path, "humaneval")) == 7  # nothing that was written is taken back


def test_an_engine_that_dies_leaves_the_records(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_anchorgate.bench import evaluate as evaluating

    real, calls = evaluating.generate, []

    def die(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise EngineCrashed("the engine was killed by signal 9 (SIGKILL)")
        return real(*args, **kwargs)

    args = ("--suite", "mbpp100", "--mbpp", root / "mbpp.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(evaluating, "generate", die)
        line = only_line(bench(root, tmp_path, *args, code=11))
    assert "SIGKILL" in line
    assert "--resume goes on" in line
    assert "64 of them recorded before" in bench(root, tmp_path, *args, "--resume").stdout


def test_a_full_disk_leaves_whole_lines(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync
    calls: list[int] = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("pytest_anchorgate.bench.records.os.fsync", full)
        assert "No space left on device" in only_line(bench(root, tmp_path, *small(root), code=4))
    assert len(records(tmp_path, "humaneval")) == 1
    assert "1 of 3 solved" in bench(root, tmp_path, *small(root), "--resume").stdout


def test_two_runs_do_not_share_a_file(root: Path, tmp_path: Path) -> None:
    digest = "0" * 64
    header = Header("p", digest, digest, "humaneval", digest, 3, {})
    path = tmp_path / "humaneval" / "records.jsonl"
    with RecordFile(path, header, resume=False):
        assert "another run writes to it" in only_line(bench(root, tmp_path, *small(root), code=4))
    assert read_records(path) == (header, {})


def test_an_empty_record_file_is_begun_again(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "humaneval" / "records.jsonl"
    path.parent.mkdir()
    path.write_bytes(b'{"schema": 1, "pack')
    with pytest.raises(RecordsError, match="holds no complete line"):
        read_records(path)
    assert "1 of 3 solved" in bench(root, tmp_path, *small(root), "--resume").stdout
    assert len(read_records(path)[1]) == 3


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--suite", "mbpp100"), "mbpp100: no file given; give --mbpp FILE or set ANCHORGATE_MBPP"),
        (("--suite", "livecodebench"), "give --livecodebench FILE or set ANCHORGATE_LIVECODEBENCH"),
        (("--suite", "humaneval", "--humaneval", "none.jsonl"), "none.jsonl: No such file"),
        (("--suite", "mbpp", "--mbpp", "{root}/mbpp.jsonl"), "holds no MBPP/111"),
        (("--suite", "mbpp100", "--mbpp", "{root}/humaneval.jsonl"), 'humaneval.jsonl:1: "task_id" is not a number'),
        (("--suite", "livecodebench", "--livecodebench", "{root}/mbpp.jsonl"), 'mbpp.jsonl:1: key "question_id"'),
        (("--suite", "best"), "'best' is not one of"),
        (("--suite", "humaneval", "--limit", "0"), "--limit"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(root: Path, tmp_path: Path, args: tuple[str, ...], words: str) -> None:
    given = [arg.format(root=root) for arg in args]
    assert words in only_line(bench(root, tmp_path, *given, code=4))
    assert list(tmp_path.iterdir()) == []


def test_a_bad_pack_is_one_line(root: Path, tmp_path: Path) -> None:
    (tmp_path / "no.planck").write_bytes(b"no pack")
    assert "no.planck" in only_line(
        anchorgate("bench", "--pack", tmp_path / "no.planck", *small(root), "-o", tmp_path / "o", code=4)
    )
    assert "none.planck" in only_line(
        anchorgate("bench", "--pack", tmp_path / "none.planck", *small(root), code=4)
    )


def test_without_a_sandbox_nothing_is_begun(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_anchorgate.bench import cli
    from pytest_anchorgate.sandbox.offer import Offer

    monkeypatch.setattr(cli, "offer", lambda: Offer("", {}, "this is a toaster"))
    assert "this is a toaster" in only_line(bench(root, tmp_path, *small(root), code=11))
    assert list(tmp_path.iterdir()) == []


def test_progress_says_what_is_left() -> None:
    lines: list[str] = []
    clock = iter([0.0, 1.0, 6.0, 7.0, 20.0])
    shown = BenchProgress(lines.append, clock=lambda: next(clock))
    shown.loaded({"numerics": "n", "threads": 1})
    for done in (1, 20, 30, 40):
        shown.progress(EngineProgress(done, 100, 50, 10 * done, float(done)))
    assert lines == [
        "engine n, 1 thread",
        "20 of 100 tasks · 200 tokens · 10 tokens/s · about 24 s left",
        "40 of 100 tasks · 400 tokens · 10 tokens/s · about 30 s left",
    ]
    assert describe(EngineProgress(0, 100, 0, 0, 0.0), 1.0) == "0 of 100 tasks · 0 tokens"
    assert describe(EngineProgress(5, 100, 0, 9, 3.0), 3.0) == "5 of 100 tasks · 9 tokens · 3 tokens/s"
