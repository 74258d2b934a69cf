"""The tokenizer as it stands in a pack: four tables of integers and bytes, and two names."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_anchorgate.packs.errors import PackFormatError

PRETOKENIZERS = ("qwen2", "smollm")
NORMALIZERS = ("nfc", "none")
_CHAT_ENDS = ("<|im_end|>", "<|endoftext|>")
Table = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A byte-level BPE; construction checks that the tables agree with each other.

    Attributes:
        tokens: the raw bytes of each token, by id. Not every single byte need have a token.
        merges: [m, 3]: left id, right id, id of the result; the row is the rank.
        added: [a, 2]: id of a token that is matched literally before pre-tokenising, and 1 if it is special
            (control) or 0 (user defined); ascending by id.
    """

    tokens: Sequence[bytes]
    merges: Table
    added: Table
    pretokenizer: str
    normalizer: str

    def __post_init__(self) -> None:
        if self.pretokenizer not in PRETOKENIZERS:
            raise PackFormatError(
                f"tokenizer.pretokenizer is {self.pretokenizer!r}; known: {', '.join(PRETOKENIZERS)}"
            )
        if self.normalizer not in NORMALIZERS:
            raise PackFormatError(
                f"tokenizer.normalizer is {self.normalizer!r}; known: {', '.join(NORMALIZERS)}"
            )
        self._check_merges()
        self._check_added()

    def _check_merges(self) -> None:
        if self.merges.dtype != np.int32 or self.merges.ndim != 2 or self.merges.shape[1] != 3:
            raise PackFormatError("tokenizer.merges is not I32 [m, 3]")
        _require_ids("tokenizer.merges", self.merges, len(self.tokens))
        seen = set()
        for row, (left, right, result) in enumerate(self.merges.tolist()):
            if self.tokens[left] + self.tokens[right] != self.tokens[result]:
                raise PackFormatError(
                    f"tokenizer.merges row {row}: token {result} is not {left} and {right} joined"
                )
            if (left, right) in seen:
                raise PackFormatError(
                    f"tokenizer.merges row {row}: the pair {left}, {right} has a rank already"
                )
            seen.add((left, right))

    def _check_added(self) -> None:
        if self.added.dtype != np.int32 or self.added.ndim != 2 or self.added.shape[1] != 2:
            raise PackFormatError("tokenizer.added is not I32 [a, 2]")
        ids = self.added[:, 0]
        _require_ids("tokenizer.added", ids, len(self.tokens))
        if (np.diff(ids) <= 0).any():
            raise PackFormatError("tokenizer.added: its ids do not ascend")
        if not np.isin(self.added[:, 1], (0, 1)).all():
            raise PackFormatError("tokenizer.added: a flag is neither 0 nor 1")
        texts = [self.tokens[i] for i in ids.tolist()]
        if b"" in texts or len(set(texts)) != len(texts):
            raise PackFormatError("tokenizer.added: an added token is empty, or two are the same text")
        for token in texts:
            try:
                token.decode("utf-8")
            except UnicodeDecodeError:
                raise PackFormatError(
                    f"tokenizer.added: {token!r} is not UTF-8 and can never match a text"
                ) from None

    def find_added(self, text: str) -> int | None:
        """The id of the added token of that text, None if there is none."""
        wanted = text.encode(errors="surrogatepass")
        return next((i for i in self.added[:, 0].tolist() if self.tokens[i] == wanted), None)

    def chat_stops(self, given: Iterable[int | None]) -> tuple[int, ...]:
        """The stop ids of a chat model: those its source gives, and the usual chat end tokens it has."""
        usual = (self.find_added(text) for text in _CHAT_ENDS)
        return tuple(sorted({stop for stop in (*given, *usual) if stop is not None}))

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The four tensors of the pack, in the order of the file."""
        offsets = np.zeros(len(self.tokens) + 1, "<i4")
        np.cumsum([len(token) for token in self.tokens], out=offsets[1:])
        return {
            "tokenizer.token_offsets": offsets,
            "tokenizer.merges": np.ascontiguousarray(self.merges, "<i4"),
            "tokenizer.added": np.ascontiguousarray(self.added, "<i4"),
            "tokenizer.token_bytes": np.frombuffer(b"".join(self.tokens), np.uint8),
        }

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, npt.NDArray[Any]], pretokenizer: str, normalizer: str
    ) -> Vocabulary:
        """Reads the four tensors back. Raises PackFormatError naming the table that is wrong."""
        offsets, data = tensors["tokenizer.token_offsets"], tensors["tokenizer.token_bytes"].tobytes()
        if offsets.ndim != 1 or len(offsets) < 2 or offsets[0] != 0 or offsets[-1] != len(data):
            raise PackFormatError(
                "tokenizer.token_offsets does not run from 0 to the length of tokenizer.token_bytes"
            )
        if (np.diff(offsets) < 0).any():
            raise PackFormatError("tokenizer.token_offsets goes backwards")
        ends = offsets.tolist()
        tokens = [data[begin:end] for begin, end in itertools.pairwise(ends)]
        merges = np.asarray(tensors["tokenizer.merges"], np.int32)
        added = np.asarray(tensors["tokenizer.added"], np.int32)
        return cls(tokens, merges, added, pretokenizer, normalizer)


def merge_table(pairs: Sequence[Sequence[str]], ids: Mapping[str, int]) -> Table:
    """Merges as spelled, as rows of ids. Raises PackFormatError for a part that is no token."""
    rows = np.empty((len(pairs), 3), np.int32)
    for row, pair in enumerate(pairs):
        if len(pair) != 2:
            raise PackFormatError(f"tokenizer.merges row {row}: {' '.join(pair)!r} is not a pair")
        left, right = pair
        try:
            rows[row] = ids[left], ids[right], ids[left + right]
        except KeyError as error:
            raise PackFormatError(f"tokenizer.merges row {row}: {error.args[0]!r} is not a token") from None
    return rows


def _require_ids(name: str, ids: Table, count: int) -> None:
    bad = (ids < 0) | (ids >= count)
    if bad.any():
        raise PackFormatError(
            f"{name}: row {int(np.argwhere(bad)[0][0])} names an id outside of 0 to {count - 1}"
        )
