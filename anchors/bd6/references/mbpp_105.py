"""Reference solution of MBPP/105."""


def count(flags: list[bool]) -> int:
    """How many booleans are true."""
    return len([flag for flag in flags if flag])
