"""Reference solution of MBPP/20."""


def is_woodall(x: int) -> bool:
    """Woodall numbers, n * 2**n - 1."""
    n = 1
    while (n << n) - 1 < x:
        n += 1
    return (n << n) - 1 == x
