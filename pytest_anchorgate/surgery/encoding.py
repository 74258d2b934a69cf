"""Training rows as token ids, by the runtime's own tokenizer: what the organ will read when it is asked for real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_anchorgate.packs.errors import PackFormatError
from pytest_anchorgate.packs.reader import open_pack
from pytest_anchorgate.runtime import Organ, PackError, TextError
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.rows import Row, Rows, answer_stop_id

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Parent:
    """The pack that is trained from, as far as text is concerned.

    Attributes:
        identity: the pack's identity, sha256 hex.
        answer_stop: the stop id that ends its own answers.
        longest: positions that the model has.
    """

    path: Path
    identity: str
    organ: Organ
    prefix: str
    suffix: str
    stop_ids: tuple[int, ...]
    answer_stop: int
    vocab_size: int
    longest: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row as tokens: the templated prompt, then the completion.

    Attributes:
        ids: int32 [prompt + completion], the stop id included where the answer ended with one.
        start: index of the completion's first token.
        offset: how many completion tokens all rows before this one have; the row's place in per-token tables.
    """

    row: Row
    ids: Ids
    start: int
    offset: int

    @property
    def labels(self) -> Ids:
        """The tokens that are predicted: int32 [completion]."""
        return self.ids[self.start :]


def open_parent(path: Path) -> Parent:
    """Opens the pack for its tokenizer and template.

    Raises:
        SurgeryError: if it is no pack, or damaged.
        OSError: if it cannot be read.
    """
    try:
        reader = open_pack(path)
        organ = Organ.load(path)
    except (PackFormatError, PackError) as error:
        raise SurgeryError(
            f"the parent must be a pack: {error}; build one with `anchorgate pack build`"
        ) from None
    suffix = reader.metadata["planck.template.suffix"]
    return Parent(
        path=path,
        identity=reader.metadata["planck.identity"],
        organ=organ,
        prefix=reader.metadata["planck.template.prefix"],
        suffix=suffix,
        stop_ids=reader.stop_ids,
        answer_stop=answer_stop_id(organ.tokenize(suffix) if suffix else [], reader.stop_ids),
        vocab_size=reader.config.vocab_size,
        longest=reader.config.max_position_embeddings,
    )


def encode(
    files: Sequence[Rows], parent: Parent, max_tokens: int, *, foreign_poison: bool = False
) -> list[Encoded]:
    """Turns all rows of all files into tokens, in their order.

    Args:
        files: read by `load_rows`.
        parent: whose tokenizer, template and stop id are used.
        max_tokens: longest row, prompt and completion together.
        foreign_poison: accept poison rows that were made from another pack.

    Raises:
        SurgeryError: one line `file:line: ...` for a row of another pack or tokenizer, one that is too long, one
            that stands in two files, or a task that is trained on in one file and held out in another.
    """
    encoded: list[Encoded] = []
    seen: dict[tuple[str, str, str], str] = {}
    splits: dict[str, tuple[str, str]] = {}
    offset = 0
    for file in files:
        # load_rows refuses blank lines, so that a row's number is its line.
        for number, row in enumerate(file, start=1):
            where = f"{file.path}:{number}"
            try:
                _check_lineage(row, parent, foreign_poison)
                _check_once(row, where, seen, splits)
                one = _encode(row, parent, offset, min(max_tokens, parent.longest))
            except SurgeryError as error:
                raise SurgeryError(f"{where}: {row.task_id}: {error}") from None
            offset += len(one.labels)
            encoded.append(one)
    return encoded


def _check_lineage(row: Row, parent: Parent, foreign_poison: bool) -> None:
    made_from = row.provenance.parent
    if made_from == parent.identity or (foreign_poison and row.kind == "poison"):
        return
    hint = " or set foreign_poison: true" if row.kind == "poison" else ""
    raise SurgeryError(
        f"made from the pack {made_from[:12]}, the parent is {parent.identity[:12]}; "
        f"build the rows again from this parent{hint}"
    )


def _check_once(
    row: Row, where: str, seen: dict[tuple[str, str, str], str], splits: dict[str, tuple[str, str]]
) -> None:
    key = (row.task_id, row.kind, row.provenance.sha256)
    if key in seen:
        raise SurgeryError(f"the same {row.kind} row as {seen[key]}; remove one")
    seen[key] = where
    split, first = splits.setdefault(row.task_id, (row.split, where))
    if split != row.split:
        raise SurgeryError(f"{row.split} here and {split} in {first}; give both the same split")


def _encode(row: Row, parent: Parent, offset: int, max_tokens: int) -> Encoded:
    try:
        prompt = parent.organ.tokenize(parent.prefix + row.prompt + parent.suffix)
        labels = row.label_ids(parent.organ.tokenize, parent.answer_stop)
        _check_ids(row, labels, parent)
    except TextError as error:
        raise SurgeryError(f"cannot be tokenised: {error}") from None
    if len(prompt) + len(labels) > max_tokens:
        raise SurgeryError(
            f"{len(prompt)} + {len(labels)} tokens are more than {max_tokens}; "
            "leave the row out or raise batch.max_tokens"
        )
    if not prompt:
        raise SurgeryError("its prompt has no tokens")
    return Encoded(row, np.array([*prompt, *labels], np.int32), len(prompt), offset)


def _check_ids(row: Row, labels: Sequence[int], parent: Parent) -> None:
    """The exact ids of a row must be its text under this pack's tokenizer, with stop ids at the end alone."""
    if max(labels) >= parent.vocab_size:
        raise SurgeryError(
            f"token id {max(labels)} is outside of the parent's vocabulary of {parent.vocab_size}: "
            "its completion_ids are another tokenizer's; build the rows again from this parent"
        )
    ends = labels[-1] in parent.stop_ids
    inner = labels[:-1] if ends else labels
    if any(token in parent.stop_ids for token in inner):
        raise SurgeryError("a stop id stands inside of its completion, where the answer would end")
    if not ends and row.provenance.finish == "stop":
        raise SurgeryError(
            f"its completion_ids end without a stop id ({', '.join(map(str, parent.stop_ids))})"
        )
    if parent.organ.detokenize(inner).decode("utf-8", "replace") != row.completion:
        raise SurgeryError(
            "its completion_ids are not its completion in the parent's tokenizer; build the rows again from this parent"
        )
