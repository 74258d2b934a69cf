"""Finished packs of recipes, kept in the cache."""

from __future__ import annotations

from pathlib import Path

from pytest_anchorgate.packs import progress
from pytest_anchorgate.packs.adapter_recipes import AdapterRecipe
from pytest_anchorgate.packs.build import build
from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.header import file_sha256
from pytest_anchorgate.packs.merge import merge_adapter
from pytest_anchorgate.packs.recipes import RECIPES, Recipe
from pytest_anchorgate.packs.sources import cache_folder, fetch_gguf, scratch


def place_of(recipe: Recipe | AdapterRecipe) -> Path:
    """Where the pack of `recipe` is kept; it need not be there."""
    return cache_folder() / "packs" / f"{recipe.name}-{recipe.pack_sha256[:12]}.planck"


def cached_pack(recipe: Recipe | AdapterRecipe, shown: bool) -> Path:
    """The pack of `recipe` in the cache, built first if it is absent or has not the pinned digest.

    Raises:
        PackSourceError: if the weights cannot be had, or are not those of the recipe.
        PackFormatError: if they cannot become a pack.
        OSError: if the cache cannot be written, or is full.
    """
    pack = place_of(recipe)
    if _is_good(pack, recipe, shown):
        return pack
    # Another process that builds the same pack holds the scratch folder. The parent's is taken inside of the
    # child's and never the other way round, so nobody waits in a circle.
    with scratch(recipe.name) as folder:
        if _is_good(pack, recipe, shown):  # built by another process while this one waited
            return pack
        built = folder / pack.name
        if isinstance(recipe, Recipe):
            build(str(fetch_gguf(recipe, folder, shown=shown)), built, shown=shown)
        else:
            _merge(recipe, built, shown)
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


def packaged_adapter(recipe: AdapterRecipe) -> Path:
    """Where the adapter of `recipe` lies: below the anchors that come with the plugin."""
    # It imports pytest, which building a model's pack does not need.
    from pytest_anchorgate.places import packaged_anchors

    return packaged_anchors() / "bd6" / "adapters" / recipe.adapter


def _merge(recipe: AdapterRecipe, output: Path, shown: bool) -> None:
    parent = cached_pack(RECIPES[recipe.base], shown)
    with progress.task(f"building {recipe.name}", parent.stat().st_size, shown=shown) as advance:
        report = merge_adapter(parent, packaged_adapter(recipe), output, recipe.scale, advance=advance)
    for what, found, pinned in (
        ("adapter", report.adapter, recipe.adapter_sha256),
        ("pack's identity", report.identity, recipe.identity),
    ):
        if found != pinned:
            raise PackSourceError(
                f"the {what} of the recipe {recipe.name} is {found}, pinned is {pinned}: "
                "this installation is damaged; install pytest-anchorgate again"
            )


def _is_good(pack: Path, recipe: Recipe | AdapterRecipe, shown: bool) -> bool:
    if not pack.exists():
        return False
    if file_sha256(pack) == recipe.pack_sha256:
        return True
    progress.say(f"{pack} is damaged and will be built again", shown=shown)
    return False
