"""Small JSON files of a checkpoint, with errors that name the file and the field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_anchorgate.packs.errors import PackSourceError


class JsonFile:
    """A JSON object from a file; `path` is kept for error messages."""

    def __init__(self, path: Path, values: dict[str, Any]) -> None:
        self.path = path
        self.values = values

    @classmethod
    def read(cls, path: Path) -> JsonFile:
        """Reads the file. Raises PackSourceError if it is missing or not a JSON object."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise PackSourceError(f"{path.parent}: it has no {path.name}") from None
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise PackSourceError(f"{path}: cannot be read as JSON: {error}") from None
        if not isinstance(values, dict):
            raise PackSourceError(f"{path}: it does not hold a JSON object")
        return cls(path, values)

    @classmethod
    def read_if_there(cls, path: Path) -> JsonFile:
        """Like `read`, but an absent file is an empty object."""
        return cls.read(path) if path.exists() else cls(path, {})

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number; a missing or null `key` gives `default`, and is an error without one."""
        value = self.values.get(key)
        value = default if value is None else value
        if type(value) is not int:
            raise PackSourceError(f"{self.path}: {key} is {value!r:.60}, not a whole number")
        return value

    def number(self, key: str) -> float:
        """A number that must be there."""
        value = self.values.get(key)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise PackSourceError(f"{self.path}: {key} is {value!r:.60}, not a number")
        return float(value)

    def truth(self, key: str, default: bool) -> bool:
        """True or false; a missing or null `key` gives `default`."""
        value = self.values.get(key)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise PackSourceError(f"{self.path}: {key} is {value!r:.60}, not true or false")
        return value
