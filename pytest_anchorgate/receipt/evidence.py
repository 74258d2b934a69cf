"""What a receipt embeds of each observation: enough to decide again, without the completions' texts.

Tokens and text are there by their digests. Where the candidate's tokens part from production's, the place and
the two tokens are, so that whoever has the baseline can check them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from pytest_anchorgate.baseline import Recorded
from pytest_anchorgate.receipt.canonical import sha256_hex, token_digest
from pytest_anchorgate.repeats import Repeat
from pytest_anchorgate.sandbox.levels import LEVELS
from pytest_anchorgate.strict_json import Malformed, demand, demand_object, demand_sha256, demand_text
from pytest_anchorgate.verdict import NO_COMPLETION, Evidence, Incident, Observation
from pytest_anchorgate.wire import MAX_LINE, MAX_TEXT, printable

_INTEGER = 2**31
_LARGEST_MICRO = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Parting:
    """The first token where the candidate's answer is not production's.

    Attributes:
        index: its place in the completion.
        production: production's token there, None if its answer had ended; `candidate` likewise.
    """

    index: int
    production: int | None
    candidate: int | None


@dataclass(frozen=True, slots=True)
class Piece:
    """One observation as a receipt carries it.

    Attributes:
        shown: outcome of pytest's report, see `verdict.Evidence`.
        tokens: how many; `tokens_sha256`: see `canonical.token_digest`.
        text_sha256: of the completion as evidence carries it: printable, UTF-8.
        parting: None if the tokens are production's, or if there is no completion.
        smallest_margin_micro: how close the candidate was to writing another token anywhere: the smallest
            distance between its two largest logits, in millionths; None without a token. Likewise
            `parting_margin_micro`, at the token where it parts; None where it does not or had ended.
        milliseconds: time that the verification took.

    The other attributes are those of `verdict.Observation`.
    """

    task_id: str
    session: str
    pack_sha256: str
    baseline_digest: str
    anchors_digest: str
    anchor_digest: str
    status: str
    reason: str
    level: str
    shown: str
    worker: str
    finish_reason: str
    tokens: int
    tokens_sha256: str
    text_sha256: str
    parting: Parting | None
    smallest_margin_micro: int | None
    parting_margin_micro: int | None
    milliseconds: int

    @classmethod
    def of(cls, evidence: Evidence, recorded: Recorded | None) -> Piece:
        """The piece of one observation; `recorded` is what production did, None if the baseline has it not."""
        seen = evidence.observation
        comparable = recorded is not None and seen.status != NO_COMPLETION
        parting = _parting(recorded.token_ids, seen.token_ids) if recorded and comparable else None
        return cls(
            task_id=seen.task_id,
            session=seen.session,
            pack_sha256=seen.pack_sha256,
            baseline_digest=seen.baseline_digest,
            anchors_digest=seen.anchors_digest,
            anchor_digest=seen.anchor_digest,
            status=seen.status,
            reason=printable(seen.reason, MAX_LINE),
            level=seen.level,
            shown=evidence.shown,
            worker=seen.worker,
            finish_reason=seen.finish_reason,
            tokens=len(seen.token_ids),
            tokens_sha256=token_digest(seen.token_ids),
            text_sha256=_text_digest(seen.text),
            parting=parting,
            smallest_margin_micro=smallest_margin(seen.margins),
            parting_margin_micro=margin_at(seen.margins, parting.index) if parting else None,
            milliseconds=max(0, round(seen.seconds * 1000)),
        )

    @classmethod
    def from_json(cls, data: Any, where: str) -> Piece:
        """Reads what `to_json` writes. Raises Malformed."""
        keys = {camel(field.name): field.name for field in fields(cls)}
        entry = {keys[key]: value for key, value in demand_object(data, where, tuple(keys)).items()}
        counts = ("tokens", "milliseconds")
        margins = ("smallest_margin_micro", "parting_margin_micro")
        for name in entry.keys() - {"parting", *counts, *margins}:
            demand_text(entry, name, where)
        for name in margins:
            whole = type(entry[name]) is int and entry[name] >= 0
            demand(entry[name] is None or whole, f"{where}.{name}", "millionths or null")
        for name in counts:
            demand(_is_count(entry[name]), f"{where}.{name}", "a count")
        for name in ("tokens_sha256", "text_sha256"):
            demand_sha256(entry, name, where)
        demand(entry["level"] in ("", *LEVELS), f"{where}.level", "a level of the sandbox")
        if entry["status"] == "passed" and not entry["level"]:
            raise Malformed(f"{where} passed without a level of the sandbox")
        return cls(**{**entry, "parting": _parting_from_json(entry["parting"], f"{where}.parting")})

    def to_json(self) -> dict[str, Any]:
        """Plain data without floats."""
        return {camel(name): value for name, value in asdict(self).items()}

    def to_evidence(self) -> Evidence:
        """Evidence that `verdict.decide` treats as it treated the original.

        Of the tokens only equality counts for a verdict, so the bytes of their digest stand for them.
        """
        observation = Observation(
            session=self.session,
            pack_sha256=self.pack_sha256,
            baseline_digest=self.baseline_digest,
            anchors_digest=self.anchors_digest,
            anchor_digest=self.anchor_digest,
            task_id=self.task_id,
            status=self.status,
            reason=self.reason,
            token_ids=tuple(self.tokens_sha256.encode()),
            finish_reason=self.finish_reason,
            worker=self.worker,
            level=self.level,
        )
        return Evidence(observation, self.shown)

    def contradiction(self, recorded: Recorded | None) -> str:
        """What in this piece cannot be true given what production did; "" if all can."""
        return self._token_contradiction(recorded) or self._margin_contradiction()

    def _token_contradiction(self, recorded: Recorded | None) -> str:
        if recorded is None or self.status == NO_COMPLETION:
            return "" if self.parting is None else "there is nothing that it could part from"
        if self.tokens > recorded.max_new_tokens:
            return f"it has {self.tokens} tokens, of {recorded.max_new_tokens} allowed"
        if self.tokens_sha256 == token_digest(recorded.token_ids):
            same = (None, len(recorded.token_ids), _text_digest(recorded.text))
            fits = (self.parting, self.tokens, self.text_sha256) == same
            return "" if fits else "its tokens are production's, but not what is said of them"
        if self.parting is None:
            return "its tokens are not production's, but the place where they part is missing"
        return "" if self._parting_fits(self.parting, recorded) else "the tokens cannot part in that place"

    def _margin_contradiction(self) -> str:
        if (self.smallest_margin_micro is None) != (self.tokens == 0):
            return "the smallest margin does not fit the number of tokens"
        there = self.parting is not None and self.parting.candidate is not None
        if (self.parting_margin_micro is not None) != there:
            return "the margin where it parts does not fit the token there"
        if self.parting_margin_micro is None or self.smallest_margin_micro is None:
            return ""
        return (
            ""
            if self.smallest_margin_micro <= self.parting_margin_micro
            else "a margin is below the smallest"
        )

    def _parting_fits(self, parting: Parting, recorded: Recorded) -> bool:
        place, production = parting.index, recorded.token_ids
        expected = production[place] if place < len(production) else None
        return (
            place <= min(len(production), self.tokens)
            and parting.production == expected
            and (parting.candidate is None) == (place == self.tokens)
            and parting.candidate != expected
        )


@dataclass(frozen=True, slots=True)
class Again:
    """One answer of the determinism check (repeats.py) as a receipt carries it."""

    task_id: str
    pack_sha256: str
    tokens: int
    tokens_sha256: str

    @classmethod
    def of(cls, repeat: Repeat) -> Again:
        """The answer by its digest."""
        ids = repeat.token_ids
        return cls(repeat.task_id, repeat.pack_sha256, len(ids), token_digest(ids))

    @classmethod
    def from_json(cls, data: Any, where: str) -> Again:
        """Reads what `to_json` writes. Raises Malformed."""
        entry = demand_object(data, where, ("taskId", "packSha256", "tokens", "tokensSha256"))
        demand(_is_count(entry["tokens"]), f"{where}.tokens", "a count")
        return cls(
            task_id=demand_text(entry, "taskId", where),
            pack_sha256=demand_text(entry, "packSha256", where),
            tokens=entry["tokens"],
            tokens_sha256=demand_sha256(entry, "tokensSha256", where),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {camel(name): value for name, value in asdict(self).items()}

    def to_repeat(self) -> Repeat:
        """As `Piece.to_evidence`: the bytes of the digest stand for the tokens."""
        return Repeat(self.task_id, self.pack_sha256, tuple(self.tokens_sha256.encode()))


def smallest_margin(margins: Sequence[float]) -> int | None:
    """The smallest of them in millionths, None if there is none."""
    return min(map(_micro, margins), default=None)


def margin_at(margins: Sequence[float], index: int) -> int | None:
    """One of them in millionths, None behind the last."""
    return _micro(margins[index]) if index < len(margins) else None


def _micro(margin: float) -> int:
    # Signed data has no floats; what a float32 can be beyond that says nothing more.
    return min(round(margin * 1_000_000), _LARGEST_MICRO)


def camel(name: str) -> str:
    """A field's name as in-toto spells names."""
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


def incident_to_json(incident: Incident) -> dict[str, Any]:
    """Plain data."""
    return {"text": incident.text, "taskId": incident.task_id, "fatal": incident.fatal}


def incident_from_json(data: Any, where: str) -> Incident:
    """Reads what `incident_to_json` writes. Raises Malformed."""
    entry: Mapping[str, Any] = demand_object(data, where, ("text", "taskId", "fatal"))
    demand(entry["taskId"] is None or isinstance(entry["taskId"], str), f"{where}.taskId", "a task id")
    demand(isinstance(entry["fatal"], bool), f"{where}.fatal", "true or false")
    return Incident(demand_text(entry, "text", where), entry["taskId"], entry["fatal"])


def _text_digest(text: str) -> str:
    return sha256_hex(printable(text, MAX_TEXT, lines=True).encode("utf-8"))


def _parting(production: tuple[int, ...], candidate: tuple[int, ...]) -> Parting | None:
    if production == candidate:
        return None
    shorter = min(len(production), len(candidate))
    place = next((i for i in range(shorter) if production[i] != candidate[i]), shorter)
    return Parting(place, *(ids[place] if place < len(ids) else None for ids in (production, candidate)))


def _parting_from_json(data: Any, where: str) -> Parting | None:
    if data is None:
        return None
    entry = demand_object(data, where, ("index", "production", "candidate"))
    demand(_is_count(entry["index"]), f"{where}.index", "a place")
    for name in ("production", "candidate"):
        demand(entry[name] is None or _is_count(entry[name]), f"{where}.{name}", "a token id or null")
    return Parting(**entry)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _INTEGER
