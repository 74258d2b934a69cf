"""Reference solution of HumanEval/85."""


def add(lst: list[int]) -> int:
    """Sum of the even numbers at odd indices."""
    return sum(number for index, number in enumerate(lst) if index % 2 == 1 and number % 2 == 0)
