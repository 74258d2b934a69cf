"""The two ways in which a receipt is not accepted."""

from __future__ import annotations


class ReceiptError(ValueError):
    """Something does not follow; the text is one line that says what."""


class ReceiptUnusable(ReceiptError):
    """Nothing could be checked: a file is missing or unreadable, a key is none; the user's matter."""


class SigningMissing(ReceiptUnusable):
    """The package that signs and checks signatures is not installed."""

    def __init__(self) -> None:
        super().__init__("signatures need the package cryptography: pip install 'pytest-anchorgate[sign]'")
