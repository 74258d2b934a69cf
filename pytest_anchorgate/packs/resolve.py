"""`--pack=PATH_OR_RECIPE`: from what a user typed to a pack on the disk."""

from __future__ import annotations

from pathlib import Path

from pytest_anchorgate.packs.build import build
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.planck import file_sha256
from pytest_anchorgate.packs.progress import say
from pytest_anchorgate.packs.recipes import RECIPES, Recipe
from pytest_anchorgate.packs.sources import cache_folder, fetch_gguf, scratch

__all__ = ["PackSourceError", "resolve_pack"]


def resolve_pack(spec: str, *, progress: bool = True) -> Path:
    """The pack that `spec` means: an existing path, or a recipe, which is built into the cache on first use.

    A cached pack is used only if it still has the digest that the recipe pins. Processes that need the same
    pack at the same time wait for the one that builds it.

    Args:
        spec: path of a pack, or name of a recipe.
        progress: whether to show downloads and builds on stderr.

    Raises:
        PackSourceError: one line: there is no such pack or recipe, or the recipe cannot be made and what to
            do.
    """
    path = Path(spec)
    if path.is_file():
        return path
    recipe = RECIPES.get(spec)
    if recipe is None:
        what = "a folder, not a pack" if path.is_dir() else "no pack"
        raise PackSourceError(
            f"{what} at {spec} and no recipe of that name; recipes are: {', '.join(RECIPES)}"
        )
    try:
        return _cached(recipe, progress)
    except (PackFormatError, OSError) as error:
        raise PackSourceError(f"{recipe.name}: {error}") from None


def _cached(recipe: Recipe, shown: bool) -> Path:
    pack = cache_folder() / "packs" / f"{recipe.name}-{recipe.pack_sha256[:12]}.planck"
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
