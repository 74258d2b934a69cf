"""`--pack=PATH_OR_RECIPE`: from what a user typed to a pack on the disk."""

from __future__ import annotations

from pathlib import Path

from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.recipes import RECIPES

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
    # Half a second of imports that a session with a path does not need.
    from pytest_anchorgate.packs.recipe_cache import cached_pack

    try:
        return cached_pack(recipe, progress)
    except (PackFormatError, OSError) as error:
        raise PackSourceError(f"{recipe.name}: {error}") from None
