"""The anchor set: one strict JSONL file, read whole or refused with the line that is wrong.

A gate that guesses what a damaged file meant can pass on less than it was asked to check. So nothing is
skipped, repaired or defaulted silently: unknown keys, duplicate keys, blank lines and tests that assert
nothing are all errors. The tests are parsed here because they come from whoever runs the gate; the text of a
model is never parsed outside the sandbox.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors_line import DEFAULT_MAX_NEW_TOKENS, LineProblem, parse_line, shown

__all__ = [
    "ANCHORS_FILE",
    "DEFAULT_MAX_NEW_TOKENS",
    "Anchor",
    "AnchorSet",
    "AnchorsError",
    "find_anchor_file",
    "load_anchors",
    "parse_anchors",
    "read_limited",
]

ANCHORS_FILE = "anchors.jsonl"
MAX_FILE_BYTES = 16 << 20


class AnchorsError(ValueError):
    """An anchor file that cannot be used; its text is one line, "FILE:LINE: what; how to fix"."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """One task that production solves: what is asked of the model and how the answer is checked.

    Attributes:
        task_id: unique in its file, such as "MBPP/17".
        entry_point: name of the function that the tests call.
        prompt: what the user of the chat model says.
        tests: assert statements, each complete by itself; empty when `check` is given.
        check: source that defines `check(candidate)`, HumanEval's form, or None.
        setup: source that runs before the tests.
        max_new_tokens: most tokens the model may generate.
        source: where the task comes from, for people; never part of the digest.
        line: line of the file, counted from 1.
        code_prompt: source loaded before the completion ("" unless given).
        reference: source of a right solution, for the judge alone, or None.
        inputs: source of `inputs(random)`, which yields tuples of arguments for extra tests against the
            reference, or None; given exactly if `reference` is.
        exact_types: whether those tests demand the reference's types beyond `==`.
        inout: positions of the arguments that the function edits in place for the tests to see.
    """

    task_id: str
    entry_point: str
    prompt: str
    tests: tuple[str, ...]
    check: str | None
    setup: str
    max_new_tokens: int
    source: str
    line: int
    code_prompt: str
    reference: str | None = None
    inputs: str | None = None
    exact_types: bool = False
    inout: tuple[int, ...] = ()

    def meaning(self) -> dict[str, Any]:
        """Everything that can change what is asked or what counts as right, by name, ready for JSON.

        Where the anchor stands in which file, and what its source is called, cannot. What an anchor without a
        reference means is what it meant before there were references.
        """
        extra = ("reference", "inputs", "exact_types")
        left_out = {"line", "source", *(extra if self.reference is None else ())}
        left_out |= set() if self.inout else {"inout"}
        names = (field.name for field in fields(self) if field.name not in left_out)
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class AnchorSet:
    """The anchors of one file in file order.

    Attributes:
        anchors: at least one anchor, task ids unique.
        digest: sha256 hex over the canonical JSON of what the anchors mean, sorted by task id. White space,
            order of keys and of lines, spelled-out defaults and `source` do not change it.
        path: the file.
    """

    anchors: tuple[Anchor, ...]
    digest: str
    path: Path

    def __len__(self) -> int:
        return len(self.anchors)

    def __iter__(self) -> Iterator[Anchor]:
        return iter(self.anchors)


def load_anchors(path: str | os.PathLike[str]) -> AnchorSet:
    """Read an anchor file.

    Args:
        path: the `anchors.jsonl` itself.

    Raises:
        AnchorsError: for anything that is not a complete, unambiguous anchor set.
    """
    path = Path(path)
    return parse_anchors(read_limited(path, MAX_FILE_BYTES, f"the {ANCHORS_FILE} itself"), path)


def parse_anchors(data: bytes, path: Path) -> AnchorSet:
    """Read the content of an anchor file; `path` is for messages and for the result.

    Raises:
        AnchorsError: as `load_anchors`.
    """
    anchors: list[Anchor] = []
    seen: dict[str, int] = {}
    for number, raw in enumerate(_lines(data, path), start=1):
        try:
            anchor = Anchor(**parse_line(raw), line=number)
        except LineProblem as problem:
            raise AnchorsError(f"{shown(path)}:{number}: {problem}") from None
        first = seen.setdefault(anchor.task_id, number)
        if first != number:
            raise AnchorsError(
                f"{shown(path)}:{number}: task_id {anchor.task_id} is already taken by line {first}; "
                "remove or rename one of the two"
            )
        anchors.append(anchor)
    return AnchorSet(tuple(anchors), _digest(anchors), path)


def read_anchors(place: Path) -> AnchorSet:
    """The anchor set of a folder, or of the file itself.

    Raises:
        AnchorsError: see `load_anchors` and `find_anchor_file`.
    """
    return load_anchors(place if place.is_file() else find_anchor_file(place))


def find_anchor_file(directory: str | os.PathLike[str]) -> Path:
    """Find the anchor file of a folder: its own `anchors.jsonl`, else that of its only subfolder with one.

    Raises:
        AnchorsError: where there is none, or more than one to choose from.
    """
    directory = Path(directory)
    if not directory.is_dir():
        what = "is not a folder" if directory.exists() else "does not exist"
        raise AnchorsError(f"{shown(directory)}: {what}; name a folder that holds {ANCHORS_FILE}")
    own = directory / ANCHORS_FILE
    if own.is_file():
        return own
    try:
        found = sorted(directory.glob(f"*/{ANCHORS_FILE}"))
    except OSError as error:
        raise AnchorsError(f"{shown(directory)}: {error.strerror}; check its permissions") from None
    if not found:
        raise AnchorsError(
            f"{shown(directory)}: holds no {ANCHORS_FILE}, nor does a folder in it; "
            "write one, or get one with `anchorgate anchors import`"
        )
    if len(found) > 1:
        names = ", ".join(shown(path.parent) for path in found)
        raise AnchorsError(f"{shown(directory)}: holds several anchor sets; name one of {names}")
    return found[0]


def read_limited(path: Path, limit: int, wanted: str) -> bytes:
    """Read a regular file of at most `limit` bytes; `wanted` tells people what they should have named.

    Raises:
        AnchorsError: one line, for anything else.
    """
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
        # A FIFO would block and a device might never end.
        data = path.read_bytes() if regular and path.stat().st_size <= limit else None
    except OSError as error:
        raise AnchorsError(f"{shown(path)}: {error.strerror}; check the path and its permissions") from None
    except ValueError:
        raise AnchorsError(f"{shown(path)}: not a file name; name {wanted}") from None
    if not regular:
        raise AnchorsError(f"{shown(path)}: not a regular file; name {wanted}")
    if data is None:
        raise AnchorsError(f"{shown(path)}: larger than {limit >> 20} MiB; name {wanted}")
    return data


def _lines(data: bytes, path: Path) -> list[bytes]:
    if not data.strip():
        raise AnchorsError(f"{shown(path)}: 0 anchors prove nothing; put one JSON object on each line")
    if data.startswith(b"\xef\xbb\xbf"):
        raise AnchorsError(
            f"{shown(path)}:1: starts with a byte order mark; save the file as UTF-8 without one"
        )
    lines = data.removesuffix(b"\n").split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise AnchorsError(f"{shown(path)}:{number}: blank line; remove it")
    return lines


def _digest(anchors: list[Anchor]) -> str:
    content = [anchor.meaning() for anchor in sorted(anchors, key=lambda anchor: anchor.task_id)]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
