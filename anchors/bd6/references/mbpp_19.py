"""Reference solution of MBPP/19."""

import itertools

# The task calls its function test_duplicate: tell pytest that this module holds no tests.
__test__ = False


def test_duplicate(numbers: list[int]) -> bool:
    """Tell whether a list holds a value twice."""
    ordered = sorted(numbers)
    return any(left == right for left, right in itertools.pairwise(ordered))
