"""Reference solution of MBPP/17."""


def square_perimeter(a: float) -> float:
    """Perimeter of a square."""
    return a + a + a + a
