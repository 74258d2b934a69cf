"""Packs: the `.planck` container, what builds it, and what compares two of them."""
