"""Reference solution of HumanEval/34."""

from typing import Any


def unique(l: list[Any]) -> list[Any]:  # noqa: E741  the task's own name
    """Different elements in order."""
    ordered: list[Any] = []
    for element in sorted(l):
        if not ordered or element != ordered[-1]:
            ordered.append(element)
    return ordered
