"""Extra inputs of HumanEval/34."""


def inputs(random):
    """Numbers or words, many of them more than once."""
    words = ["", "a", "ab", "b", "fig", "Fig", "pear", "plum", "zoo"]
    while True:
        size = random.randint(0, 9)
        yield ([random.randint(-5, 12) for _ in range(size)],)
        yield ([random.randint(-200, 200) for _ in range(size)],)
        yield ([random.randint(-20, 20) / 4 for _ in range(size)],)
        yield ([random.choice(words) for _ in range(size)],)
