"""Evidence in reports: what goes in survives, and nothing else is taken for evidence."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_anchorgate import wire
from pytest_anchorgate.verdict import Observation

PLAIN = Observation(
    session="s",
    pack_sha256="p",
    baseline_digest="b",
    anchors_digest="a",
    anchor_digest="d",
    task_id="MBPP/17",
    status="passed",
    reason="every check held",
    text="def f():\n\treturn 'ü'",
    token_ids=(0, 5, 151_935),
    margins=(0.25, 12.0, 3.1415927),
    seconds=0.5,
    worker="gw1",
    level="standard",
)

# Every code point, lone surrogates included: what a model's bytes can decode to is no concern of the wire.
ANYTHING = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)


def fields() -> dict[str, object]:
    return dict(json.loads(wire.encode(PLAIN)[1]))


def test_it_comes_back_as_it_was() -> None:
    assert wire.decode([("other", 1), wire.encode(PLAIN)]) == PLAIN


def test_no_observation_is_none() -> None:
    assert wire.decode([("other", "{}")]) is None


@given(ANYTHING, ANYTHING, ANYTHING)
def test_any_text_becomes_ascii_that_decodes(reason: str, detail: str, text: str) -> None:
    key, value = wire.encode(dataclasses.replace(PLAIN, reason=reason, detail=detail, text=text))
    value.encode("ascii")
    back = wire.decode([(key, value)])
    assert back is not None
    for line in (back.reason, *back.detail.split("\n"), *back.text.split("\n")):
        assert line.replace("\t", "").isprintable()
    assert "\n" not in back.reason


def test_text_is_capped() -> None:
    long = dataclasses.replace(PLAIN, reason="x" * 10_000, detail="y" * 100_000, text="z" * 1_000_000)
    back = wire.decode([wire.encode(long)])
    assert back is not None
    assert (len(back.reason), len(back.detail), len(back.text)) == (
        wire.MAX_LINE,
        wire.MAX_DETAIL,
        wire.MAX_TEXT,
    )
    assert back.text.endswith("z…")


def test_numbers_that_json_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError):
        wire.encode(dataclasses.replace(PLAIN, seconds=float("nan")))


BAD = {
    "schema": [2, "1", True, None],
    "task_id": [5, None, ["MBPP/17"]],
    "token_ids": [[True], [-1], [2**31], [1.5], "12", {"0": 1}],
    "margins": [[-0.5], ["1"], [None], [True], 3],
    "seconds": ["1", None, True],
    "level": ["", "FULL", "fully", 1, None, ["full"]],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_what_is_not_exactly_right_is_refused(name: str, value: object) -> None:
    with pytest.raises(wire.WireError):
        wire.decode([(wire.KEY, json.dumps({**fields(), name: value}))])


def test_other_keys_or_more_than_one_observation_are_refused() -> None:
    less = fields()
    del less["session"]
    for bad in ([(wire.KEY, json.dumps(less))], [(wire.KEY, json.dumps({**fields(), "passed": True}))]):
        with pytest.raises(wire.WireError):
            wire.decode(bad)
    with pytest.raises(wire.WireError, match="2 observations"):
        wire.decode([wire.encode(PLAIN)] * 2)


@pytest.mark.parametrize(
    "value", [5, None, b"{}", "", "[]", "{", "null", '{"a": NaN}', "[" * 99_999, "x" * (wire.MAX_BYTES + 1)]
)
def test_garbage_is_refused(value: object) -> None:
    with pytest.raises(wire.WireError):
        wire.decode([(wire.KEY, value)])


def test_nothing_printable_steers_a_terminal() -> None:
    assert wire.printable("\x1b[31mred\u202e\r\n\ud800", 100) == "\\x1b[31mred\\u202e\\r\\n\\ud800"
    assert wire.printable("a\n\tb\r", 100, lines=True) == "a\n\tb\\r"
