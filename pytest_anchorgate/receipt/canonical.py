"""The one spelling of a JSON value that may be signed: sorted keys, no spaces, ASCII, no floats."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from pytest_anchorgate.strict_json import Malformed, loads

# JavaScript's exact integers; readers in other languages see the same number.
_LARGEST = 2**53 - 1


def canonical(value: Any) -> bytes:
    """The bytes of a value made of dicts, lists, strings, integers, true, false and null.

    Raises:
        TypeError: for anything else, floats above all: their spelling differs from writer to writer.
    """
    _refuse_others(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def parse_canonical(data: bytes, what: str) -> Any:
    """The value, if `data` is exactly its canonical spelling.

    Raises:
        Malformed: naming `what`.
    """
    try:
        value = loads(data.decode("ascii"))
        same = canonical(value) == data
    except UnicodeDecodeError:
        raise Malformed(f"{what} is not ASCII") from None
    except Malformed as error:
        raise Malformed(f"{what} is {error}") from None
    except TypeError as error:
        raise Malformed(f"{what} holds {error}") from None
    if not same:
        raise Malformed(f"{what} is not in canonical form")
    return value


def sha256_hex(data: bytes) -> str:
    """The digest in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def token_digest(token_ids: Sequence[int]) -> str:
    """Digest of a completion's tokens: of their JSON list without spaces."""
    return sha256_hex(canonical(list(token_ids)))


def _refuse_others(value: Any) -> None:
    if isinstance(value, dict):
        for key, entry in value.items():
            if type(key) is not str:
                raise TypeError(f"a key of type {type(key).__name__}")
            _refuse_others(entry)
    elif isinstance(value, list):
        for entry in value:
            _refuse_others(entry)
    elif type(value) is int:
        if abs(value) > _LARGEST:
            raise TypeError("an integer beyond 2**53")
    elif value is not None and type(value) not in (str, bool):
        raise TypeError(f"a {type(value).__name__}")
