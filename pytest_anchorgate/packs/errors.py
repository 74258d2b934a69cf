"""The two ways a pack can fail a user: it is not a good pack, or it cannot be had.

Both carry one clear line; the command line prints it as it is.
"""

from __future__ import annotations


class PackFormatError(ValueError):
    """A pack, or what was offered to become one, breaks the format; the message names file and field."""


class PackSourceError(ValueError):
    """A source cannot be found, fetched, trusted or understood; the message says what to do."""
