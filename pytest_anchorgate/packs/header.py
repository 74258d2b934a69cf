"""What can be known of a pack without looking at a weight: its header, and the digest of its file.

Nothing here needs numpy, whose import takes longer than everything else that the gate and `anchorgate verify`
do before they read the pack.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pytest_anchorgate.packs.errors import PackFormatError
from pytest_anchorgate.packs.frame import VERSION
from pytest_anchorgate.packs.safetensors_file import SafetensorsHeader, read_safetensors_header

# Large enough that handing a chunk from thread to thread costs nothing beside its hash (0.6 ms).
_CHUNK = 1 << 20


def read_header(path: Path) -> SafetensorsHeader:
    """The header of the pack at `path`; reads no weights and checks no digests (`inspect` does).

    Raises:
        PackFormatError: if this is no pack of this version.
        OSError: if the file cannot be read.
    """
    header = read_safetensors_header(path)
    version = header.metadata.get("planck.version")
    if version is None:
        raise PackFormatError(f"{path}: a safetensors file but not a pack: its metadata lacks planck.version")
    if version != VERSION:
        raise PackFormatError(f"{path}: a pack of version {version!r}; this release reads version {VERSION}")
    return header


def file_sha256(path: Path, advance: Callable[[int], None] = lambda _: None) -> str:
    """The digest of a whole file, in hex; `advance` is called with the number of bytes just read."""
    digest = hashlib.sha256()
    full, empty = (memoryview(bytearray(_CHUNK)) for _ in range(2))
    # Reading is a fifth of the time on one core; both leave the interpreter to the other.
    with path.open("rb", buffering=0) as file, ThreadPoolExecutor(1) as reader:
        reading = reader.submit(file.readinto, full)
        while count := reading.result():
            reading = reader.submit(file.readinto, empty)
            digest.update(full[:count])
            advance(count)
            full, empty = empty, full
    return digest.hexdigest()
