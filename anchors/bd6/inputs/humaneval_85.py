"""Extra inputs of HumanEval/85."""


def inputs(random):
    """Non-empty lists of both parities and signs at every index."""
    while True:
        yield ([random.randint(-30, 30) for _ in range(random.randint(1, 12))],)
        yield ([2 * random.randint(-9, 9) for _ in range(random.randint(1, 6))],)
