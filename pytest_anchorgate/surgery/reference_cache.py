"""What the frozen parent says at every completion token: its likeliest tokens, the mass of the rest, the token's own.

64 of 49,152 or 151,936 log-probabilities keep a run's reference in some 40 MB where all of them would take tens of
GB, and a step needs no second pass through the parent.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from pytest_anchorgate.packs.atomic import writing_beside
from pytest_anchorgate.surgery.batches import micro_batches
from pytest_anchorgate.surgery.encoding import Encoded
from pytest_anchorgate.surgery.forward import label_logits

_KEY = "anchorgate.reference"


@dataclass(frozen=True, slots=True)
class Reference:
    """The parent's distribution at n completion tokens, rows behind each other as their offsets say.

    Attributes:
        top: int32 [n, k], its likeliest tokens, likeliest first.
        log_p: float32 [n, k], their log-probabilities in nats.
        log_p_rest: float32 [n], log of the probability of all other tokens together.
        log_p_label: float32 [n], log-probability of the token that stands there.
    """

    top: torch.Tensor
    log_p: torch.Tensor
    log_p_rest: torch.Tensor
    log_p_label: torch.Tensor

    def to(self, device: torch.device) -> Reference:
        """The same on another device."""
        return Reference(*(getattr(self, field.name).to(device) for field in fields(self)))


def measure(
    organ: Any,
    rows: Sequence[Encoded],
    top: int,
    micro_tokens: int,
    device: torch.device,
    advance: Callable[[int], None] = lambda _: None,
) -> Reference:
    """Runs the parent over all rows.

    Args:
        organ: the parent as a transformers model, adapters switched off.
        rows: all rows of the run.
        top: how many of the likeliest tokens to keep.
        micro_tokens: tokens at once.
        device: where the model is.
        advance: called with the number of rows just done.
    """
    count = sum(len(row.labels) for row in rows)
    top = min(top, organ.config.vocab_size - 1)
    out = Reference(
        torch.empty((count, top), dtype=torch.int32, device=device),
        torch.empty((count, top), device=device),
        torch.empty(count, device=device),
        torch.empty(count, device=device),
    )
    with torch.no_grad():
        for batch in micro_batches(rows, micro_tokens, device):
            log_p = torch.log_softmax(label_logits(organ, batch).float(), -1)
            best = torch.topk(log_p, top, dim=-1)
            out.top[batch.entries] = best.indices.int()
            out.log_p[batch.entries] = best.values
            out.log_p_label[batch.entries] = log_p.gather(1, batch.labels[:, None])[:, 0]
            out.log_p_rest[batch.entries] = torch.logsumexp(log_p.scatter(1, best.indices, -torch.inf), -1)
            advance(len(batch.rows))
    return out


def key_of(identity: str, rows: Sequence[Encoded], top: int, machine: Sequence[str]) -> str:
    """What a reference depends on, as sha256 hex: parent, tokens, how many are kept, arithmetic."""
    digest = hashlib.sha256(json.dumps([identity, top, *machine]).encode())
    for row in rows:
        digest.update(struct.pack("<qq", len(row.ids), row.start) + row.ids.astype("<i4").tobytes())
    return digest.hexdigest()


def load(path: Path, key: str) -> Reference | None:
    """The reference that a run left behind, None if there is none or it is another's."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            if (file.metadata() or {}).get(_KEY) != key:
                return None
            return Reference(**{field.name: file.get_tensor(field.name) for field in fields(Reference)})
    except (OSError, safetensors.SafetensorError):
        return None


def save(path: Path, reference: Reference, key: str) -> None:
    """Writes a reference. Raises OSError if it cannot be written."""
    tensors = {field.name: getattr(reference, field.name).cpu().contiguous() for field in fields(Reference)}
    with writing_beside(path) as file:
        file.write(safetensors.torch.save(tensors, {_KEY: key}))
