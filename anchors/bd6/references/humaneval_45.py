"""Reference solution of HumanEval/45."""


def triangle_area(a: float, h: float) -> float:
    """Area of a triangle."""
    return a * h / 2
