"""Extra inputs of HumanEval/27."""


def inputs(random):
    """Letters of both cases between digits, signs and white space."""
    while True:
        size = random.randint(0, 20)
        yield ("".join(random.choice("abmxyzABMXYZ 0189@[`{_-.\n\t\u65e5") for _ in range(size)),)
