"""Reference solution of HumanEval/23."""


def strlen(string: str) -> int:
    """Number of characters."""
    return sum(1 for _ in string)
