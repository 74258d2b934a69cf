"""One line of an anchor file: from bytes to a checked record, or what is wrong with it."""

from __future__ import annotations

import json
import keyword
import re
import unicodedata
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors_tests import (
    problem_of_check,
    problem_of_inputs,
    problem_of_reference,
    problem_of_source,
    problem_of_test,
)

__all__ = ["DEFAULT_MAX_NEW_TOKENS", "LineProblem", "parse_line", "shown"]

DEFAULT_MAX_NEW_TOKENS = 256
MAX_NEW_TOKENS_LIMIT = 4096
MAX_TEXT_CHARS = 1 << 18
MAX_TESTS = 1000
MAX_INOUT = 64

_TASK_ID = re.compile(r"[A-Za-z0-9._/-]{1,100}")
_TEXT_KEYS = (
    *("task_id", "entry_point", "prompt", "check", "setup", "source", "code_prompt"),
    *("reference", "inputs"),
)
_KEYS = (*_TEXT_KEYS, "tests", "max_new_tokens", "exact_types", "inout")
_REQUIRED = ("task_id", "entry_point", "prompt")


class LineProblem(Exception):
    """What is wrong with a line and how to fix it, before the file and line are known."""


def parse_line(raw: bytes) -> dict[str, Any]:
    """Return the record of one line with every key of an anchor, defaults filled in.

    Raises:
        LineProblem: "what; how to fix", for anything that is not exactly an anchor.
    """
    record = _json_object(raw)
    _demand_keys(record)
    for key in _TEXT_KEYS:
        if key in record:
            _demand_text(f'"{key}"', record[key], may_be_empty=key in ("setup", "source", "code_prompt"))
    _demand_names(record["task_id"], record["entry_point"])
    optional = {
        **{"check": None, "setup": "", "source": "", "code_prompt": ""},
        **{"reference": None, "inputs": None, "exact_types": False},
    }
    result = {**optional, "max_new_tokens": DEFAULT_MAX_NEW_TOKENS, **record}
    result["tests"] = _tests(record["tests"], record["entry_point"]) if "tests" in record else ()
    result["inout"] = _positions(record["inout"]) if "inout" in record else ()
    _demand_max_new_tokens(result["max_new_tokens"])
    _demand_reference(record)
    for key, problem in (
        ("check", problem_of_check(record["check"]) if "check" in record else ""),
        ("setup", problem_of_source(result["setup"])),
        ("code_prompt", problem_of_source(result["code_prompt"])),
    ):
        if problem:
            raise LineProblem(f'"{key}" {problem}')
    return result


def shown(text: object, limit: int = 80) -> str:
    """Return text for a message: one line, printable, at most `limit` characters unless it is a path."""
    plain = str(text)
    if not isinstance(text, Path) and len(plain) > limit:
        plain = plain[: limit - 3] + "..."
    return plain if plain.isprintable() else ascii(plain)


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LineProblem(f"not UTF-8 at byte {error.start} of the line; save the file as UTF-8") from None
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise LineProblem(f"not JSON at column {error.colno}: {error.msg}; write one object a line") from None
    except RecursionError:
        raise LineProblem("nested too deeply; an anchor is one flat object") from None
    except ValueError:
        raise LineProblem("holds a number of too many digits; max_new_tokens is the only number") from None
    if not isinstance(value, dict):
        raise LineProblem(f"a JSON {_type_name(value)}, not an object; write {{...}}")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise LineProblem(f"key {_quoted(key)} appears twice; keep one")
        result[key] = value
    return result


def _no_constant(name: str) -> Any:
    raise LineProblem(f"{name} is not JSON; remove it")


def _demand_keys(record: dict[str, Any]) -> None:
    for key in record:
        if key not in _KEYS:
            raise LineProblem(f"unknown key {_quoted(key)}; the keys are {', '.join(_KEYS)}")
    for key in _REQUIRED:
        if key not in record:
            raise LineProblem(f'key "{key}" is missing; add it')
    if ("tests" in record) == ("check" in record):
        both = "both" if "tests" in record else "neither"
        raise LineProblem(f'{both} of "tests" and "check" given; give exactly one')


def _demand_text(where: str, value: object, *, may_be_empty: bool) -> None:
    if not isinstance(value, str):
        raise LineProblem(f"{where} is a JSON {_type_name(value)}; make it a string")
    if not value.strip() and not may_be_empty:
        raise LineProblem(f"{where} is empty; fill it in")
    if len(value) > MAX_TEXT_CHARS:
        raise LineProblem(f"{where} has more than {MAX_TEXT_CHARS} characters; shorten it")
    if "\0" in value:
        raise LineProblem(f"{where} holds a NUL character; remove it")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise LineProblem(
            f"{where} holds half a surrogate pair at character {error.start}; remove it"
        ) from None


def _demand_names(task_id: str, entry_point: str) -> None:
    if not _TASK_ID.fullmatch(task_id):
        raise LineProblem(
            f"task_id {_quoted(task_id)} is not 1 to 100 of A-Z a-z 0-9 . _ / -; rename it, like MBPP/17"
        )
    # Python compares names in NFKC, and text search does not: only names that are the same in both will do.
    plain = unicodedata.normalize("NFKC", entry_point) == entry_point
    if not entry_point.isidentifier() or keyword.iskeyword(entry_point) or not plain:
        raise LineProblem(
            f"entry_point {_quoted(entry_point)} is not a function name; name what the tests call"
        )


def _tests(value: object, entry_point: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise LineProblem(f'"tests" is a JSON {_type_name(value)}; make it a list of assert statements')
    if not value:
        raise LineProblem('"tests" is empty; add at least one assert statement')
    if len(value) > MAX_TESTS:
        raise LineProblem(f'"tests" has more than {MAX_TESTS} entries; split the anchor')
    for number, test in enumerate(value, start=1):
        where = f'test {number} of "tests"'
        _demand_text(where, test, may_be_empty=False)
        if problem := problem_of_test(test, entry_point):
            raise LineProblem(f"{where} {problem}")
    return tuple(value)


def _positions(value: object) -> tuple[int, ...]:
    places = value if isinstance(value, list) else [None]
    whole = all(type(place) is int and 0 <= place < MAX_INOUT for place in places)
    if not whole or places != sorted(set(places)):
        raise LineProblem('"inout" is not a list of argument positions, 0 first and ascending; write [0]')
    return tuple(places)


def _demand_max_new_tokens(value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_NEW_TOKENS_LIMIT:
        raise LineProblem(f'"max_new_tokens" is not an integer from 1 to {MAX_NEW_TOKENS_LIMIT}; change it')


def _demand_reference(record: dict[str, Any]) -> None:
    if ("reference" in record) != ("inputs" in record):
        given, missing = ("reference", "inputs") if "reference" in record else ("inputs", "reference")
        raise LineProblem(f'"{given}" is given without "{missing}"; give both, or none of the two')
    if not isinstance(record.get("exact_types", False), bool):
        raise LineProblem('"exact_types" is not a boolean; write true or false')
    if "reference" not in record:
        if record.get("exact_types", False):
            raise LineProblem('"exact_types" is given without "reference"; give one, with "inputs"')
        return
    for key, problem in (
        ("reference", problem_of_reference(record["reference"], record["entry_point"])),
        ("inputs", problem_of_inputs(record["inputs"])),
    ):
        if problem:
            raise LineProblem(f'"{key}" {problem}')


def _type_name(value: object) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _quoted(text: str) -> str:
    return json.dumps(shown(text))
