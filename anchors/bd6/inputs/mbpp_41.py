"""Extra inputs of MBPP/41."""


def inputs(random):
    """Lists of small numbers in any order, some more than once; now and then large ones."""
    while True:
        size = random.randint(0, 10)
        yield ([random.randint(-9, 9) for _ in range(size)],)
        yield ([random.randint(-(10**7), 10**7) for _ in range(size)],)
