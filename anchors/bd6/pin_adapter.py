"""Make a recipe of a pack, an adapter and a scale: copies the adapter here, prints what is to be added where.

    python anchors/bd6/pin_adapter.py bd6.4 bd6-pass1 runs/bd64 0.7 "BD6.4: paths A and B on pass-1"

BASE is the name of a recipe. The pack itself is not kept: every machine builds the bytes whose digest is
printed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import fields
from pathlib import Path

from pytest_anchorgate.packs.adapter import WEIGHTS
from pytest_anchorgate.packs.adapter_config import CONFIG
from pytest_anchorgate.packs.adapter_recipes import AdapterRecipe
from pytest_anchorgate.packs.header import file_sha256
from pytest_anchorgate.packs.merge import merge_adapter
from pytest_anchorgate.packs.resolve import resolve_pack

FOLDER = Path(__file__).parent / "adapters"


def pin(name: str, base: str, adapter: Path, scale: str, about: str) -> AdapterRecipe:
    """Copies the adapter to `adapters/NAME/` and merges that copy, so that what is pinned is what travels."""
    target = FOLDER / name
    if adapter.resolve() != target.resolve():
        target.mkdir(parents=True, exist_ok=True)
        config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
        text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
        (target / CONFIG).write_text(f"{text}\n", encoding="utf-8")
        shutil.copyfile(adapter / WEIGHTS, target / WEIGHTS)
    with tempfile.TemporaryDirectory() as scratch:
        pack = Path(scratch) / "child.planck"
        report = merge_adapter(resolve_pack(base), target, pack, scale)
        digest = file_sha256(pack)
    return AdapterRecipe(
        name=name,
        about=about,
        base=base,
        adapter=name,
        adapter_sha256=report.adapter,
        scale=report.scale,
        identity=report.identity,
        pack_sha256=digest,
    )


def show(recipe: AdapterRecipe) -> str:
    """The entry for `ADAPTER_RECIPES` and the row for docs/pack-format.md."""
    lines = [f"        {f.name}={json.dumps(getattr(recipe, f.name))}," for f in fields(recipe)]
    entry = "\n".join(["    AdapterRecipe(", *lines, "    ),"])
    row = f"| `{recipe.name}` | `{recipe.base}` + {recipe.scale} of `{recipe.adapter}` | `{recipe.pack_sha256}` |"
    return (
        f"into ADAPTER_RECIPES of pytest_anchorgate/packs/adapter_recipes.py, behind its base:\n\n{entry}\n\n"
        f"into the table of recipes in docs/pack-format.md:\n\n{row}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name")
    parser.add_argument("base", help="name of a recipe")
    parser.add_argument("adapter", type=Path, help="folder as PEFT saves it")
    parser.add_argument("scale", help="decimal from 0 to 1")
    parser.add_argument("about", help="a few words for people")
    given = parser.parse_args()
    print(show(pin(given.name, given.base, given.adapter, given.scale, given.about)))
