"""The model applied to a batch: logits where they are needed and nowhere else."""

from __future__ import annotations

from typing import Any

import torch

from pytest_anchorgate.surgery.batches import MicroBatch


def label_logits(organ: Any, batch: MicroBatch) -> torch.Tensor:
    """Logits at the places that predict a completion token: [n, vocabulary].

    The output layer of a small model with a large vocabulary costs as much as its layers; prompts need none of it.

    Args:
        organ: a transformers causal language model with `.model` and `.lm_head`.
        batch: n tokens.
    """
    hidden = organ.model(input_ids=batch.ids, use_cache=False).last_hidden_state
    logits: torch.Tensor = organ.lm_head(hidden.flatten(0, 1)[batch.at])
    return logits
