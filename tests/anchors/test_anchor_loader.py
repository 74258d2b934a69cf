"""The anchor file: what loads, what is refused and with which line, and what the digest covers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_anchorgate.anchors import Anchor, AnchorsError, find_anchor_file, load_anchors, parse_anchors
from pytest_anchorgate.baseline import anchor_digest

GOOD: dict[str, Any] = {
    "task_id": "A/1",
    "entry_point": "f",
    "prompt": "Write f.",
    "tests": ["assert f(1) == 2"],
}
REFERENCE = "def f(x):\n    return x + 1\n"
INPUTS = "def inputs(random):\n    yield (random.randint(0, 9),)\n"
BOTH = {"reference": REFERENCE, "inputs": INPUTS}
CHECK = "def check(candidate):\n    assert candidate(1) == 2\n"


def line(**changes: Any) -> str:
    return json.dumps({key: value for key, value in {**GOOD, **changes}.items() if value is not ...})


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "anchors.jsonl"
    path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    return path


def test_defaults_are_filled_in(tmp_path: Path) -> None:
    path = write(tmp_path, line() + "\n" + line(task_id="A/2", tests=..., check=CHECK, max_new_tokens=7))
    loaded = load_anchors(path)
    assert loaded.path == path
    assert loaded.anchors == (
        Anchor("A/1", "f", "Write f.", ("assert f(1) == 2",), None, "", 256, "", 1, ""),
        Anchor("A/2", "f", "Write f.", (), CHECK, "", 7, "", 2, ""),
    )
    assert [anchor.task_id for anchor in loaded] == ["A/1", "A/2"]
    assert len(loaded) == 2


def test_every_key_is_kept(tmp_path: Path) -> None:
    given_keys = {"setup": "import math", "source": "mine", "code_prompt": "x = 1", "prompt": "é 日本"}
    anchor = load_anchors(write(tmp_path, line(**given_keys) + "\r\n")).anchors[0]
    assert {key: getattr(anchor, key) for key in given_keys} == given_keys


REFUSED: dict[str, tuple[str | bytes, int | None, str]] = {
    "empty file": ("", None, "0 anchors prove nothing"),
    "only white space": (" \n\n", None, "0 anchors prove nothing"),
    "blank line": (line() + "\n\n" + line(task_id="A/2"), 2, "blank line"),
    "blank line at the end": (line() + "\n\n", 2, "blank line"),
    "broken line": (line() + '\n{"task_id": \n', 2, "not JSON at column 13"),
    "two objects in a line": (line() + line(task_id="A/2"), 1, "Extra data"),
    "array": ("[1]", 1, "a JSON array, not an object"),
    "number": ("3", 1, "a JSON number, not an object"),
    "byte order mark": ("\ufeff" + line(), 1, "byte order mark"),
    "duplicate id": (line() + "\n" + line(task_id="A/2") + "\n" + line(), 3, "already taken by line 1"),
    "duplicate key": ('{"task_id": "A/1", "task_id": "A/1"}', 1, 'key "task_id" appears twice'),
    "unknown key": (line(timeout=3), 1, 'unknown key "timeout"'),
    "unknown key with a line break": (line(**{"a\nb": 3}), 1, "unknown key \"'a\\\\nb'\""),
    "NaN": (line(max_new_tokens=float("nan")), 1, "NaN is not JSON"),
    "Infinity": (line(max_new_tokens=float("-inf")), 1, "-Infinity is not JSON"),
    "endless number": ('{"max_new_tokens": ' + "9" * 5000 + "}", 1, "too many digits"),
    "endless nesting": ('{"tests":' + "[" * 200_000, 1, "nested too deeply"),
    "no task_id": (line(task_id=...), 1, 'key "task_id" is missing'),
    "no entry_point": (line(entry_point=...), 1, 'key "entry_point" is missing'),
    "no prompt": (line(prompt=...), 1, 'key "prompt" is missing'),
    "no tests": (line(tests=...), 1, 'neither of "tests" and "check"'),
    "tests and check": (line(check=CHECK), 1, 'both of "tests" and "check"'),
    "tests and null": (line(check=None), 1, 'both of "tests" and "check"'),
    "id of spaces": (line(task_id="A 1"), 1, 'task_id "A 1" is not'),
    "id with a line end": (line(task_id="A/1\n"), 1, "task_id"),
    "long id": (line(task_id="A" * 101), 1, "task_id"),
    "id is a number": (line(task_id=17), 1, '"task_id" is a JSON number'),
    "empty id": (line(task_id=""), 1, '"task_id" is empty'),
    "empty prompt": (line(prompt=" \n"), 1, '"prompt" is empty'),
    "prompt is null": (line(prompt=None), 1, '"prompt" is a JSON null'),
    "keyword": (line(entry_point="def"), 1, 'entry_point "def"'),
    "no identifier": (line(entry_point="f()"), 1, 'entry_point "f()"'),
    "identifier that Python would rename": (line(entry_point="\ufb01x"), 1, "entry_point"),
    "NUL": (line(prompt="a\0b"), 1, '"prompt" holds a NUL'),
    "half a surrogate pair": (line(prompt="a\udc00"), 1, "half a surrogate pair at character 1"),
    "half a surrogate pair in a test": (line(tests=["assert f('\ud800')"]), 1, "half a surrogate pair"),
    "no UTF-8": (line().encode().replace(b"Write", b"\xff"), 1, "not UTF-8 at byte"),
    "surrogates as bytes": (line().encode().replace(b"Write", b"\xed\xa0\x80"), 1, "not UTF-8 at byte"),
    "long text": (line(prompt="a" * 300_000), 1, "more than 262144 characters"),
    "many tests": (line(tests=GOOD["tests"] * 1001), 1, "more than 1000 entries"),
    "tests is a string": (line(tests="assert f(1) == 2"), 1, '"tests" is a JSON string'),
    "empty tests": (line(tests=[]), 1, '"tests" is empty'),
    "test is a number": (line(tests=[*GOOD["tests"], 3]), 1, 'test 2 of "tests" is a JSON number'),
    "test that asserts nothing": (line(tests=["f(1) == 2"]), 1, 'test 1 of "tests" asserts nothing'),
    "test of something else": (line(tests=["assert 1 == 1"]), 1, 'test 1 of "tests" never uses f'),
    "test with a mistake": (line(tests=["assert f(1 == 2"]), 1, 'test 1 of "tests" is not Python'),
    "check is null": (line(tests=..., check=None), 1, '"check" is a JSON null'),
    "check without check": (line(tests=..., check="assert f(1) == 2"), 1, '"check" does not define check'),
    "check that asserts nothing": (line(tests=..., check="def check(c): pass"), 1, '"check" asserts nothing'),
    "check with a mistake": (line(tests=..., check="def check(c):"), 1, '"check" is not Python'),
    "setup with a mistake": (line(setup="import"), 1, '"setup" is not Python'),
    "code_prompt with a mistake": (line(code_prompt="def f("), 1, '"code_prompt" is not Python'),
    "reference alone": (line(reference=REFERENCE), 1, '"reference" is given without "inputs"'),
    "inputs alone": (line(inputs=INPUTS), 1, '"inputs" is given without "reference"'),
    "reference is null": (line(**{**BOTH, "reference": None}), 1, '"reference" is a JSON null'),
    "empty inputs": (line(**{**BOTH, "inputs": " "}), 1, '"inputs" is empty'),
    "reference of something else": (line(**{**BOTH, "reference": "def g(): pass"}), 1, "does not define f"),
    "reference with a mistake": (line(**{**BOTH, "reference": "def f("}), 1, '"reference" is not Python'),
    "inputs with a mistake": (line(**{**BOTH, "inputs": "def inputs("}), 1, '"inputs" is not Python'),
    "inputs of another name": (
        line(**{**BOTH, "inputs": "def draw(random):\n    yield ()"}),
        1,
        "does not define inputs",
    ),
    "inputs without the argument": (
        line(**{**BOTH, "inputs": "def inputs():\n    yield ()"}),
        1,
        '"inputs" defines inputs with other arguments',
    ),
    "inputs that yield nothing": (
        line(**{**BOTH, "inputs": "def inputs(random):\n    return [(1,)]"}),
        1,
        '"inputs" yields nothing',
    ),
    "inputs of its own chance": (line(**{**BOTH, "inputs": "import time\n" + INPUTS}), 1, "imports time"),
    "exact_types alone": (line(exact_types=True), 1, '"exact_types" is given without "reference"'),
    "inout is a number": (line(inout=0), 1, '"inout" is not a list of argument positions'),
    "inout of text": (line(inout=["0"]), 1, '"inout" is not'),
    "inout of booleans": (line(inout=[False]), 1, '"inout" is not'),
    "inout below zero": (line(inout=[-1]), 1, '"inout" is not'),
    "inout twice": (line(inout=[0, 0]), 1, '"inout" is not'),
    "exact_types as a number": (line(**BOTH, exact_types=1), 1, '"exact_types" is not a boolean'),
    "no tokens": (line(max_new_tokens=0), 1, '"max_new_tokens" is not an integer from 1 to 4096'),
    "many tokens": (line(max_new_tokens=4097), 1, '"max_new_tokens" is not'),
    "tokens as a float": (line(max_new_tokens=256.0), 1, '"max_new_tokens" is not'),
    "tokens as a boolean": (line(max_new_tokens=True), 1, '"max_new_tokens" is not'),
    "tokens as text": (line(max_new_tokens="256"), 1, '"max_new_tokens" is not'),
}


@pytest.mark.parametrize(("content", "number", "what"), REFUSED.values(), ids=REFUSED.keys())
def test_refuses_with_the_line(tmp_path: Path, content: str | bytes, number: int | None, what: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(AnchorsError) as caught:
        load_anchors(path)
    message = str(caught.value)
    place = f"{path}: " if number is None else f"{path}:{number}: "
    assert message.startswith(place)
    assert what in message
    assert "; " in message.removeprefix(place), "says how to fix it"
    assert message.isprintable(), "one line, and nothing that a terminal obeys"


def test_refuses_what_is_no_readable_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, what in (
        (tmp_path / "none.jsonl", "No such file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "fifo", "not a regular file"),
        (Path("a\0b"), "not a file name"),
    ):
        with pytest.raises(AnchorsError, match=what):
            load_anchors(path)


def test_refuses_a_file_too_large_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "anchors.jsonl"
    with path.open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(AnchorsError, match="larger than 16 MiB"):
        load_anchors(path)


@given(st.one_of(st.binary(), st.text(st.characters(codec="utf-8")).map(str.encode)))
def test_any_bytes_are_refused_with_one_line(data: bytes) -> None:
    with pytest.raises(AnchorsError) as caught:
        parse_anchors(data, Path("anchors.jsonl"))
    assert str(caught.value).isprintable()


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)


@given(st.sampled_from([*GOOD, "check", "setup", "max_new_tokens", "source", "other"]), VALUES)
def test_any_value_loads_or_is_refused_with_one_line(key: str, value: object) -> None:
    message = ""
    try:
        parse_anchors(line(**{key: value}).encode(), Path("anchors.jsonl"))
    except AnchorsError as error:
        message = str(error)
    assert not message or message.startswith("anchors.jsonl:1: ")
    assert message.isprintable()


def digest(*lines: str) -> str:
    return parse_anchors("\n".join(lines).encode(), Path("anchors.jsonl")).digest


def test_digest_ignores_how_the_file_is_written() -> None:
    other = line(task_id="A/2")
    plain = digest(line(), other)
    assert len(plain) == 64
    assert plain == digest(other, line())
    assert plain == digest(line().replace(", ", "  ,"), other + "\r")
    assert plain == digest(json.dumps(dict(reversed(GOOD.items()))), other)
    assert plain == digest(line(max_new_tokens=256, setup="", code_prompt=""), other)
    assert plain == digest(line(source="from somewhere"), other)
    assert digest(line(prompt="é")) == digest(line(prompt="é").replace("\\u00e9", "é"))


def test_digest_ignores_defaults_of_a_reference() -> None:
    assert digest(line(exact_types=False, inout=[])) == digest(line())
    assert digest(line(**BOTH, exact_types=False)) == digest(line(**BOTH))


def test_reference_and_inputs_are_kept(tmp_path: Path) -> None:
    anchor = load_anchors(write(tmp_path, line(**BOTH, exact_types=True))).anchors[0]
    assert (anchor.reference, anchor.inputs, anchor.exact_types) == (REFERENCE, INPUTS, True)
    assert load_anchors(write(tmp_path, line(inout=[0, 2]))).anchors[0].inout == (0, 2)


@pytest.mark.parametrize(
    "changes",
    [{"reference": REFERENCE + "\n"}, {"inputs": INPUTS + "\n"}, {"exact_types": True}, {"inout": [0]}],
    ids=["reference", "inputs", "exact_types", "inout"],
)
def test_both_digests_cover_what_extra_inputs_are_judged_by(changes: dict[str, Any]) -> None:
    plain, changed = line(**BOTH), line(**{**BOTH, **changes})
    assert len({digest(line()), digest(plain), digest(changed)}) == 3
    anchors = [parse_anchors(text.encode(), Path("anchors.jsonl")).anchors[0] for text in (plain, changed)]
    assert anchor_digest(anchors[0]) != anchor_digest(anchors[1])


def test_digest_is_this_one_on_every_machine() -> None:
    assert digest(line()) == "41a54a3f9d8a9f8735a24b6c93976f8216ed6ca73aea8d6b277bcdf537ca01b4"


@pytest.mark.parametrize(
    "changes",
    [
        {"task_id": "A/3"},
        {"entry_point": "g", "tests": ["assert g(1) == 2"]},
        {"prompt": "Write f!"},
        {"tests": ["assert f(1) == 3"]},
        {"tests": [*GOOD["tests"], "assert f(2) == 3"]},
        {"tests": ..., "check": CHECK},
        {"setup": "import math"},
        {"code_prompt": "import math"},
        {"max_new_tokens": 255},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_digest_covers_what_the_anchor_means(changes: dict[str, Any]) -> None:
    assert digest(line(**changes)) != digest(line())


def test_finds_the_only_file(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    nested = write(tmp_path / "one", line())
    assert find_anchor_file(tmp_path) == nested
    own = write(tmp_path, line())
    assert find_anchor_file(tmp_path) == own


def test_says_what_there_is_to_choose_from(tmp_path: Path) -> None:
    with pytest.raises(AnchorsError, match=r"holds no anchors\.jsonl"):
        find_anchor_file(tmp_path)
    with pytest.raises(AnchorsError, match="does not exist"):
        find_anchor_file(tmp_path / "none")
    for name in ("two", "one"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, line())
    with pytest.raises(AnchorsError, match=r"holds several anchor sets; name one of .*one, .*two"):
        find_anchor_file(tmp_path)
    with pytest.raises(AnchorsError, match="is not a folder"):
        find_anchor_file(tmp_path / "one" / "anchors.jsonl")
