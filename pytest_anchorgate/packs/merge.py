"""A parent pack plus a LoRA adapter gives a child pack, the same bytes on every machine.

Every weight is W' = bf16(float32(W) + s * D), where D = B @ A is summed rank by rank, first to last, with
numpy's elementwise multiply and add: each of these operations is one correctly rounded IEEE operation, so
the result has no say of BLAS, threads or vector width in it. An element to which exactly zero would be added
keeps its bits (-0 + 0 would be +0), so a zero adapter and the scale 0 give the parent back, byte for byte.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_anchorgate.packs.adapter import Adapter, LowRank, read_adapter
from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.packs.bf16 import BF16Bits, NotFiniteError, round_to_bf16, widen_bf16
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.frame import canonical_json
from pytest_anchorgate.packs.planck import PackContents, SourceTensor, write_pack
from pytest_anchorgate.packs.reader import PackReader, open_pack

__all__ = ["MergeReport", "canonical_scale", "merge_adapter", "merged_rows"]

_SCALE = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,18})?|-?\.[0-9]{1,18}")
# Few enough for the four arrays of a step to stay in a core's cache; no result depends on it.
_STEP_ELEMENTS = 1 << 15


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge did.

    Attributes:
        identity: of the child; the parent's own if nothing changed. `parent`: of the parent.
        adapter: digest of the adapter, whatever its scale. `dose`: of adapter and scale, `planck.adapter`.
        scale: canonical: no needless zeros.
        changed: name to number of elements whose bits changed, of the weights that the adapter targets.
        elements: of all these weights together.
    """

    identity: str
    parent: str
    adapter: str
    dose: str
    scale: str
    changed: Mapping[str, int]
    elements: int

    @property
    def identical(self) -> bool:
        """Whether the child is the parent, byte for byte."""
        return not any(self.changed.values())


def merge_adapter(
    parent: Path,
    adapter: Path,
    output: Path,
    scale: str = "1",
    *,
    any_base: bool = False,
    any_scale: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> MergeReport:
    """Writes the pack of `parent` plus `scale` times `adapter` to `output`, replacing what is there.

    Args:
        parent: the pack that the adapter was trained on.
        adapter: folder of a PEFT LoRA adapter, see `read_adapter`.
        output: the child, in a folder that exists; nothing ever stands there half-written.
        scale: a decimal from 0 to 1; 0 gives the parent, 1 what was trained.
        any_base: take an adapter that names another pack as its base.
        any_scale: take a scale outside of 0 to 1.
        advance: called with the number of bytes just written.

    Raises:
        PackSourceError: the adapter or the scale cannot be used; one line says why and what to do.
        PackFormatError: the parent or the adapter's file is damaged, or a merged weight is not finite.
        OSError: if something cannot be read or written.
    """
    scale = canonical_scale(scale, any_scale=any_scale)
    reader = open_pack(parent)
    identity = reader.metadata["planck.identity"]
    lora = read_adapter(adapter, reader.config, identity, any_base=any_base)
    dose = hashlib.sha256(canonical_json({"adapter": lora.digest, "scale": scale})).hexdigest()
    tally = _Tally()
    contents = replace(
        reader.contents(),
        source={"kind": "surgery", "parent": identity, "adapter": lora.digest, "scale": scale},
        parent=identity,
        adapter=dose,
    )
    contents = replace(contents, tensors=_merged(contents, lora, scale, tally))
    beside = output.with_name(f".{output.name}.{secrets.token_hex(6)}.merge")
    try:
        child = write_pack(beside, contents, advance=advance)
        _require_intact(reader, open_pack(beside), tally)
        if any(tally.changed.values()):
            beside.replace(output)
        else:
            child = identity
            _copy(parent, output)
    finally:
        beside.unlink(missing_ok=True)
    elements = sum(part.b.shape[0] * part.a.shape[1] for part in lora.parts.values())
    return MergeReport(child, identity, lora.digest, dose, scale, tally.changed, elements)


def canonical_scale(text: str, *, any_scale: bool = False) -> str:
    """The one spelling of a scale: `.30` is `0.3`, `1.0` is `1`.

    Raises:
        PackSourceError: if it is no decimal, or outside of 0 to 1 without `any_scale`.
    """
    if _SCALE.fullmatch(text) is None:
        raise PackSourceError(f"the scale is {text!r:.40}, not a decimal such as 0.3")
    value = Decimal(text).normalize()
    if not any_scale and not 0 <= value <= 1:
        raise PackSourceError(
            f"the scale is {text}; from 0 (the parent) to 1 (as trained) is usual, --any-scale allows others"
        )
    return "0" if value == 0 else f"{value:f}"


def merged_rows(bits: BF16Bits, part: LowRank, scale: str, start: int) -> BF16Bits:
    """Rows of a weight after the merge.

    Args:
        bits: BF16 [n, inputs]: rows `start` to `start + n` of the parent's weight.
        part: what the adapter adds to the whole weight.
        scale: canonical decimal.
        start: the first row.

    Raises:
        NotFiniteError: with the place of the element in these rows.
    """
    out = np.empty_like(bits)
    step = max(1, _STEP_ELEMENTS // bits.shape[1])
    # An overflow becomes an infinity or a NaN, which rounding refuses, naming the element.
    with np.errstate(over="ignore", invalid="ignore"):
        factor = np.float32(float(scale) * part.scaling)
        for first in range(0, len(bits), step):
            last = min(first + step, len(bits))
            rows = bits[first:last]
            added = _product(part.b[start + first : start + last], part.a)
            added *= factor
            try:
                moved = round_to_bf16(widen_bf16(rows) + added)
            except NotFiniteError as error:
                raise NotFiniteError(first * bits.shape[1] + error.index, error.value) from None
            out[first:last] = np.where(added == 0, rows, moved)
    return out


def _product(b: npt.NDArray[np.float32], a: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """B @ A, one rank after the other; see the module's docstring for why not `@`."""
    total: npt.NDArray[np.float32] = b[:, 0:1] * a[0]
    term = np.empty_like(total)
    for rank in range(1, len(a)):
        np.multiply(b[:, rank : rank + 1], a[rank], out=term)
        total += term
    return total


@dataclass(slots=True)
class _Tally:
    """What happened while the child was written: elements changed, and digests of the parent as it was read."""

    changed: dict[str, int] = field(default_factory=dict)
    parents: dict[str, Any] = field(default_factory=dict)


def _merged(contents: PackContents, adapter: Adapter, scale: str, tally: _Tally) -> dict[str, SourceTensor]:
    """All tensors of the child. They are read once and from front to back, which the tally relies on."""
    tensors = dict(contents.tensors)
    for name, part in adapter.parts.items():
        tally.changed[name] = 0
        tally.parents[name] = hashlib.sha256()
        tensors[name] = _merged_tensor(name, tensors[name], part, scale, tally)
    return tensors


def _merged_tensor(name: str, parent: SourceTensor, part: LowRank, scale: str, tally: _Tally) -> SourceTensor:
    def read(start: int, stop: int) -> npt.NDArray[Any]:
        bits = np.ascontiguousarray(parent.read(start, stop))
        tally.parents[name].update(bits.data)
        merged = merged_rows(bits, part, scale, start)
        tally.changed[name] += int(np.count_nonzero(merged != bits))
        return merged

    return SourceTensor(parent.shape, read)


def _require_intact(parent: PackReader, child: PackReader, tally: _Tally) -> None:
    """A damaged parent must not become a child whose digests are right."""
    for name, digest in parent.digests.items():
        found = tally.parents[name].hexdigest() if name in tally.parents else child.digests[name]
        if found != digest:
            raise PackFormatError(
                f"{parent.header.path}: {name} has not the digest that the pack says, so the pack is damaged; "
                "`anchorgate pack inspect` says more"
            )


def _copy(parent: Path, output: Path) -> None:
    if output.exists() and output.samefile(parent):
        return
    with parent.open("rb") as source, writing_beside(output, parent.stat().st_size) as target:
        shutil.copyfileobj(source, target, 1 << 20)
