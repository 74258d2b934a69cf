"""Numbers as rows and ledgers carry them: text, the same on every machine."""

from __future__ import annotations


def decimal(value: float) -> str:
    """A decimal of at most six places, without needless zeros."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def scientific(value: float) -> str:
    """Mantissa and exponent as people write learning rates: 2e-4."""
    mantissa, exponent = f"{value:.6e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
