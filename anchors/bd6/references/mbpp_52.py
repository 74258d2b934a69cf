"""Reference solution of MBPP/52."""


def parallelogram_area(b: float, h: float) -> float:
    """Area of a parallelogram."""
    return b * h
