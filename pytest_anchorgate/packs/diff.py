"""`diff`: which tensors of two packs differ, and by how much. Equal digests are not read any further."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_anchorgate.packs import bf16
from pytest_anchorgate.packs.errors import PackFormatError
from pytest_anchorgate.packs.planck import SourceTensor, row_blocks
from pytest_anchorgate.packs.reader import PackReader, open_pack

_SHOWN_ELSEWHERE = ("planck.digests", "planck.identity")


@dataclass(frozen=True, slots=True)
class TensorChange:
    """One tensor that differs.

    Attributes:
        relative: |B - A| / |A| in Frobenius norm, or None where there is no such number: only one pack has
            the
            tensor, the shapes differ, or it is a table of the tokenizer. Infinite if A is all zeros.
        what: the change in words.
    """

    name: str
    relative: float | None
    what: str


@dataclass(frozen=True, slots=True)
class PackDiff:
    """What differs between packs A and B.

    Attributes:
        metadata: key to the two values, "" where a pack lacks the key.
        changes: in the order of A's file, then what only B has.
        same: how many tensors are logically equal.
    """

    identical: bool
    metadata: dict[str, tuple[str, str]]
    changes: tuple[TensorChange, ...]
    same: int

    def to_json(self) -> dict[str, Any]:
        """Plain data for `--json`; an infinite change is the string "inf"."""
        changes = []
        for change in self.changes:
            finite = change.relative is None or math.isfinite(change.relative)
            changes.append(
                {"name": change.name, "relative": change.relative if finite else "inf", "what": change.what}
            )
        return {
            "identical": self.identical,
            "metadata": {key: list(values) for key, values in self.metadata.items()},
            "tensors": changes,
            "same": self.same,
        }


def diff(path_a: Path, path_b: Path, *, advance: Callable[[str], None] = lambda _: None) -> PackDiff:
    """Compares two packs by their claims, and measures the tensors whose digests differ.

    Args:
        path_a: the older pack, say production.
        path_b: the newer one, say the candidate.
        advance: called with the name of each tensor about to be measured.

    Raises:
        PackFormatError: if either is not a good pack, or one tensor's digest cannot be true in both.
        OSError: if either cannot be read.
    """
    a, b = open_pack(path_a), open_pack(path_b)
    keys = sorted((a.metadata.keys() | b.metadata.keys()) - set(_SHOWN_ELSEWHERE))
    metadata = {
        key: (a.metadata.get(key, ""), b.metadata.get(key, ""))
        for key in keys
        if a.metadata.get(key) != b.metadata.get(key)
    }
    changes = []
    names = [*a.names(), *(name for name in b.names() if name not in a.digests)]
    for name in names:
        if a.digests.get(name) != b.digests.get(name):
            advance(name)
            changes.append(_change(a, b, name))
        elif not np.array_equal(a.stored(name).view(np.uint8), b.stored(name).view(np.uint8)):
            # One layout, one digest, other bytes: a digest is only a claim until somebody recomputes it.
            raise PackFormatError(
                f"{path_a} and {path_b}: {name} has the same digest in both and other bytes, so one of them "
                "is damaged; `anchorgate pack inspect` says which"
            )
    identical = a.metadata["planck.identity"] == b.metadata["planck.identity"]
    return PackDiff(identical, metadata, tuple(changes), len(names) - len(changes))


def _change(a: PackReader, b: PackReader, name: str) -> TensorChange:
    if name not in a.digests or name not in b.digests:
        return TensorChange(name, None, "only in B" if name not in a.digests else "only in A")
    shape_a, shape_b = a.logical_shape(name), b.logical_shape(name)
    if shape_a != shape_b:
        return TensorChange(name, None, f"shape {list(shape_a)} became {list(shape_b)}")
    if name.startswith("tokenizer."):
        return TensorChange(name, None, "differs")
    relative = _relative_change(a.logical(name), b.logical(name))
    return TensorChange(name, relative, f"changed by {relative:.3g} of its norm")


def _relative_change(a: SourceTensor, b: SourceTensor) -> float:
    changed = whole = 0.0
    for start, stop in row_blocks(a.shape):
        old, new = _wide(a.read(start, stop)), _wide(b.read(start, stop))
        changed += float(np.sum((new - old) ** 2))
        whole += float(np.sum(old**2))
    return math.sqrt(changed / whole) if whole else math.inf


def _wide(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return (bf16.widen_bf16(values) if values.dtype == np.uint16 else values).astype(np.float64)


def render(result: PackDiff) -> str:
    """The difference for people, one line each."""
    if result.identical and not result.metadata:
        return f"no difference: all {result.same} tensors and all metadata are equal"
    lines = [f"{key}: {old!r} -> {new!r}" for key, (old, new) in result.metadata.items()]
    lines += [f"{change.name}: {change.what}" for change in result.changes]
    verdict = "the packs are logically the same" if result.identical else "the packs differ"
    lines.append(f"{len(result.changes)} tensors differ, {result.same} are equal; {verdict}")
    return "\n".join(lines)
