"""Reference solution of MBPP/53."""


def check_Equality(s: str) -> str:
    """First and last character compared."""
    return "Equal" if s.endswith(s[0]) else "Not Equal"
