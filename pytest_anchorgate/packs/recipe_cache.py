"""Finished packs of recipes, kept in the cache."""

from __future__ import annotations

from pathlib import Path

from pytest_anchorgate.packs.build import build
from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.planck import file_sha256
from pytest_anchorgate.packs.progress import say
from pytest_anchorgate.packs.recipes import Recipe
from pytest_anchorgate.packs.sources import cache_folder, fetch_gguf, scratch


def place_of(recipe: Recipe) -> Path:
    """Where the pack of `recipe` is kept; it need not be there."""
    return cache_folder() / "packs" / f"{recipe.name}-{recipe.pack_sha256[:12]}.planck"


def cached_pack(recipe: Recipe, shown: bool) -> Path:
    """The pack of `recipe` in the cache, built first if it is absent or has not the pinned digest.

    Raises:
        PackSourceError: if the weights cannot be had, or are not those of the recipe.
        PackFormatError: if they cannot become a pack.
        OSError: if the cache cannot be written, or is full.
    """
    pack = place_of(recipe)
    if _is_good(pack, recipe, shown):
        return pack
    with scratch(recipe.name) as folder:
        if _is_good(pack, recipe, shown):  # built by another process while this one waited
            return pack
        built = folder / pack.name
        build(str(fetch_gguf(recipe, folder, shown=shown)), built, shown=shown)
        digest = file_sha256(built)
        if digest != recipe.pack_sha256:
            raise PackSourceError(
                f"the pack of {recipe.name} came out as {digest}, pinned is {recipe.pack_sha256}: on this "
                "machine numpy or gguf computes otherwise than where the recipe was made; "
                "please report their versions"
            )
        pack.parent.mkdir(parents=True, exist_ok=True)
        built.replace(pack)
    return pack


def _is_good(pack: Path, recipe: Recipe, shown: bool) -> bool:
    if not pack.exists():
        return False
    if file_sha256(pack) == recipe.pack_sha256:
        return True
    say(f"{pack} is damaged and will be built again", shown=shown)
    return False
