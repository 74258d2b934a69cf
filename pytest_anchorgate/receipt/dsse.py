"""DSSE envelopes, one a line: a payload, its type, and signatures over both.

https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pytest_anchorgate.receipt.canonical import canonical, parse_canonical
from pytest_anchorgate.strict_json import Malformed, demand, demand_object, demand_text

IN_TOTO = "application/vnd.in-toto+json"


class Signer(Protocol):
    """A private key and the name of its public half."""

    @property
    def key_id(self) -> str:
        """Name of the key, a hint for whoever verifies."""

    def sign(self, message: bytes) -> bytes:
        """The signature of a message."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of an envelope."""

    key_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload and who signed it; none for an unsigned receipt, which only its contents speak for."""

    payload: bytes
    signatures: tuple[Signature, ...] = ()
    payload_type: str = IN_TOTO

    def to_line(self) -> bytes:
        """The envelope as one line, without its line feed."""
        return canonical(
            {
                "payload": _encode(self.payload),
                "payloadType": self.payload_type,
                "signatures": [{"keyid": s.key_id, "sig": _encode(s.value)} for s in self.signatures],
            }
        )

    @classmethod
    def from_line(cls, line: bytes, where: str) -> Envelope:
        """Reads exactly what `to_line` writes, in its one spelling.

        Raises:
            Malformed: naming `where`.
        """
        top = demand_object(parse_canonical(line, where), where, ("payload", "payloadType", "signatures"))
        demand(top["payloadType"] == IN_TOTO, f"{where}.payloadType", IN_TOTO)
        demand(isinstance(top["signatures"], list), f"{where}.signatures", "a list")
        signatures = (_signature(entry, f"{where}.signatures") for entry in top["signatures"])
        return cls(_decode(top, "payload", where), tuple(signatures))


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def seal(payload: bytes, signer: Signer | None) -> Envelope:
    """The payload in an envelope, signed if there is a signer."""
    if signer is None:
        return Envelope(payload)
    return Envelope(payload, (Signature(signer.key_id, signer.sign(pae(IN_TOTO, payload))),))


def _signature(entry: Any, where: str) -> Signature:
    fields: Mapping[str, Any] = demand_object(entry, where, ("keyid", "sig"))
    return Signature(demand_text(fields, "keyid", where), _decode(fields, "sig", where))


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(entry: Mapping[str, Any], key: str, where: str) -> bytes:
    text = demand_text(entry, key, where)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(f"{where}.{key} is not base64") from None
    # Unused bits of the last character could carry a change that decodes to the same bytes.
    demand(_encode(data) == text, f"{where}.{key}", "base64 in its one spelling")
    return data
