"""Reference solution of MBPP/93."""


def power(a: int, b: int) -> int:
    """Integer power by repeated squaring."""
    result = 1
    while b:
        if b & 1:
            result *= a
        a, b = a * a, b >> 1
    return result
