"""Extra inputs of MBPP/51."""


def inputs(random):
    """Three equal sides, two equal sides in each arrangement, three different ones."""
    while True:
        a, b, c = random.sample(range(1, 200), 3)
        if random.random() < 0.3:
            a, b, c = a / 4, b / 4, c / 4
        yield (a, a, a)
        yield random.choice([(a, a, b), (a, b, a), (b, a, a)])
        yield random.choice([(a, b, c), (a, a, a + 0.25), (a, a + 0.25, a), (a + 0.25, a, a)])
