"""What each anchor did on the production pack: the file `baseline.json`, its form, reading and writing it.

The same pack, anchors and release give the same bytes on every machine, so that a changed baseline is a
changed product and a diff of it can be read: one anchor a block, one line of the completion a line, numbers
in one row.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors import Anchor, AnchorSet
from pytest_anchorgate.wire import is_margins, is_token_ids

SCHEMA = 1
STATUSES = ("passed", "failed", "timeout", "killed")
_HEX = re.compile(r"[0-9a-f]{64}")


class BaselineError(ValueError):
    """A baseline that cannot be used; one line that names the file, the key, and what to do."""


@dataclass(frozen=True, slots=True)
class PackIdentity:
    """Which pack a baseline was recorded on: digest of the logical content, digest of the file, file name."""

    name: str
    identity: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one anchor did on the production pack.

    Attributes:
        anchor_digest: digest of the anchor as it was then.
        status: the sandbox's status; `held` is true if it was "passed".
        margins: top-1 minus top-2 logit of each token, float32 values in their shortest spelling.
    """

    anchor_digest: str
    held: bool
    status: str
    reason: str
    max_new_tokens: int
    finish_reason: str
    text: str
    token_ids: tuple[int, ...]
    margins: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """An anchor that an earlier baseline held and a later one does not, and why that was accepted."""

    task_id: str
    pack_identity: str
    reason: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """The production pack's answers to one anchor set, and what was given up on the way there."""

    pack: PackIdentity
    anchors_digest: str
    numerics: str
    anchors: Mapping[str, Recorded]
    dropped: tuple[Dropped, ...] = ()

    @property
    def held(self) -> dict[str, bool]:
        """Task id to whether production solved it."""
        return {task_id: recorded.held for task_id, recorded in self.anchors.items()}

    def to_text(self) -> str:
        """The canonical form of the file."""
        return _dump(_to_json(self), 0) + "\n"

    @property
    def digest(self) -> str:
        """sha256 of the canonical form in hex; a formatter that touched the file does not change it."""
        return hashlib.sha256(self.to_text().encode()).hexdigest()


def anchor_digest(anchor: Anchor) -> str:
    """Digest of everything about an anchor that can change what is asked or what counts as right.

    Where it stands in which file, and what the source is called, cannot.
    """
    content = json.dumps(anchor.meaning(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def read_baseline(path: Path) -> Baseline:
    """Reads and checks a baseline file.

    Raises:
        BaselineError: if it is missing, unreadable or malformed.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise BaselineError(
            f"no baseline at {path}: record one with `anchorgate record --pack PRODUCTION -o {path}`, "
            "PRODUCTION being the pack that is in use now"
        ) from None
    except UnicodeDecodeError:
        raise BaselineError(f"{path}: not UTF-8 text, so not a baseline") from None
    except OSError as error:
        raise BaselineError(f"{path}: the baseline cannot be read: {error.strerror}") from None
    return parse_baseline(text, str(path))


def parse_baseline(text: str, origin: str) -> Baseline:
    """A baseline from the file's text.

    Raises:
        BaselineError: naming `origin` and the key.
    """
    try:
        data = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"{origin}: not a baseline: {error}") from None
    try:
        return _from_json(data)
    except _Malformed as error:
        raise BaselineError(f"{origin}: {error}; record it again with `anchorgate record`") from None


def require_same_anchors(baseline: Baseline, anchors: AnchorSet, origin: str) -> None:
    """Refuses a baseline that was recorded for other anchors.

    Raises:
        BaselineError: saying which anchors are new, gone or changed.
    """
    now = {anchor.task_id: anchor_digest(anchor) for anchor in anchors.anchors}
    then = {task_id: recorded.anchor_digest for task_id, recorded in baseline.anchors.items()}
    if now == then and baseline.anchors_digest == anchors.digest:
        return
    groups = (
        ("new", sorted(now.keys() - then.keys())),
        ("gone", sorted(then.keys() - now.keys())),
        ("changed", sorted(t for t in now.keys() & then.keys() if now[t] != then[t])),
    )
    names = "; ".join(f"{what}: {_some(ids)}" for what, ids in groups if ids)
    raise BaselineError(
        f"baseline {origin} was recorded for another anchor set (digest {baseline.anchors_digest[:12]}, "
        f"this set is {anchors.digest[:12]}{'; ' + names if names else ''}): "
        "record a new one with `anchorgate record --pack PRODUCTION`"
    )


def no_longer_held(old: Baseline, new: Baseline) -> list[str]:
    """The anchors that `old` holds and `new` does not hold, or does not have."""
    return [task_id for task_id, held in old.held.items() if held and not new.held.get(task_id, False)]


def shortest_float32(value: float) -> float:
    """The float with the fewest digits that is the same float32, so that its repr is the float32's shortest.

    Raises:
        OverflowError: if it does not fit a float32.
    """
    packed = struct.pack("<f", value)
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        if struct.pack("<f", short) == packed:
            return short
    return value


class _Malformed(ValueError):
    """What is wrong with a key of the file."""


def _to_json(baseline: Baseline) -> dict[str, Any]:
    pack = baseline.pack
    return {
        "schema": SCHEMA,
        "pack": {"name": pack.name, "identity": pack.identity, "sha256": pack.sha256},
        "anchors_digest": baseline.anchors_digest,
        "decode": {"strategy": "greedy"},
        "numerics": baseline.numerics,
        "anchors": {task_id: _recorded_to_json(recorded) for task_id, recorded in baseline.anchors.items()},
        "dropped": [
            {"task_id": d.task_id, "pack_identity": d.pack_identity, "reason": d.reason}
            for d in baseline.dropped
        ],
    }


def _recorded_to_json(recorded: Recorded) -> dict[str, Any]:
    return {
        "anchor_digest": recorded.anchor_digest,
        "held": recorded.held,
        "status": recorded.status,
        "reason": recorded.reason,
        "max_new_tokens": recorded.max_new_tokens,
        "finish_reason": recorded.finish_reason,
        "text": recorded.text.split("\n"),
        "token_ids": list(recorded.token_ids),
        "margins": list(recorded.margins),
    }


def _dump(value: Any, depth: int) -> str:
    """JSON with sorted keys and one space of indentation a level; a list of numbers stays in its row."""
    inner, outer = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict) and value:
        lines = [
            f"{json.dumps(key, ensure_ascii=False)}: {_dump(value[key], depth + 1)}" for key in sorted(value)
        ]
        return "{" + inner + f",{inner}".join(lines) + outer + "}"
    if isinstance(value, list) and value and not isinstance(value[0], (int, float)):
        return "[" + inner + f",{inner}".join(_dump(entry, depth + 1) for entry in value) + outer + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _from_json(data: Any) -> Baseline:
    top = _object(
        data, "the file", ("schema", "pack", "anchors_digest", "decode", "numerics", "anchors", "dropped")
    )
    if top["schema"] != SCHEMA:
        raise _Malformed(f"schema is {top['schema']!r}, this release reads {SCHEMA}")
    pack = _object(top["pack"], "pack", ("name", "identity", "sha256"))
    decode = _object(top["decode"], "decode", ("strategy",))
    if decode["strategy"] != "greedy":
        raise _Malformed(f"decode.strategy is {decode['strategy']!r}, expected 'greedy'")
    if not isinstance(top["anchors"], dict) or not top["anchors"]:
        raise _Malformed("anchors is not an object with at least one anchor")
    if not isinstance(top["dropped"], list):
        raise _Malformed("dropped is not a list")
    return Baseline(
        pack=PackIdentity(
            _text(pack, "name", "pack"), _sha256(pack, "identity", "pack"), _sha256(pack, "sha256", "pack")
        ),
        anchors_digest=_sha256(top, "anchors_digest", "the file"),
        numerics=_text(top, "numerics", "the file"),
        anchors={task_id: _recorded_from_json(task_id, entry) for task_id, entry in top["anchors"].items()},
        dropped=tuple(_dropped_from_json(entry, f"dropped[{i}]") for i, entry in enumerate(top["dropped"])),
    )


def _recorded_from_json(task_id: str, data: Any) -> Recorded:
    where = f"anchors.{task_id}"
    keys = tuple(Recorded.__dataclass_fields__)
    entry = _object(data, where, keys)
    lines = entry["text"]
    _expect(
        isinstance(lines, list) and all(isinstance(line, str) for line in lines),
        f"{where}.text",
        "a list of lines",
    )
    _expect(isinstance(entry["held"], bool), f"{where}.held", "true or false")
    _expect(entry["status"] in STATUSES, f"{where}.status", f"one of {', '.join(STATUSES)}")
    _expect(entry["held"] == (entry["status"] == "passed"), f"{where}.held", "in agreement with status")
    _expect(
        type(entry["max_new_tokens"]) is int and entry["max_new_tokens"] > 0,
        f"{where}.max_new_tokens",
        "positive",
    )
    _expect(is_token_ids(entry["token_ids"]), f"{where}.token_ids", "a list of token ids")
    _expect(is_margins(entry["margins"]), f"{where}.margins", "a list of finite numbers")
    _expect(len(entry["margins"]) == len(entry["token_ids"]), f"{where}.margins", "as long as token_ids")
    return Recorded(
        anchor_digest=_sha256(entry, "anchor_digest", where),
        held=entry["held"],
        status=entry["status"],
        reason=_text(entry, "reason", where),
        max_new_tokens=entry["max_new_tokens"],
        finish_reason=_text(entry, "finish_reason", where),
        text="\n".join(lines),
        token_ids=tuple(entry["token_ids"]),
        margins=tuple(map(float, entry["margins"])),
    )


def _dropped_from_json(data: Any, where: str) -> Dropped:
    entry = _object(data, where, ("task_id", "pack_identity", "reason"))
    return Dropped(
        _text(entry, "task_id", where), _sha256(entry, "pack_identity", where), _text(entry, "reason", where)
    )


def _object(value: Any, where: str, keys: tuple[str, ...]) -> dict[str, Any]:
    _expect(isinstance(value, dict), where, "an object")
    missing, surplus = [k for k in keys if k not in value], [k for k in value if k not in keys]
    if missing or surplus:
        raise _Malformed(
            f"{where} lacks {missing[0]!r}" if missing else f"{where} has an unknown key {surplus[0]!r}"
        )
    return dict(value)


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    _expect(isinstance(entry[key], str), f"{where}.{key}", "a string")
    return str(entry[key])


def _sha256(entry: Mapping[str, Any], key: str, where: str) -> str:
    value = entry[key]
    _expect(isinstance(value, str) and _HEX.fullmatch(value) is not None, f"{where}.{key}", "a sha256 in hex")
    return str(value)


def _expect(condition: bool, where: str, what: str) -> None:
    if not condition:
        raise _Malformed(f"{where} is not {what}")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} stands there twice")
    return out


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is not a number that JSON has")


def _some(ids: Iterable[str], limit: int = 3) -> str:
    ids = list(ids)
    return ", ".join(ids[:limit]) + (f" and {len(ids) - limit} more" if len(ids) > limit else "")
