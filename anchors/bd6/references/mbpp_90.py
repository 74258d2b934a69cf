"""Reference solution of MBPP/90."""


def len_log(words: list[str]) -> int:
    """Length of the longest word."""
    return sorted(len(word) for word in words)[-1]
