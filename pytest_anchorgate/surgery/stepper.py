"""One step of training: rows, loss, gradient, AdamW."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import torch

from pytest_anchorgate.surgery.batches import MicroBatch, micro_batches
from pytest_anchorgate.surgery.config import ScheduleSettings
from pytest_anchorgate.surgery.encoding import Encoded
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.forward import label_logits
from pytest_anchorgate.surgery.losses import TERMS, Counts, KlWeight, terms
from pytest_anchorgate.surgery.prepare import Ready

_DIGITS = 6
_KL = TERMS.index("kl")


def learning_rate(step: int, steps: int, base: float, schedule: ScheduleSettings) -> float:
    """The rate of a step counted from 0: a linear warm-up to `base`, then `base`, or a half cosine down to 0."""
    warmup = round(schedule.warmup * steps)
    if step < warmup:
        return base * (step + 1) / (warmup + 1)
    if schedule.kind == "constant":
        return base
    return base * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


class Stepper:
    """Trains the adapter of a run.

    Attributes:
        optimizer: AdamW over the adapter's tensors, in the order of `Ready.params`.
    """

    def __init__(self, ready: Ready) -> None:
        self._ready, self._settings = ready, ready.settings
        self._params = list(ready.params.values())
        chosen = self._settings.optimizer
        self.optimizer = torch.optim.AdamW(
            self._params,
            lr=chosen.lr,
            betas=(chosen.beta1, chosen.beta2),
            eps=chosen.eps,
            weight_decay=chosen.weight_decay,
        )

    def rows(self, step: int) -> list[Encoded]:
        """The rows of a step, poison first."""
        material = self._ready.material
        poison, retain = self._ready.order.at(step)
        return [*(material.poison[i] for i in poison), *(material.retain[i] for i in retain)]

    def step(self, step: int, kl_weight: KlWeight) -> dict[str, Any]:
        """Does the step with this number, counted from 0.

        Args:
            step: its number.
            kl_weight: the weight of KL, moved if need be.

        Returns:
            What the log says of the step, whose number there is counted from 1.

        Raises:
            SurgeryError: the loss or its gradient is not finite; the weights are as they were.
        """
        begun = time.monotonic()
        order = self._ready.order
        batches = micro_batches(self.rows(step), self._ready.micro_tokens, self._ready.device)
        counts = Counts.of(batches, self._ready.in_poison)
        weights = kl_weight.weights(self._settings.losses)
        rate = learning_rate(step, order.steps, self._settings.optimizer.lr, self._settings.schedule)
        values, gradient = self._gradients(batches, counts, weights)
        if not all(map(math.isfinite, (*values, gradient))):
            raise SurgeryError(
                f"the loss of step {step + 1} is not finite; start anew with a lower optimizer.lr"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        kl_weight.observe(values[_KL], self._settings.losses)
        present = (counts.poison, counts.retain, counts.retain, counts.anchor)
        measured = {
            name: round(value, _DIGITS) if count else None
            for name, value, count in zip(TERMS, values, present, strict=True)
        }
        return {
            "step": step + 1,
            "epoch": step // order.steps_per_epoch + 1,
            "lr": rate,
            "loss": round(sum(w * value for w, value in zip(weights, values, strict=True)), _DIGITS),
            **measured,
            "kl_weight": weights[_KL],
            "gradient": round(gradient, _DIGITS),
            "tokens": {"poison": counts.poison, "retain": counts.retain},
            "seconds": round(time.monotonic() - begun, 3),
        }

    def _gradients(
        self, batches: Sequence[MicroBatch], counts: Counts, weights: tuple[float, ...]
    ) -> tuple[list[float], float]:
        """Leaves clipped gradients behind; returns the four terms and the gradient's norm before clipping."""
        ready = self._ready
        scale = torch.tensor(weights, device=ready.device)
        total = torch.zeros(len(TERMS), device=ready.device)
        ready.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        for batch in batches:
            logits = label_logits(ready.organ, batch)
            share = terms(logits, batch, ready.reference, ready.in_poison, counts, self._settings.losses)
            (share * scale).sum().backward()
            total += share.detach()
        norm = torch.nn.utils.clip_grad_norm_(self._params, self._settings.optimizer.clip)
        # One transfer for all of them: each would wait for the device.
        *values, gradient = torch.cat([total, norm[None]]).tolist()
        return values, gradient
