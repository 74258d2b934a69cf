"""What a receipt states on its own account: everything that cannot be computed from pack, baseline and anchors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pytest_anchorgate.receipt.evidence import Again, Piece, incident_from_json, incident_to_json
from pytest_anchorgate.sandbox.levels import LEVELS
from pytest_anchorgate.strict_json import Malformed, demand, demand_object, demand_sha256, demand_text
from pytest_anchorgate.verdict import Incident
from pytest_anchorgate.wire import MAX_LINE, printable

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_NONCE = re.compile(r"[0-9a-f]{32}")
_RAW_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Facts:
    """The part of a receipt that has to be taken from whoever wrote it.

    Attributes:
        name: file name of the candidate; a pack may be renamed, so nothing depends on it.
        session: nonce of the gate's session.
        started_on, finished_on: RFC 3339, UTC, whole seconds.
        exit_status: of the process that held the session.
        sandbox_level: the weakest confinement that was accepted, None for any.
        recheck: how many held anchors had to be generated a second time.
        runtime: what the engine said about pack and machine; text and integers.
        harness: what ran the session; text, None where unknown.
        pieces: all evidence, repeated attempts included, in the order in which it came.
        repeats: the second answers.
        previous: sha256 of the receipt that stood at the same place before, None for the first.
        public_key: 32 raw bytes in hex of the key that signs, None for an unsigned receipt.
    """

    name: str
    session: str
    started_on: str
    finished_on: str
    exit_status: int
    partial: bool
    sandbox_level: str | None
    recheck: int
    runtime: Mapping[str, str | int]
    harness: Mapping[str, str | None]
    pieces: tuple[Piece, ...]
    incidents: tuple[Incident, ...]
    repeats: tuple[Again, ...] = ()
    previous: str | None = None
    public_key: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data without floats: the keys `session`, `runtime`, `harness`, ... of the predicate."""
        return {
            "session": {
                "candidateName": self.name,
                "nonce": self.session,
                "startedOn": self.started_on,
                "finishedOn": self.finished_on,
                "exitStatus": self.exit_status,
                "partial": self.partial,
                "sandboxLevel": self.sandbox_level,
                "recheck": self.recheck,
            },
            "runtime": dict(self.runtime),
            "harness": dict(self.harness),
            "evidence": [piece.to_json() for piece in self.pieces],
            "incidents": [incident_to_json(incident) for incident in self.incidents],
            "repeats": [repeat.to_json() for repeat in self.repeats],
            "previousReceipt": self.previous,
            "signer": self.public_key,
        }

    @classmethod
    def from_json(cls, predicate: Mapping[str, Any]) -> Facts:
        """Takes them out of a predicate, whatever else is in it.

        Raises:
            Malformed: naming the key that is missing or wrong.
        """
        keys = (
            "session",
            "runtime",
            "harness",
            "evidence",
            "incidents",
            "repeats",
            "previousReceipt",
            "signer",
        )
        missing = [key for key in keys if key not in predicate]
        if missing:
            raise Malformed(f"the predicate lacks {missing[0]!r}")
        session = demand_object(
            predicate["session"],
            "session",
            (
                "candidateName",
                "nonce",
                "startedOn",
                "finishedOn",
                "exitStatus",
                "partial",
                "sandboxLevel",
                "recheck",
            ),
        )
        for key in ("evidence", "incidents", "repeats"):
            demand(isinstance(predicate[key], list), key, "a list")
        signer = predicate["signer"]
        demand(signer is None or _matches(_RAW_KEY, signer), "signer", "an ed25519 key in hex")
        if predicate["previousReceipt"] is not None:
            demand_sha256(predicate, "previousReceipt", "the predicate")
        _check_session(session)
        return cls(
            name=session["candidateName"],
            session=session["nonce"],
            started_on=session["startedOn"],
            finished_on=session["finishedOn"],
            exit_status=session["exitStatus"],
            partial=session["partial"],
            sandbox_level=session["sandboxLevel"],
            recheck=session["recheck"],
            runtime=_plain(predicate["runtime"], "runtime", (str, int)),
            harness=_plain(predicate["harness"], "harness", (str, type(None))),
            pieces=tuple(
                Piece.from_json(entry, f"evidence[{i}]") for i, entry in enumerate(predicate["evidence"])
            ),
            incidents=tuple(
                incident_from_json(entry, f"incidents[{i}]") for i, entry in enumerate(predicate["incidents"])
            ),
            repeats=tuple(
                Again.from_json(entry, f"repeats[{i}]") for i, entry in enumerate(predicate["repeats"])
            ),
            previous=predicate["previousReceipt"],
            public_key=signer,
        )


def plain_runtime(info: Mapping[str, Any]) -> dict[str, str | int]:
    """What the engine said, as far as it may be signed."""
    return {key: value for key, value in info.items() if type(value) in (str, int)}


def _check_session(session: Mapping[str, Any]) -> None:
    name = demand_text(session, "candidateName", "session")
    demand(name == printable(name, MAX_LINE), "session.candidateName", "one printable line")
    demand(_matches(_NONCE, session["nonce"]), "session.nonce", "a nonce in hex")
    demand(type(session["exitStatus"]) is int, "session.exitStatus", "an integer")
    demand(type(session["recheck"]) is int and session["recheck"] >= 0, "session.recheck", "a count")
    demand(isinstance(session["partial"], bool), "session.partial", "true or false")
    level = session["sandboxLevel"]
    demand(level is None or level in LEVELS, "session.sandboxLevel", "a level of the sandbox or null")
    for key in ("startedOn", "finishedOn"):
        demand(_is_time(session[key]), f"session.{key}", "a time such as 2026-01-31T12:00:00Z")
    demand(session["startedOn"] <= session["finishedOn"], "session.finishedOn", "after startedOn")


def _is_time(text: object) -> bool:
    if not isinstance(text, str) or not _TIME.fullmatch(text, 0):
        return False
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return False
    return True


def _matches(pattern: re.Pattern[str], text: object) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _plain(data: Any, where: str, kinds: tuple[type, ...]) -> dict[str, Any]:
    demand(isinstance(data, dict), where, "an object")
    for key, value in data.items():
        demand(type(value) in kinds, f"{where}.{key}", " or ".join(kind.__name__ for kind in kinds))
    return dict(data)
