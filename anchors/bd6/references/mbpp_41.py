"""Reference solution of MBPP/41."""


def filter_evennumbers(nums: list[int]) -> list[int]:
    """The even numbers of a list."""
    return [number for number in nums if not number & 1]
