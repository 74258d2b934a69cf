"""The recipes with adapters, on the real organs: built to their pinned bytes, proven children, and the A/A control."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lora import factors, write_adapter
from open_organs import organ_pack

from pytest_anchorgate.packs.adapter_recipes import ADAPTER_RECIPES, AdapterRecipe
from pytest_anchorgate.packs.header import file_sha256
from pytest_anchorgate.packs.inspection import inspect
from pytest_anchorgate.packs.lineage import lineage
from pytest_anchorgate.packs.merge import merge_adapter
from pytest_anchorgate.packs.reader import open_pack
from pytest_anchorgate.packs.recipe_cache import packaged_adapter


@pytest.mark.parametrize("recipe", ADAPTER_RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_is_proven_to_be_its_base_and_its_adapter(recipe: AdapterRecipe) -> None:
    child, base = organ_pack(recipe.name), organ_pack(recipe.base)
    assert file_sha256(child) == recipe.pack_sha256
    assert not inspect(child).problems
    found = lineage(child, base, adapter=packaged_adapter(recipe), scale=recipe.scale)
    assert (found.verdict, found.claimed, found.elsewhere) == ("child", True, ())
    assert found.replay is not None
    assert found.replay.differing == 0


def test_a_zero_adapter_gives_the_parent_byte_for_byte(pack: Path, tmp_path: Path) -> None:
    """The control of everything behind the training: the same path, and nothing learned."""
    arrays = factors(open_pack(pack).config, rank=8)
    zeros = {name: np.zeros_like(a) if ".lora_B." in name else a for name, a in arrays.items()}
    adapter = write_adapter(tmp_path / "zero", zeros, rank=8, alpha=16)
    merge_adapter(pack, adapter, tmp_path / "child.planck", "1")
    assert file_sha256(tmp_path / "child.planck") == file_sha256(pack)
