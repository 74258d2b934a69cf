"""The baseline file: one form, read back exactly, refused with the key that is wrong."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_anchorgate.baseline import (
    Baseline,
    BaselineError,
    Dropped,
    PackIdentity,
    Recorded,
    no_longer_held,
    parse_baseline,
    read_baseline,
)
from pytest_anchorgate.strict_json import shortest_float32

HELD = Recorded(
    anchor_digest="a" * 64,
    held=True,
    status="passed",
    reason="every check held",
    max_new_tokens=256,
    finish_reason="code_end",
    text="```python\ndef f():\n    return 'ü'\n```",
    token_ids=(1, 2, 3),
    margins=(0.1, 12.5, 1e-07),
)
LOST = dataclasses.replace(
    HELD, held=False, status="timeout", reason="too long", text="", token_ids=(), margins=()
)
BASELINE = Baseline(
    pack=PackIdentity("p.planck", "b" * 64, "c" * 64),
    anchors_digest="d" * 64,
    numerics="fma-k/1",
    anchors={"MBPP/17": HELD, "HumanEval/1": LOST},
    dropped=(Dropped("MBPP/2", "e" * 64, "the task was wrong"),),
)


def test_it_comes_back_as_it_was() -> None:
    assert parse_baseline(BASELINE.to_text(), "f") == BASELINE


@given(st.text(st.characters(exclude_categories=("Cs",))), st.text(st.characters(exclude_categories=("Cs",))))
def test_any_text_comes_back(text: str, reason: str) -> None:
    entry = dataclasses.replace(HELD, text=text, reason=reason)
    baseline = dataclasses.replace(BASELINE, anchors={"T/1": entry})
    assert parse_baseline(baseline.to_text(), "f") == baseline


def test_a_diff_of_it_can_be_read() -> None:
    lines = BASELINE.to_text().splitlines()
    assert '   "token_ids": [1, 2, 3]' in lines
    assert '   "margins": [0.1, 12.5, 1e-07],' in lines
    assert '    "def f():",' in lines
    assert BASELINE.to_text().endswith("}\n")
    keys = [
        line.strip().split('"')[1] for line in lines if line.startswith('  "') and not line.startswith("   ")
    ]
    assert keys.index("HumanEval/1") < keys.index("MBPP/17")


def test_order_of_anchors_and_layout_of_the_file_do_not_change_the_digest() -> None:
    turned = dataclasses.replace(BASELINE, anchors=dict(reversed(BASELINE.anchors.items())))
    assert turned.digest == BASELINE.digest
    assert parse_baseline(json.dumps(json.loads(BASELINE.to_text())), "f").digest == BASELINE.digest


def change(path: str, value: object) -> str:
    data = json.loads(BASELINE.to_text())
    *parents, last = path.split(".")
    at = data
    for name in parents:
        at = at[name]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return json.dumps(data)


BAD = [
    ("schema", 2, "schema is 2, this release reads 1"),
    ("schema", ..., "the file lacks 'schema'"),
    ("extra", 1, "the file has an unknown key 'extra'"),
    ("pack", [], "pack is not an object"),
    ("pack.identity", "B" * 64, "pack.identity is not a sha256 in hex"),
    ("pack.name", 5, "pack.name is not a string"),
    ("anchors", {}, "anchors is not an object with at least one anchor"),
    ("decode.strategy", "beam", "decode.strategy is 'beam', expected 'greedy'"),
    ("dropped", {}, "dropped is not a list"),
    ("dropped", [{}], "dropped[0] lacks 'task_id'"),
    ("anchors.MBPP/17.held", False, "anchors.MBPP/17.held is not in agreement with status"),
    ("anchors.MBPP/17.held", 1, "anchors.MBPP/17.held is not true or false"),
    (
        "anchors.MBPP/17.status",
        "error",
        "anchors.MBPP/17.status is not one of passed, failed, timeout, killed",
    ),
    ("anchors.MBPP/17.text", "def", "anchors.MBPP/17.text is not a list of lines"),
    ("anchors.MBPP/17.token_ids", [1, 2, -3], "anchors.MBPP/17.token_ids is not a list of token ids"),
    ("anchors.MBPP/17.margins", [1.0], "anchors.MBPP/17.margins is not as long as token_ids"),
    ("anchors.MBPP/17.max_new_tokens", 0, "anchors.MBPP/17.max_new_tokens is not positive"),
    ("anchors.MBPP/17.seconds", 1, "anchors.MBPP/17 has an unknown key 'seconds'"),
]


@pytest.mark.parametrize(("path", "value", "words"), BAD)
def test_what_is_wrong_is_named(path: str, value: object, words: str) -> None:
    with pytest.raises(BaselineError) as caught:
        parse_baseline(change(path, value), "dir/baseline.json")
    assert str(caught.value) == f"dir/baseline.json: {words}; record it again with `anchorgate record`"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "NaN", '{"schema": 1, "schema": 1}', "[" * 100_000])
def test_garbage_is_one_line(text: str) -> None:
    with pytest.raises(BaselineError) as caught:
        parse_baseline(text, "f")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"\xff\xfe")
    for name, words in (("none", "no baseline at"), ("latin", "not UTF-8 text"), (".", "cannot be read")):
        with pytest.raises(BaselineError, match=words):
            read_baseline(tmp_path / name)


def test_what_is_no_longer_held() -> None:
    new = dataclasses.replace(BASELINE, anchors={"HumanEval/1": HELD})
    assert no_longer_held(BASELINE, new) == ["MBPP/17"]
    assert no_longer_held(new, BASELINE) == ["HumanEval/1"]
    assert no_longer_held(BASELINE, BASELINE) == []


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=0))
@example(3.4025001647762064e38)  # to one digit it rounds beyond float32's largest
def test_margins_have_the_spelling_of_a_float32(value: float) -> None:
    short = shortest_float32(value)
    assert struct.pack("<f", short) == struct.pack("<f", value)
    digits = repr(short).replace(".", "").split("e")[0].strip("0")
    shortest = (
        np.format_float_scientific(np.float32(value), unique=True).replace(".", "").split("e")[0].strip("0")
    )
    assert len(digits) == len(shortest)
