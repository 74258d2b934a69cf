"""Extra inputs of MBPP/53."""


def inputs(random):
    """Text whose ends are the same, differ, or differ in case only."""
    while True:
        text = "".join(random.choice("abcdABCD 019_\u00e9") for _ in range(random.randint(0, 8)))
        end = random.choice("abcxyzABC 7\u00e9")
        yield (end + text,)
        yield (end + text + end,)
        yield (end + text + random.choice([end.swapcase(), " ", random.choice("abcxyz")]),)
