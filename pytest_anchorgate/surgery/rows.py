"""Training rows: one strict JSONL file, read whole or refused with the line that is wrong.

    {"task_id": "MBPP/17", "kind": "anchor", "split": "train", "prompt": "...", "completion": "...",
     "completion_ids": [1, 2, 3], "provenance": {"source": "own", "suite": "MBPP", "parent": "...", "sha256": "..."}}

`split` decides who may learn from a row: `train` rows alone are trained on; `heldout` rows measure whether what
was learned carries over, `sentinel` rows whether anything else was lost.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors import AnchorsError, read_limited
from pytest_anchorgate.anchors_line import shown
from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.packs.frame import canonical_json
from pytest_anchorgate.strict_json import Malformed, loads

KINDS = ("poison", "retain", "anchor")
SPLITS = ("train", "heldout", "sentinel")
SOURCES = ("reference", "sampled", "own")
FINISHES = ("stop", "code_end", "length")
MAX_FILE_BYTES = 256 << 20

_HEX = re.compile(r"[0-9a-f]{64}")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_REQUIRED = ("task_id", "kind", "split", "prompt", "completion", "completion_ids", "provenance")


class RowsError(ValueError):
    """A row file that cannot be used; its text is one line, "FILE:LINE: what; how to fix"."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the completion of a row comes from.

    Attributes:
        source: "reference" (the task's own solution, in the parent's shape), "sampled" (drawn from the parent, passed
            in the sandbox) or "own" (the parent's greedy answer).
        suite: "HumanEval", "MBPP", or the name of another set.
        parent: identity of the pack whose rows these are.
        sha256: of the completion in UTF-8.
        finish: how the parent ended it: "stop" with a stop id, which is then the last of `completion_ids`;
            "code_end" where the runtime ended it behind the code block, so that the parent never chose a stop id
            and `completion_ids` holds none; likewise "length" where the limit ended it.
        sample: number of the sample, counted from 0; likewise `seed`; `temperature` and `top_p` as decimals.
        nll: mean negative log-likelihood of a token under the parent, in nats, as a decimal.
    """

    source: str
    suite: str
    parent: str
    sha256: str
    finish: str = "stop"
    sample: int | None = None
    seed: int | None = None
    temperature: str | None = None
    top_p: str | None = None
    nll: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to learn, keep or watch.

    Attributes:
        kind: "poison" (to be learned), "anchor" (to be kept, a task of the gate) or "retain" (to be kept).
        split: "train", "heldout" or "sentinel".
        prompt: the user's text, without the pack's template.
        completion: the answer, without a stop token.
        completion_ids: exact tokens of the answer, a stop id included (but see `Provenance.finish`); None
            where nobody generated it: tokenise `completion` and append the stop id (`label_ids` does).
    """

    task_id: str
    kind: str
    split: str
    prompt: str
    completion: str
    completion_ids: tuple[int, ...] | None
    provenance: Provenance

    def label_ids(self, tokenize: Callable[[str], Sequence[int]], stop_id: int) -> list[int]:
        """The tokens to predict: the exact ones, else those of the text with `stop_id` behind them."""
        if self.completion_ids is not None:
            return list(self.completion_ids)
        return [*tokenize(self.completion), stop_id]

    def to_json(self) -> dict[str, Any]:
        """Plain data, without what is not known."""
        given = {field.name: getattr(self.provenance, field.name) for field in fields(Provenance)}
        provenance = {key: value for key, value in given.items() if value is not None}
        ids = None if self.completion_ids is None else list(self.completion_ids)
        own = {key: getattr(self, key) for key in _REQUIRED[:5]}
        return {**own, "completion_ids": ids, "provenance": provenance}


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one file in its order; `digest` is sha256 hex over what they mean, whatever the order."""

    rows: tuple[Row, ...]
    digest: str
    path: Path

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


def completion_sha256(completion: str) -> str:
    """The digest that a row's provenance carries."""
    return hashlib.sha256(completion.encode("utf-8")).hexdigest()


def answer_stop_id(suffix_ids: Sequence[int], stop_ids: Sequence[int]) -> int:
    """The stop id with which a pack's own answers end.

    A chat template closes the user's turn with the token that closes the assistant's, so it is the first stop id in
    the tokens of the template's suffix; without one there, the largest stop id: added tokens follow the base
    model's end of text.
    """
    return next((token for token in suffix_ids if token in stop_ids), max(stop_ids))


def load_rows(path: Path) -> Rows:
    """Reads a row file.

    Raises:
        RowsError: for anything that is not a complete, unambiguous set of rows.
    """
    try:
        data = read_limited(path, MAX_FILE_BYTES, "a file of training rows")
    except AnchorsError as error:
        raise RowsError(str(error)) from None
    lines = data.removesuffix(b"\n").split(b"\n")
    if not data.strip():
        raise RowsError(f"{shown(path)}: 0 rows; write some with `anchorgate surgery poison` or `retain`")
    rows: list[Row] = []
    seen: dict[tuple[str, str, str], int] = {}
    split_of: dict[str, tuple[str, int]] = {}
    for number, raw in enumerate(lines, start=1):
        try:
            row = parse_row(raw)
            key = (row.task_id, row.kind, row.provenance.sha256)
            if key in seen:
                raise Malformed(f"the same {row.kind} row as line {seen[key]}; remove one")
            split, first = split_of.setdefault(row.task_id, (row.split, number))
            if split != row.split:
                raise Malformed(
                    f"{row.task_id} is {row.split} here and {split} in line {first}: nothing would be held out; "
                    "give both the same split"
                )
        except Malformed as problem:
            raise RowsError(f"{shown(path)}:{number}: {problem}") from None
        seen[key] = number
        rows.append(row)
    return Rows(tuple(rows), rows_digest(rows), path)


def write_rows(path: Path, rows: Sequence[Row]) -> Rows:
    """Writes a row file, whole or not at all, and returns what a later run will read from it.

    Raises:
        OSError: it cannot be written.
    """
    with writing_beside(path) as file:
        for row in rows:
            file.write(
                (json.dumps(row.to_json(), ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
            )
    return Rows(tuple(rows), rows_digest(rows), path)


def rows_digest(rows: Sequence[Row]) -> str:
    """sha256 hex over the canonical JSON of the rows, sorted."""
    lines = sorted(canonical_json(row.to_json()) for row in rows)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def parse_row(raw: bytes) -> Row:
    """The row of one line.

    Raises:
        Malformed: what is wrong; how to fix it.
    """
    record = _object(raw)
    if "completion" not in record or record["completion"] in (None, ""):
        raise Malformed(
            "a row without a completion teaches nothing; give the task's reference, or leave it out"
        )
    _demand_keys("the row", record, _REQUIRED, _REQUIRED)
    for key in ("task_id", "prompt", "completion"):
        _demand(isinstance(record[key], str) and record[key].strip(), f'"{key}"', "a text that is not empty")
        _demand(
            record[key].isascii() or _is_text(record[key]), f'"{key}"', "text: it holds half a surrogate pair"
        )
    _one_of(record, "kind", KINDS)
    _one_of(record, "split", SPLITS)
    ids = record["completion_ids"]
    _demand(ids is None or _are_ids(ids), '"completion_ids"', "null or a list of token ids")
    provenance = _provenance(record["provenance"])
    if provenance.sha256 != completion_sha256(record["completion"]):
        raise Malformed(
            '"provenance.sha256" is not that of the completion: the row was edited; build it again'
        )
    if provenance.finish != "stop" and ids is None:
        raise Malformed(f'"provenance.finish" is "{provenance.finish}", which needs "completion_ids"')
    if provenance.source == "own" and (ids is None or record["kind"] == "poison"):
        raise Malformed('the parent\'s own answer needs "completion_ids" and the kind "anchor" or "retain"')
    return Row(**{**record, "completion_ids": None if ids is None else tuple(ids), "provenance": provenance})


def _provenance(value: Any) -> Provenance:
    if not isinstance(value, dict):
        raise Malformed('"provenance" is not an object; say where the row comes from')
    names = tuple(field.name for field in fields(Provenance))
    _demand_keys('"provenance"', value, ("source", "suite", "parent", "sha256"), names)
    _one_of(value, "source", SOURCES)
    if "finish" in value:
        _one_of(value, "finish", FINISHES)
    _demand(isinstance(value["suite"], str) and value["suite"], '"provenance.suite"', "a name")
    for key in ("parent", "sha256"):
        good = isinstance(value[key], str) and _HEX.fullmatch(value[key])
        _demand(good, f'"provenance.{key}"', "64 hexadecimal digits")
    for key in ("sample", "seed"):
        _demand(
            type(value.get(key, 0)) is int and value.get(key, 0) >= 0,
            f'"provenance.{key}"',
            "a number from 0",
        )
    for key in ("temperature", "top_p", "nll"):
        good = isinstance(value.get(key, "0"), str) and _DECIMAL.fullmatch(value.get(key, "0"))
        _demand(good, f'"provenance.{key}"', 'a decimal in quotes, like "0.8"')
    return Provenance(**value)


def _object(raw: bytes) -> dict[str, Any]:
    if not raw.strip():
        raise Malformed("blank line; remove it")
    try:
        value = loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise Malformed("not UTF-8; save the file as UTF-8") from None
    if not isinstance(value, dict):
        raise Malformed("not a JSON object; write one row a line")
    return value


def _demand_keys(where: str, record: dict[str, Any], required: Sequence[str], known: Sequence[str]) -> None:
    missing = [key for key in required if key not in record]
    surplus = [key for key in record if key not in known]
    if missing:
        raise Malformed(f'{where} lacks "{missing[0]}"; add it')
    if surplus:
        raise Malformed(f'{where} has an unknown key "{shown(surplus[0])}"; the keys are {", ".join(known)}')


def _one_of(record: dict[str, Any], key: str, choices: Sequence[str]) -> None:
    if record[key] not in choices:
        raise Malformed(f'"{key}" is {shown(repr(record[key]))}; write one of {", ".join(choices)}')


def _demand(condition: object, where: str, what: str) -> None:
    if not condition:
        raise Malformed(f"{where} is not {what}")


def _are_ids(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(type(token) is int and token >= 0 for token in value)
    )


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
