"""Rows side by side as tensors: padded on the right, with the places whose next token is in the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pytest_anchorgate.surgery.encoding import Encoded

POISON, RETAIN, ANCHOR = 0, 1, 2
_KINDS = {"poison": POISON, "retain": RETAIN, "anchor": ANCHOR}
# A row shorter than this share of the longest beside it is cheaper in a batch of its own kind.
_SHORTEST_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rows that go through the model together.

    No attention mask is needed: the padding is on the right, where causal attention never looks from a real token.

    Attributes:
        ids: int64 [rows, longest], padded with 0.
        at: int64 [n], flat index into [rows * longest] of each place that predicts a completion token.
        labels: int64 [n], that token.
        kinds: int64 [n], POISON, RETAIN or ANCHOR.
        entries: int64 [n], the token's place in per-token tables (`Encoded.offset`).
        rows: the rows in the order of their tokens.
    """

    ids: torch.Tensor
    at: torch.Tensor
    labels: torch.Tensor
    kinds: torch.Tensor
    entries: torch.Tensor
    rows: tuple[Encoded, ...]


def micro_batches(rows: Sequence[Encoded], micro_tokens: int, device: torch.device) -> list[MicroBatch]:
    """Splits rows into batches of similar length and at most `micro_tokens` tokens, padding included.

    A single row that is longer still gets a batch of its own.
    """
    parts: list[list[Encoded]] = []
    for row in sorted(rows, key=lambda row: -len(row.ids)):
        longest = len(parts[-1][0].ids) if parts else 0
        fits = bool(parts) and (len(parts[-1]) + 1) * longest <= micro_tokens
        if fits and len(row.ids) >= _SHORTEST_SHARE * longest:
            parts[-1].append(row)
        else:
            parts.append([row])
    return [_assemble(part, device) for part in parts]


def _assemble(rows: Sequence[Encoded], device: torch.device) -> MicroBatch:
    longest = max(len(row.ids) for row in rows)
    ids = np.zeros((len(rows), longest), np.int64)
    at, labels, kinds, entries = [], [], [], []
    for number, row in enumerate(rows):
        ids[number, : len(row.ids)] = row.ids
        count = len(row.labels)
        first = number * longest + row.start - 1
        at.append(np.arange(first, first + count))
        labels.append(row.labels.astype(np.int64))
        kinds.append(np.full(count, _KINDS[row.row.kind]))
        entries.append(np.arange(row.offset, row.offset + count))

    def joined(parts: list[npt.NDArray[np.int64]]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(parts)).to(device)

    return MicroBatch(
        ids=torch.from_numpy(ids).to(device),
        at=joined(at),
        labels=joined(labels),
        kinds=joined(kinds),
        entries=joined(entries),
        rows=tuple(rows),
    )
