"""How surgery fails a user."""

from __future__ import annotations


class SurgeryError(ValueError):
    """Something the user gave or must mend: one line that says what, where and how."""
