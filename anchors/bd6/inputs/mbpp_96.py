"""Extra inputs of MBPP/96."""


def inputs(random):
    """Small numbers, squares, and products of small primes."""
    while True:
        yield (random.randint(1, 60),)
        yield (random.randint(1, 2000),)
        yield (random.randint(1, 40) ** 2,)
        yield (2 ** random.randint(0, 4) * 3 ** random.randint(0, 2) * random.choice([1, 5, 7, 11]),)
