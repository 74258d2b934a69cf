"""What each anchor did on the production pack: the file `baseline.json`, its form, reading and writing it.

The same pack, anchors and release give the same bytes on every machine, so that a changed baseline is a
changed product and a diff of it can be read: one anchor a block, one line of the completion a line, numbers
in one row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors import Anchor, AnchorSet
from pytest_anchorgate.strict_json import (
    Malformed,
    demand,
    demand_object,
    demand_sha256,
    demand_text,
    dump,
    loads,
)
from pytest_anchorgate.wire import is_margins, is_token_ids

SCHEMA = 1
STATUSES = ("passed", "failed", "timeout", "killed")


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
        return dump(_to_json(self)) + "\n"

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
        return _from_json(loads(text))
    except Malformed as error:
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


def _from_json(data: Any) -> Baseline:
    top = demand_object(
        data, "the file", ("schema", "pack", "anchors_digest", "decode", "numerics", "anchors", "dropped")
    )
    if top["schema"] != SCHEMA:
        raise Malformed(f"schema is {top['schema']!r}, this release reads {SCHEMA}")
    pack = demand_object(top["pack"], "pack", ("name", "identity", "sha256"))
    decode = demand_object(top["decode"], "decode", ("strategy",))
    if decode["strategy"] != "greedy":
        raise Malformed(f"decode.strategy is {decode['strategy']!r}, expected 'greedy'")
    if not isinstance(top["anchors"], dict) or not top["anchors"]:
        raise Malformed("anchors is not an object with at least one anchor")
    if not isinstance(top["dropped"], list):
        raise Malformed("dropped is not a list")
    return Baseline(
        pack=PackIdentity(
            demand_text(pack, "name", "pack"),
            demand_sha256(pack, "identity", "pack"),
            demand_sha256(pack, "sha256", "pack"),
        ),
        anchors_digest=demand_sha256(top, "anchors_digest", "the file"),
        numerics=demand_text(top, "numerics", "the file"),
        anchors={task_id: _recorded_from_json(task_id, entry) for task_id, entry in top["anchors"].items()},
        dropped=tuple(_dropped_from_json(entry, f"dropped[{i}]") for i, entry in enumerate(top["dropped"])),
    )


def _recorded_from_json(task_id: str, data: Any) -> Recorded:
    where = f"anchors.{task_id}"
    keys = tuple(Recorded.__dataclass_fields__)
    entry = demand_object(data, where, keys)
    lines = entry["text"]
    demand(
        isinstance(lines, list) and all(isinstance(line, str) for line in lines),
        f"{where}.text",
        "a list of lines",
    )
    demand(isinstance(entry["held"], bool), f"{where}.held", "true or false")
    demand(entry["status"] in STATUSES, f"{where}.status", f"one of {', '.join(STATUSES)}")
    demand(entry["held"] == (entry["status"] == "passed"), f"{where}.held", "in agreement with status")
    demand(
        type(entry["max_new_tokens"]) is int and entry["max_new_tokens"] > 0,
        f"{where}.max_new_tokens",
        "positive",
    )
    demand(is_token_ids(entry["token_ids"]), f"{where}.token_ids", "a list of token ids")
    demand(is_margins(entry["margins"]), f"{where}.margins", "a list of finite numbers")
    demand(len(entry["margins"]) == len(entry["token_ids"]), f"{where}.margins", "as long as token_ids")
    return Recorded(
        anchor_digest=demand_sha256(entry, "anchor_digest", where),
        held=entry["held"],
        status=entry["status"],
        reason=demand_text(entry, "reason", where),
        max_new_tokens=entry["max_new_tokens"],
        finish_reason=demand_text(entry, "finish_reason", where),
        text="\n".join(lines),
        token_ids=tuple(entry["token_ids"]),
        margins=tuple(map(float, entry["margins"])),
    )


def _dropped_from_json(data: Any, where: str) -> Dropped:
    entry = demand_object(data, where, ("task_id", "pack_identity", "reason"))
    return Dropped(
        demand_text(entry, "task_id", where),
        demand_sha256(entry, "pack_identity", where),
        demand_text(entry, "reason", where),
    )


def _some(ids: Iterable[str], limit: int = 3) -> str:
    ids = list(ids)
    return ", ".join(ids[:limit]) + (f" and {len(ids) - limit} more" if len(ids) > limit else "")
