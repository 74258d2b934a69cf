"""Why a registry command cannot go on."""

from __future__ import annotations


class RegistryError(ValueError):
    """Something that the user has to decide or mend; one line: what, where, how."""


class RegistryBusy(RuntimeError):
    """Another command works in the store; one line."""
