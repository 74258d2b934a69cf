"""Extra inputs of MBPP/64."""


def inputs(random):
    """Marks of which many are the same, so that the order of equals shows."""
    subjects = ["Art", "Biology", "Chess", "Drama", "History", "Latin", "Math", "Music", "Sport"]
    while True:
        size = random.randint(0, 8)
        marks = [random.choice([5, 9, 20, 61, 100]) for _ in range(size)]
        yield ([(random.choice(subjects), mark) for mark in marks],)
        yield ([(random.choice(subjects), random.randint(0, 400) / 4) for _ in range(size)],)
