"""The store: files named by the sha256 of their bytes, read-only, never deleted.

    packs/sha256-<hex>.planck       what was promoted
    receipts/sha256-<hex>.jsonl     on whose word
    baselines/sha256-<hex>.json     compared with what
    anchors/sha256-<hex>.jsonl      asked what
    production, previous            symlinks into packs/ (aliases.py)
    journal.jsonl                   what happened (journal.py)
    lock                            held by the one command that changes anything

Anchors and baseline of each promotion are kept so that a later `revert` can verify the pack it goes back to
against the very questions that let it in, without being told where they are.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pytest_anchorgate.packs.atomic import sync_folder, writing_beside
from pytest_anchorgate.packs.header import file_sha256
from pytest_anchorgate.registry.errors import RegistryError

VARIABLE = "ANCHORGATE_STORE"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Kind:
    """One folder of the store."""

    folder: str
    suffix: str
    noun: str


PACKS = Kind("packs", ".planck", "pack")
RECEIPTS = Kind("receipts", ".jsonl", "receipt")
BASELINES = Kind("baselines", ".json", "baseline")
ANCHORS = Kind("anchors", ".jsonl", "anchor set")
KINDS = (PACKS, RECEIPTS, BASELINES, ANCHORS)
_LEFTOVERS = (".production.*.new", ".previous.*.new", *(f"{kind.folder}/.sha256-*.part" for kind in KINDS))


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of the layout above, which need not exist yet.

    Attributes:
        root: absolute.
        origin: who named it: "--store", the environment variable, or "default".
    """

    root: Path
    origin: str

    def path(self, kind: Kind, digest: str) -> Path:
        """Where a file of this digest is kept."""
        return self.root / kind.folder / f"sha256-{digest}{kind.suffix}"

    def create(self) -> None:
        """Makes the folders. Raises OSError."""
        for folder in (self.root, *(self.root / kind.folder for kind in KINDS)):
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                sync_folder(folder.parent)

    def keep_file(self, kind: Kind, source: Path, digest: str) -> Path:
        """Copies a file in, unless it is there and whole.

        Args:
            kind: where it belongs.
            source: the file.
            digest: what its bytes have to be; the copy is what is measured.

        Raises:
            RegistryError: the file has other bytes.
            OSError: it cannot be read, or the disk is full or read-only.
        """
        with source.open("rb") as file:
            return self._keep(kind, file, os.fstat(file.fileno()).st_size, digest, str(source))

    def keep_bytes(self, kind: Kind, data: bytes) -> str:
        """Writes `data`, unless it is there and whole; returns its digest. Raises OSError."""
        digest = hashlib.sha256(data).hexdigest()
        self._keep(kind, io.BytesIO(data), len(data), digest, kind.noun)
        return digest

    def read(self, kind: Kind, digest: str) -> bytes:
        """The content of a small file. Raises RegistryError as `check`."""
        path = self.path(kind, digest)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _unreadable(path, kind, error) from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise _damaged(path, kind)
        return data

    def check(self, kind: Kind, digest: str) -> None:
        """Reads all of a kept file and compares its digest with its name.

        Raises:
            RegistryError: it is missing, unreadable or damaged.
        """
        path = self.path(kind, digest)
        try:
            found = file_sha256(path)
        except OSError as error:
            raise _unreadable(path, kind, error) from None
        if found != digest:
            raise _damaged(path, kind)

    def sweep(self) -> None:
        """Removes what a killed command left beside its targets; only for the holder of the lock."""
        for pattern in _LEFTOVERS:
            for leftover in self.root.glob(pattern):
                leftover.unlink(missing_ok=True)

    def _keep(self, kind: Kind, file: BinaryIO, size: int, digest: str, origin: str) -> Path:
        target = self.path(kind, digest)
        if target.is_file() and file_sha256(target) == digest:
            return target
        sha256 = hashlib.sha256()
        with writing_beside(target, size) as out:
            while chunk := file.read(_CHUNK):
                sha256.update(chunk)
                out.write(chunk)
            if sha256.hexdigest() != digest:
                raise RegistryError(
                    f"{origin} changed while it was being stored: nothing was changed; try again"
                )
            os.fchmod(out.fileno(), 0o444)
        return target


def open_store(given: Path | None) -> Store:
    """The store that the user means: the given folder, else that of ANCHORGATE_STORE, else the user's own.

    Raises:
        RegistryError: the variable is no absolute path: what is in production must not depend on the
            current folder.
    """
    if given is not None:
        return Store(given.expanduser().absolute(), "--store")
    named = os.environ.get(VARIABLE, "")
    if named:
        if not Path(named).is_absolute():
            raise RegistryError(f"{VARIABLE} is {named!r}: give an absolute path")
        return Store(Path(named), VARIABLE)
    import platformdirs

    return Store(Path(platformdirs.user_data_dir("anchorgate", appauthor=False)).absolute(), "default")


def _unreadable(path: Path, kind: Kind, error: OSError) -> RegistryError:
    return RegistryError(f"{path}: the stored {kind.noun} cannot be read: {error.strerror or error}")


def _damaged(path: Path, kind: Kind) -> RegistryError:
    mend = "promote the pack again to replace it" if kind is PACKS else "restore it from a backup"
    return RegistryError(
        f"{path}: the stored {kind.noun} is damaged, its bytes do not match its name; {mend}"
    )
