"""Writing a receipt: facts and the gate's own view become two lines, which appear at their place at once."""

from __future__ import annotations

from pathlib import Path

from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.receipt.canonical import sha256_hex
from pytest_anchorgate.receipt.dsse import Signer, seal
from pytest_anchorgate.receipt.errors import ReceiptUnusable
from pytest_anchorgate.receipt.facts import Facts
from pytest_anchorgate.receipt.statement import World, statements

# What every receipt begins with, since its form is canonical.
_BEGINNING = b'{"payload":"'


def compose(facts: Facts, world: World, signer: Signer | None) -> bytes:
    """The bytes of a receipt; `facts.public_key` has to be the signer's."""
    envelopes = (seal(payload, signer) for payload in statements(facts, world))
    return b"".join(envelope.to_line() + b"\n" for envelope in envelopes)


def write(path: Path, receipt: bytes) -> None:
    """Puts the receipt at its place, complete and on disk or not at all.

    Raises:
        OSError: it cannot be written.
    """
    with writing_beside(path) as file:
        file.write(receipt)


def remove_stale(path: Path) -> str | None:
    """Removes the receipt of an earlier run, so that no receipt is there until this run has earned one.

    Returns:
        The sha256 of what was there, None if nothing was.

    Raises:
        ReceiptUnusable: one line: what is there is no receipt, or cannot be removed.
    """
    try:
        data = path.read_bytes()
        if data and not data.startswith(_BEGINNING):
            raise ReceiptUnusable(f"{path}: is there already and is no receipt; name another file")
        path.unlink()
    except FileNotFoundError:
        path.unlink(missing_ok=True)  # a link to nothing
        return None
    except OSError as error:
        raise ReceiptUnusable(f"{path}: the old receipt cannot be removed: {error.strerror}") from None
    return sha256_hex(data) if data else None
