"""Reference solution of HumanEval/27."""


def flip_case(string: str) -> str:
    """Upper and lower case exchanged."""
    return "".join(char.lower() if char.isupper() else char.upper() for char in string)
