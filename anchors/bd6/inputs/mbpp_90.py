"""Extra inputs of MBPP/90."""


def inputs(random):
    """Words of any length at any place, the empty one and ones with spaces included."""
    while True:
        sizes = [random.randint(0, 12) for _ in range(random.randint(1, 7))]
        yield (["".join(random.choice("abcxyz \u00e9") for _ in range(size)) for size in sizes],)
