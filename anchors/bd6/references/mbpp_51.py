"""Reference solution of MBPP/51."""


def check_equilateral(a: float, b: float, c: float) -> bool:
    """Three equal sides."""
    return len({a, b, c}) == 1
