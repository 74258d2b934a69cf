"""GPT-2's alphabet: each byte as one printable character, the way vocabularies spell their tokens.

Printable Latin-1 bytes stand for themselves; the other 68 are numbered from U+0100 on, in order.
"""

from __future__ import annotations

from pytest_anchorgate.packs.errors import PackSourceError


def _alphabet() -> dict[str, int]:
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(0x100 + n): byte for n, byte in enumerate(others)}


BYTE_OF = _alphabet()
CHARACTER_OF = {byte: character for character, byte in BYTE_OF.items()}


def spelled_to_bytes(token: str) -> bytes:
    """The raw bytes of a token as a vocabulary spells it.

    Raises:
        PackSourceError: if a character is not of the alphabet: the vocabulary is not a byte-level one.
    """
    try:
        return bytes(BYTE_OF[character] for character in token)
    except KeyError as error:
        raise PackSourceError(
            f"token {token!r} holds {error.args[0]!r}, which is not of the byte-level alphabet"
        ) from None


def bytes_to_spelled(data: bytes) -> str:
    """The other way round."""
    return "".join(CHARACTER_OF[byte] for byte in data)
