"""Extra inputs of MBPP/99."""


def inputs(random):
    """Numbers of every length, and the neighbours of powers of two."""
    while True:
        yield (random.randint(0, 40),)
        yield (random.getrandbits(random.randint(1, 40)),)
        yield (max(0, (1 << random.randint(1, 24)) + random.choice([-1, 0, 1])),)
