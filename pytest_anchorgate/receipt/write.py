"""Writing a receipt: facts and the gate's own view become two lines, which appear at their place at once."""

from __future__ import annotations

from pathlib import Path

from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.receipt.dsse import Signer, seal
from pytest_anchorgate.receipt.facts import Facts
from pytest_anchorgate.receipt.statement import World, statements
from pytest_anchorgate.verdict import Decision


def compose(facts: Facts, world: World, decision: Decision, signer: Signer | None) -> bytes:
    """The bytes of a receipt; see `statements`. `facts.public_key` has to be the signer's."""
    envelopes = (seal(payload, signer) for payload in statements(facts, world, decision))
    return b"".join(envelope.to_line() + b"\n" for envelope in envelopes)


def write(path: Path, receipt: bytes) -> None:
    """Puts the receipt at its place, complete and on disk or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with writing_beside(path) as file:
        file.write(receipt)
