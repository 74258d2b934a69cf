"""Extra inputs of MBPP/52."""


def inputs(random):
    """Whole numbers and quarters, whose products floats hold exactly; sometimes a side of 0."""
    while True:
        yield (random.randint(0, 9), random.randint(0, 9))
        yield (random.randint(1, 1000), random.randint(1, 1000))
        yield (random.randint(1, 400) / 4, random.randint(1, 400) / 4)
