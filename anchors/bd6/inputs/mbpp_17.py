"""Extra inputs of MBPP/17."""


def inputs(random):
    """Sides: whole numbers, and eighths, which floats hold exactly."""
    while True:
        yield (random.randint(0, 10 ** random.randint(1, 9)),)
        yield (random.randint(1, 8000) / 8,)
