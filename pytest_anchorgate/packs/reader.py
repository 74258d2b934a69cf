"""A finished pack, opened for reading: its logical tensors, its tokenizer, and all as `PackContents`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_anchorgate.packs import panels
from pytest_anchorgate.packs.config import PackConfig
from pytest_anchorgate.packs.errors import PackFormatError
from pytest_anchorgate.packs.frame import METADATA_KEYS, TABLES, lay_out
from pytest_anchorgate.packs.header import read_header
from pytest_anchorgate.packs.safetensors_file import SafetensorsHeader, TensorEntry

if TYPE_CHECKING:
    import numpy.typing as npt

    from pytest_anchorgate.packs.planck import PackContents, SourceTensor
    from pytest_anchorgate.packs.vocabulary import Vocabulary

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class PackReader:
    """A pack whose frame is known to be good: hyperparameters, and every tensor's name, dtype, shape, place.

    The data itself has not been looked at; `inspect` re-checks the digests.
    """

    header: SafetensorsHeader
    config: PackConfig
    digests: dict[str, str]
    stop_ids: tuple[int, ...]
    source: dict[str, Any]

    @property
    def metadata(self) -> dict[str, str]:
        """The `planck.*` entries as they stand in the file."""
        return self.header.metadata

    def names(self) -> list[str]:
        """The names of all tensors as they follow each other in the file."""
        return list(self.header.entries)

    def logical_shape(self, name: str) -> tuple[int, ...]:
        """[outputs, inputs] for a weight in panels, otherwise the shape as stored."""
        return self.config.tensor_shapes().get(name) or self.header.entries[name].shape

    def stored(self, name: str) -> npt.NDArray[Any]:
        """A tensor as it lies in the file, a read-only view."""
        return self.header.map(self.header.entries[name])

    def logical(self, name: str) -> SourceTensor:
        """A weight in its logical shape, read in blocks of whole panels: BF16 bits, or F32 for a vector."""
        from pytest_anchorgate.packs.planck import SourceTensor  # numpy (header.py)

        shape = self.config.tensor_shapes()[name]
        data = self.stored(name)
        if len(shape) == 1:
            return SourceTensor(shape, lambda start, stop: data[start:stop])

        def read(start: int, stop: int) -> npt.NDArray[Any]:
            first = start // panels.PANEL_ROWS
            last = -(-stop // panels.PANEL_ROWS)
            block = panels.from_panels(data[first:last], (last - first) * panels.PANEL_ROWS)
            return block[start - first * panels.PANEL_ROWS : stop - first * panels.PANEL_ROWS]

        return SourceTensor(shape, read)

    def vocabulary(self) -> Vocabulary:
        """The tokenizer. Raises PackFormatError naming the table that is wrong."""
        import numpy as np

        from pytest_anchorgate.packs.vocabulary import Vocabulary

        tables = {name: np.asarray(self.stored(name)) for name in TABLES}
        try:
            return Vocabulary.from_tensors(
                tables,
                self.metadata["planck.tokenizer.pretokenizer"],
                self.metadata["planck.tokenizer.normalizer"],
            )
        except PackFormatError as error:
            raise PackFormatError(f"{self.header.path}: {error}") from None

    def contents(self) -> PackContents:
        """What `write_pack` needs to write this pack again, weights still unread."""
        from pytest_anchorgate.packs.planck import PackContents

        source = {key: value for key, value in self.source.items() if key != "builder"}
        return PackContents(
            config=self.config,
            tensors={name: self.logical(name) for name in self.config.tensor_shapes()},
            vocabulary=self.vocabulary(),
            prefix=self.metadata["planck.template.prefix"],
            suffix=self.metadata["planck.template.suffix"],
            stop_ids=self.stop_ids,
            source=source,
            parent=self.metadata["planck.parent"],
            adapter=self.metadata["planck.adapter"],
        )


def open_pack(path: Path) -> PackReader:
    """Opens a pack and checks its frame against what its own hyperparameters ask for.

    Raises:
        PackFormatError: naming the metadata entry or the tensor that is wrong.
        OSError: if the file cannot be read.
    """
    header = read_header(path)
    try:
        return _open(header)
    except PackFormatError as error:
        raise PackFormatError(f"{path}: {error}") from None


def _open(header: SafetensorsHeader) -> PackReader:
    metadata = header.metadata
    config = PackConfig.from_metadata(metadata)
    absent = METADATA_KEYS - metadata.keys()
    if absent:
        raise PackFormatError(f"metadata lacks {min(absent)}")
    if metadata["planck.layout"] != panels.LAYOUT:
        raise PackFormatError(
            f"planck.layout is {metadata['planck.layout']!r}; this release reads {panels.LAYOUT}"
        )
    _check_entries(header, config)
    digests = _json_object(metadata, "planck.digests")
    for name, digest in (
        *((key, metadata[f"planck.{key}"] or None) for key in ("parent", "adapter")),
        ("identity", metadata["planck.identity"]),
        *((f"digests of {name}", digest) for name, digest in digests.items()),
    ):
        if digest is not None and not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
            raise PackFormatError(f"planck.{name} is {digest!r:.80}, not a sha256 in hex")
    if digests.keys() != header.entries.keys():
        raise PackFormatError("planck.digests does not name exactly the tensors of the file")
    try:
        stops = tuple(int(text) for text in metadata["planck.stop_ids"].split(","))
    except ValueError:
        stops = ()
    if ",".join(map(str, sorted(set(stops)))) != metadata["planck.stop_ids"] or not stops:
        raise PackFormatError(
            f"planck.stop_ids is {metadata['planck.stop_ids']!r}, not ascending ids with commas"
        )
    if not 0 <= stops[0] <= stops[-1] < config.vocab_size:
        raise PackFormatError(f"planck.stop_ids: {stops} is outside of the vocabulary of {config.vocab_size}")
    return PackReader(header, config, digests, stops, _json_object(metadata, "planck.source"))


def _check_entries(header: SafetensorsHeader, config: PackConfig) -> None:
    missing = set(TABLES) - header.entries.keys()
    if missing:
        raise PackFormatError(f"it lacks the tensor {min(missing)}")
    # The sizes of the tokenizer's tables are the only ones that the hyperparameters do not determine.
    tables = {name: (header.entries[name].dtype, header.entries[name].shape) for name in TABLES}
    for name, (dtype, rank) in TABLES.items():
        if tables[name][0] != dtype or len(tables[name][1]) != rank:
            raise PackFormatError(
                f"{name} is {tables[name][0]} {list(tables[name][1])}, not {dtype} of rank {rank}"
            )
    expected = {
        entry.name: entry for entry in lay_out(config, {name: shape for name, (_, shape) in tables.items()})
    }
    for name in expected:
        if name not in header.entries:
            raise PackFormatError(f"it lacks the tensor {name}")
    for name, entry in header.entries.items():
        _check_entry(entry, expected.get(name))
    if header.data_start % 4096:
        raise PackFormatError(f"its data begins at byte {header.data_start}, not at a multiple of 4096")


def _check_entry(found: TensorEntry, wanted: TensorEntry | None) -> None:
    if wanted is None:
        raise PackFormatError(f"it has a tensor {found.name} that this architecture does not have")
    for what in ("dtype", "shape", "begin", "end"):
        if getattr(found, what) != getattr(wanted, what):
            raise PackFormatError(
                f"{found.name}: its {what} is {_shown(getattr(found, what))}, "
                f"it should be {_shown(getattr(wanted, what))}"
            )


def _shown(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _json_object(metadata: dict[str, str], key: str) -> dict[str, Any]:
    try:
        value = json.loads(metadata[key])
    except (json.JSONDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise PackFormatError(f"{key} is not a JSON object")
    return value
