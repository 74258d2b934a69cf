"""Reference solution of HumanEval/34."""


def unique(l: list[int]) -> list[int]:  # noqa: E741  the task's own name
    """Different elements in order."""
    ordered: list[int] = []
    for element in sorted(l):
        if not ordered or element != ordered[-1]:
            ordered.append(element)
    return ordered
