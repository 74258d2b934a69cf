"""The digest of a file, which is read a chunk ahead."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pytest_anchorgate.packs.header import file_sha256

CHUNK = 1 << 20


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7])
def test_every_byte_counts_once_and_in_order(tmp_path: Path, size: int) -> None:
    data = bytes(i * 7 % 251 for i in range(997)) * (size // 997 + 1)
    path = tmp_path / "file"
    path.write_bytes(data[:size])
    told: list[int] = []
    assert file_sha256(path, told.append) == hashlib.sha256(data[:size]).hexdigest()
    assert sum(told) == size


def test_what_cannot_be_read_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_sha256(tmp_path / "none")
    with pytest.raises(OSError, match="directory"):
        file_sha256(tmp_path)
