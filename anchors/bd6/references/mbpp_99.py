"""Reference solution of MBPP/99."""


def decimal_to_binary(n: int) -> str:
    """Binary digits by division."""
    digits = str(n % 2)
    while n > 1:
        n //= 2
        digits = str(n % 2) + digits
    return digits
