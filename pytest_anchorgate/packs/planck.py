"""Writing a `.planck` file. The format is specified in docs/pack-format.md.

The header stands before the data but holds a digest of every tensor. A digest in hex always has 64
characters, so the size of the header is known before the first weight is read: the data goes to its final
place in one pass, each source tensor is read once and in blocks of rows, and the header is written last into
the gap left for it. Memory stays at a few blocks whatever the size of the model, and no second copy of the
data lies on the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_anchorgate.packs import bf16, panels
from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.packs.config import PackConfig
from pytest_anchorgate.packs.errors import PackFormatError
from pytest_anchorgate.packs.frame import (
    BUILDER,
    NUMERICS,
    VERSION,
    canonical_json,
    encode_header,
    identity_of,
    lay_out,
)
from pytest_anchorgate.packs.safetensors_file import TensorEntry
from pytest_anchorgate.packs.vocabulary import Vocabulary

__all__ = [
    "PackConfig",
    "PackContents",
    "PackFormatError",
    "SourceTensor",
    "write_pack",
]

_BLOCK_ELEMENTS = 1 << 22


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """A weight of the source, read a block of rows at a time so that it is never in memory as a whole.

    Attributes:
        shape: logical: [outputs, inputs], or [n].
        read: rows [start, stop) as F32 or F16 values, or as uint16 holding BF16 bits.
    """

    shape: tuple[int, ...]
    read: Callable[[int, int], npt.NDArray[Any]]

    @classmethod
    def of(cls, array: npt.NDArray[Any]) -> SourceTensor:
        """A source over an array in memory."""
        return cls(array.shape, lambda start, stop: array[start:stop])


@dataclass(frozen=True, slots=True)
class PackContents:
    """Everything that goes into a pack.

    Attributes:
        tensors: by Hugging Face name, exactly those of `config.tensor_shapes()`.
        prefix: what stands before the user's prompt; special tokens in it are recognised. Likewise `suffix`.
        stop_ids: tokens that end an answer, in any order.
        source: where the weights come from: kind, name and digests; no dates, no paths of this machine.
        parent: digest of the pack this one was derived from, or "". Likewise `adapter`.
    """

    config: PackConfig
    tensors: Mapping[str, SourceTensor]
    vocabulary: Vocabulary
    prefix: str
    suffix: str
    stop_ids: tuple[int, ...]
    source: Mapping[str, Any] = field(default_factory=dict)
    parent: str = ""
    adapter: str = ""


def write_pack(path: Path, contents: PackContents, *, advance: Callable[[int], None] = lambda _: None) -> str:
    """Writes `contents` to `path`, replacing what is there only once the new pack is complete and on disk.

    The same contents give the same bytes on every machine.

    Args:
        path: the target; nothing ever stands there half-written.
        contents: what to write.
        advance: called with the number of bytes just written, for a progress display.

    Returns:
        The pack's identity, as in `planck.identity`.

    Raises:
        PackFormatError: if the contents break the format, naming the tensor or the field.
        OSError: if the target cannot be written; what was written is removed.
    """
    _check(contents)
    tables = contents.vocabulary.to_tensors()
    entries = lay_out(contents.config, {name: table.shape for name, table in tables.items()})
    empty = dict.fromkeys([entry.name for entry in entries], "0" * 64)
    header_size = len(encode_header(_metadata(contents, empty), entries))
    with writing_beside(path, header_size + entries[-1].end) as file:
        file.seek(header_size)
        digests = {}
        for entry in entries:
            digest = hashlib.sha256()
            for block in _blocks(entry, contents, tables, digest.update):
                file.write(block.data)
                advance(block.nbytes)
            digests[entry.name] = digest.hexdigest()
        metadata = _metadata(contents, digests)
        file.seek(0)
        file.write(encode_header(metadata, entries))
    return metadata["planck.identity"]


def packed_size(contents: PackContents) -> int:
    """How many bytes of data the pack of `contents` will have, without its header."""
    tables = contents.vocabulary.to_tensors()
    return lay_out(contents.config, {name: table.shape for name, table in tables.items()})[-1].end


def row_blocks(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Row ranges that cover a tensor in blocks of whole panels and bounded size."""
    rows, columns = shape[0], shape[1] if len(shape) > 1 else 1
    step = max(panels.PANEL_ROWS, _BLOCK_ELEMENTS // columns // panels.PANEL_ROWS * panels.PANEL_ROWS)
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def _check(contents: PackContents) -> None:
    config, vocabulary = contents.config, contents.vocabulary
    expected = config.tensor_shapes()
    missing, surplus = expected.keys() - contents.tensors.keys(), contents.tensors.keys() - expected.keys()
    if missing or surplus:
        what = (
            f"lacks {min(missing)}"
            if missing
            else f"has {min(surplus)}, which this architecture does not have"
        )
        raise PackFormatError(f"the model {what} ({len(missing)} missing, {len(surplus)} unexpected)")
    for name, shape in expected.items():
        if contents.tensors[name].shape != shape:
            got = list(contents.tensors[name].shape)
            raise PackFormatError(f"{name} has shape {got}; the hyperparameters ask for {list(shape)}")
    if len(vocabulary.tokens) > config.vocab_size:
        raise PackFormatError(
            f"the tokenizer has {len(vocabulary.tokens)} tokens, vocab_size is {config.vocab_size}"
        )
    if not contents.stop_ids:
        raise PackFormatError("there is no stop id: generation would never end by itself")
    for stop in contents.stop_ids:
        if not 0 <= stop < config.vocab_size:
            raise PackFormatError(f"stop id {stop} is outside of the vocabulary of {config.vocab_size}")
    for name in ("prefix", "suffix"):
        try:
            getattr(contents, name).encode("utf-8")
        except UnicodeEncodeError:
            raise PackFormatError(f"template.{name} holds a lone surrogate, which UTF-8 cannot") from None


def _metadata(contents: PackContents, digests: Mapping[str, str]) -> dict[str, str]:
    metadata = {
        **contents.config.to_metadata(),
        "planck.version": VERSION,
        "planck.layout": panels.LAYOUT,
        "planck.numerics": NUMERICS,
        "planck.template.prefix": contents.prefix,
        "planck.template.suffix": contents.suffix,
        "planck.stop_ids": ",".join(map(str, sorted(set(contents.stop_ids)))),
        "planck.tokenizer.pretokenizer": contents.vocabulary.pretokenizer,
        "planck.tokenizer.normalizer": contents.vocabulary.normalizer,
        "planck.digests": canonical_json(digests).decode(),
        "planck.source": canonical_json({**contents.source, "builder": BUILDER}).decode(),
        "planck.parent": contents.parent,
        "planck.adapter": contents.adapter,
    }
    metadata["planck.identity"] = identity_of(metadata)
    return metadata


def _blocks(
    entry: TensorEntry,
    contents: PackContents,
    tables: Mapping[str, npt.NDArray[Any]],
    update: Callable[[memoryview], None],
) -> Iterator[npt.NDArray[Any]]:
    """The stored bytes of a tensor in order, handing the logical bytes to `update` on the way."""
    if entry.name in tables:
        update(tables[entry.name].data)
        yield tables[entry.name]
        return
    source = contents.tensors[entry.name]
    for start, stop in row_blocks(source.shape):
        try:
            if entry.dtype == "F32":
                block: npt.NDArray[Any] = _as_f32(source.read(start, stop))
            else:
                block = _as_bf16(source.read(start, stop))
        except bf16.NotFiniteError as error:
            where = np.unravel_index(error.index, (stop - start, *source.shape[1:]))
            index = [start + int(where[0]), *map(int, where[1:])]
            raise PackFormatError(
                f"{entry.name}{index} is {error.value!r}: no finite BF16 or F32 value"
            ) from None
        update(block.data)
        yield panels.to_panels(block) if entry.dtype == "BF16" else block


def _as_bf16(values: npt.NDArray[Any]) -> bf16.BF16Bits:
    if values.dtype == np.uint16:
        bf16.require_finite_bf16(values)
        return np.ascontiguousarray(values)
    return bf16.round_to_bf16(values)


def _as_f32(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """F32 as it is, F16 and BF16 widened exactly."""
    wide = bf16.widen_bf16(values) if values.dtype == np.uint16 else values.astype(np.float32)
    finite = np.isfinite(wide)
    if not finite.all():
        index = int(np.argmin(finite))
        raise bf16.NotFiniteError(index, float(wide[index]))
    return np.ascontiguousarray(wide, "<f4")
