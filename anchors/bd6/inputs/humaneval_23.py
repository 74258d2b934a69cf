"""Extra inputs of HumanEval/23."""


def inputs(random):
    """Text of any length, white space and other alphabets included."""
    while True:
        size = random.randint(0, 30)
        yield ("".join(random.choice("abcXYZ  019.,-\n\t\u00e9\u65e5") for _ in range(size)),)
