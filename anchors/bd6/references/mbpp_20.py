"""Reference solution of MBPP/20."""


def is_woodall(x: int) -> bool:
    """Tell whether x is n * 2**n - 1 for some positive integer n."""
    n = 1
    while (n << n) - 1 < x:
        n += 1
    return (n << n) - 1 == x
