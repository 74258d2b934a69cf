"""Reference solution of MBPP/64."""


def subject_marks(marks: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Marks sorted, lowest first, by stable insertion."""
    ordered: list[tuple[str, float]] = []
    for entry in marks:
        place = sum(1 for other in ordered if other[1] <= entry[1])
        ordered.insert(place, entry)
    return ordered
