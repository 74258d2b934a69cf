"""Extra inputs of MBPP/19."""


def inputs(random):
    """Lists with and without a value that occurs twice, at any two places."""
    while True:
        numbers = random.sample(range(-20, 40), random.randint(0, 10))
        yield (list(numbers),)
        numbers.insert(random.randint(0, len(numbers)), random.choice(numbers or [0]))
        yield (numbers,)
        yield ([random.randint(-3, 3) for _ in range(random.randint(2, 4))],)
