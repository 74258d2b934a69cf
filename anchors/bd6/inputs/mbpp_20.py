"""Extra inputs of MBPP/20."""


def inputs(random):
    """Woodall numbers, their neighbours, and numbers of related shapes."""
    while True:
        n = random.randint(1, 18)
        yield ((n << n) - 1,)
        yield (max(1, (n << n) - 1 + random.choice([-2, -1, 1, 2])),)
        yield ((1 << n) - 1,)
        yield (random.randint(1, 10 ** random.randint(1, 5)),)
