"""Reference solution of HumanEval/53."""


def add(x: int, y: int) -> int:
    """Sum of two integers."""
    return x - -y
