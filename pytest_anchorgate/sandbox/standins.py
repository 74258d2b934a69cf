"""What the judge holds in place of what cannot cross: objects that are not plain data, and lazy iterators."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Opaque:
    """An object of which only the type's name is known: equal to nothing, neither true nor false."""

    __slots__ = ("type_name",)

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return id(self)

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} has no truth value for a test")

    def __repr__(self) -> str:
        return f"<object of type {self.type_name}>"


class RemoteIterator:
    """An iterator of the candidate's, pulled one item a time; equal only to itself, so never to a list."""

    __slots__ = ("_pull",)

    def __init__(self, pull: Callable[[], tuple[bool, Any]]) -> None:
        self._pull = pull

    def __iter__(self) -> RemoteIterator:
        return self

    def __next__(self) -> Any:
        more, value = self._pull()
        if not more:
            raise StopIteration
        return value

    def __repr__(self) -> str:
        return "<an iterator (generator, map, zip, ...)>"
