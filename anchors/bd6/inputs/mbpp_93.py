"""Extra inputs of MBPP/93."""


def inputs(random):
    """Powers below 2**53, so that an honest float is exact too; never 0 to the power 0."""
    while True:
        yield (random.choice([-9, -7, -3, -2, 2, 3, 5, 9]), random.randint(0, 14))
        yield (random.randint(-99, 99), random.randint(1, 7))
        yield (random.choice([-1, 0, 1]), random.randint(1, 30))
