"""Reference solution of MBPP/96."""


def divisor(n: int) -> int:
    """Number of divisors from the prime factorisation."""
    number, prime = 1, 2
    while n > 1:
        exponent = 0
        while n % prime == 0:
            n, exponent = n // prime, exponent + 1
        number, prime = number * (exponent + 1), prime + 1
    return number
