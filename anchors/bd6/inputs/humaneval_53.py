"""Extra inputs of HumanEval/53."""


def inputs(random):
    """Integers of both signs and of every size."""
    while True:
        limit = 10 ** random.randint(1, 18)
        yield (random.randint(-limit, limit), random.randint(-limit, limit))
        yield (random.randint(-20, 20), random.randint(-20, 20))
