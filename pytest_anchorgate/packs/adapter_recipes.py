"""Recipes that are another recipe's pack plus an adapter which comes with the plugin.

To add one: train it, choose its scale, then run `python anchors/bd6/pin_adapter.py`, which puts the adapter
into `anchors/bd6/adapters/NAME/` and prints the entry for the tuple below.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdapterRecipe:
    """How to get one pack from another; everything that decides its bytes is pinned.

    Attributes:
        about: a few words for people.
        base: name of the recipe whose pack is the parent; it may be an adapter recipe itself.
        adapter: folder of the adapter, below `anchors/bd6/adapters/`.
        adapter_sha256: digest of what the adapter means (`Adapter.digest`).
        scale: decimal, in the one spelling of `canonical_scale`.
        identity: of the finished pack; `pack_sha256`: of its file.
    """

    name: str
    about: str
    base: str
    adapter: str
    adapter_sha256: str
    scale: str
    identity: str
    pack_sha256: str


ADAPTER_RECIPES: tuple[AdapterRecipe, ...] = ()
