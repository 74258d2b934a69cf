"""One line of a LiveCodeBench file, as `code_generation_lite` is published: JSON that holds JSON, and packed JSON.

https://huggingface.co/datasets/livecodebench/code_generation_lite. The private tests are a JSON text, or that text
as a pickled str, compressed by zlib, in base64. A pickle can run anything when it is loaded, so it never is: its
opcodes are read, and only those that a single str needs are accepted.
"""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import re
import zlib
from dataclasses import dataclass
from typing import Any

from pytest_anchorgate.anchors_line import shown

__all__ = ["Case", "LineProblem", "Problem", "parse_problem"]

MAX_UNPACKED = 512 << 20
_ID = re.compile(r"[A-Za-z0-9._-]{1,80}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TEXTS = ("question_id", "question_content", "starter_code", "platform", "difficulty", "contest_date")
_PACKED = ("public_test_cases", "private_test_cases", "metadata")
_STRINGS = frozenset({"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"})
_AROUND = frozenset({"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP"})


class LineProblem(Exception):
    """What is wrong with a line, before file and line are known."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test: what goes in, what must come out.

    Attributes:
        given: the text for standard input, or the list of arguments.
        wanted: the text that must be written, or the value that must be returned.
    """

    given: Any
    wanted: Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One task.

    Attributes:
        question_id: unique, such as "abc301_a".
        function: name of the method or function that the tests call; "" for a program that reads standard
            input.
        tests: the public ones, then the private ones; at least one.
        date: of the contest, YYYY-MM-DD.
    """

    question_id: str
    question: str
    starter_code: str
    function: str
    tests: tuple[Case, ...]
    platform: str
    difficulty: str
    date: str


def parse_problem(raw: bytes) -> Problem:
    """Reads one line.

    Raises:
        LineProblem: what is wrong with it.
    """
    record = _object(_json(raw, "the line"), "the line")
    texts = {key: _text(record, key) for key in (*_TEXTS, *_PACKED)}
    if not _ID.fullmatch(texts["question_id"]):
        raise LineProblem(
            f'"question_id" is {shown(texts["question_id"])!r}, not 1 to 80 of A-Z a-z 0-9 . _ -'
        )
    if not texts["question_content"].strip():
        raise LineProblem('"question_content" is empty')
    date = _DATE.match(texts["contest_date"])
    if date is None:
        raise LineProblem(f'"contest_date" is {shown(texts["contest_date"])!r}, not a date like 2024-08-31')
    metadata = _object(_json(texts["metadata"] or "{}", '"metadata"'), '"metadata"')
    entries = [
        *_list(_json(texts["public_test_cases"], '"public_test_cases"'), '"public_test_cases"'),
        *_list(_private(texts["private_test_cases"]), '"private_test_cases"'),
    ]
    function = _function(entries, metadata)
    return Problem(
        question_id=texts["question_id"],
        question=texts["question_content"],
        starter_code=texts["starter_code"],
        function=function,
        tests=tuple(_test(entry, number, function) for number, entry in enumerate(entries, start=1)),
        platform=texts["platform"],
        difficulty=texts["difficulty"],
        date=date[0],
    )


def _function(entries: list[Any], metadata: dict[str, Any]) -> str:
    """The function that all tests call, or "" if all feed standard input."""
    kinds = {_object(entry, "a test").get("testtype") for entry in entries}
    if not kinds:
        raise LineProblem("it has no tests, so every answer would pass")
    if kinds == {"stdin"}:
        return ""
    if kinds != {"functional"}:
        found = ", ".join(sorted(shown(str(kind)) for kind in kinds))
        raise LineProblem(f'"testtype" must be stdin for all tests or functional for all, not {found}')
    name = metadata.get("func_name")
    if not isinstance(name, str) or not name.isidentifier():
        raise LineProblem('the tests are functional, but "metadata" names no function in "func_name"')
    return name


def _test(entry: Any, number: int, function: str) -> Case:
    where = f"test {number}"
    given, wanted = _text(entry, "input", where), _text(entry, "output", where)
    if not function:
        return Case(given, wanted)
    arguments = [_json(line, f'"input" of {where}') for line in given.split("\n")]
    return Case(arguments, _json(wanted, f'"output" of {where}'))


def _private(text: str) -> Any:
    if text.lstrip().startswith(("[", "{")):  # neither is in the alphabet of base64
        return _json(text, '"private_test_cases"')
    try:
        squeezed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise LineProblem('"private_test_cases" is neither JSON nor base64') from None
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(squeezed, MAX_UNPACKED)
    except zlib.error as error:
        raise LineProblem(f'"private_test_cases" cannot be decompressed ({error})') from None
    if not unpacker.eof:
        raise LineProblem(f'"private_test_cases" is cut off, or unpacks to over {MAX_UNPACKED >> 20} MiB')
    return _json(_pickled_text(data), '"private_test_cases"')


def _pickled_text(data: bytes) -> str:
    """The one str of a pickle that holds nothing else; nothing is executed or built."""
    texts: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name in _STRINGS and isinstance(argument, str):
                texts.append(argument)
            elif opcode.name not in _AROUND:
                raise LineProblem(
                    f'"private_test_cases" is a pickle with the opcode {opcode.name}; only a text is accepted'
                )
    except (ValueError, IndexError, OverflowError, MemoryError) as error:
        raise LineProblem(f'"private_test_cases" is no pickle ({error})') from None
    if len(texts) != 1:
        raise LineProblem(f'"private_test_cases" is a pickle of {len(texts)} texts, not of one')
    return texts[0]


def _json(text: str | bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LineProblem(f"{where} is not JSON ({error})") from None


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise LineProblem(f"{where} is not a JSON object")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise LineProblem(f"{where} is not a JSON list")
    return value


def _text(record: dict[str, Any], key: str, where: str = "") -> str:
    behind = f" of {where}" if where else ""
    if key not in record:
        raise LineProblem(f'key "{key}"{behind} is missing')
    if not isinstance(record[key], str):
        raise LineProblem(f'"{key}"{behind} is not text')
    return str(record[key])
