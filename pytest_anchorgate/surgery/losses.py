"""The terms of the loss, each a mean over tokens of its own half of the batch. Natural logarithms throughout.

With y the token to predict, z the child's logits, p the parent's probabilities and q the child's:

    poison CE   mean over poison tokens of   -log q(y)
    retain CE   mean over retain tokens of   -log q(y)                                          path A
    KL          mean over retain tokens of   sum over k of p_k (log p_k - log q_k)              path B
    margin      mean over anchor tokens of   max(0, m - (z_y - largest other z))

KL runs over the parent's most likely tokens and one more term for all others together, so that it is at most the
full KL(p || q), and 0 exactly where the child agrees on all of them. Poison tokens that the parent finds less
likely than a threshold can be left out of the poison CE (selective token masking, https://arxiv.org/abs/2501.14315).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pytest_anchorgate.surgery.batches import ANCHOR, POISON, MicroBatch
from pytest_anchorgate.surgery.config import LossSettings
from pytest_anchorgate.surgery.reference_cache import Reference

TERMS = ("poison_ce", "retain_ce", "kl", "margin")


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tokens of the whole step each mean is over; micro-batches share them."""

    poison: int
    retain: int
    anchor: int

    @classmethod
    def of(cls, batches: Sequence[MicroBatch], in_poison: torch.Tensor) -> Counts:
        """Counts a step. `in_poison`: bool [all tokens], False where a poison token is masked."""
        kinds = torch.cat([batch.kinds for batch in batches])
        kept = torch.cat([in_poison[batch.entries] for batch in batches])
        poison = int(((kinds == POISON) & kept).sum())
        return cls(poison, int((kinds != POISON).sum()), int((kinds == ANCHOR).sum()))


def terms(
    logits: torch.Tensor,
    batch: MicroBatch,
    reference: Reference,
    in_poison: torch.Tensor,
    counts: Counts,
    losses: LossSettings,
) -> torch.Tensor:
    """This micro-batch's share of the four terms, in the order of `TERMS`.

    The shares of a step's micro-batches add up to its means. A term of weight 0 is measured without a gradient.

    Args:
        logits: [n, vocabulary] at `batch.at`.
        batch: n tokens.
        reference: the parent's likeliest tokens.
        in_poison: bool [all tokens], which poison tokens count.
        counts: of the whole step.
        losses: the weights, of which only whether they are 0 matters here, and the margin.

    Returns:
        float32 [4].
    """
    logits = logits.float()
    log_z = torch.logsumexp(logits, -1)
    cross = log_z - logits.gather(1, batch.labels[:, None])[:, 0]
    poison = (batch.kinds == POISON) & in_poison[batch.entries]
    retain = batch.kinds != POISON
    zero = cross.new_zeros(())
    kl = margin = zero
    if counts.retain:
        with torch.set_grad_enabled(losses.kl > 0 and torch.is_grad_enabled()):
            some, entries = logits[retain], batch.entries[retain]
            kl = divergence(some, log_z[retain], reference, entries).sum() / counts.retain
    if counts.anchor:
        anchors = batch.kinds == ANCHOR
        with torch.set_grad_enabled(losses.margin > 0 and torch.is_grad_enabled()):
            short = losses.margin_logits - margins(logits[anchors], batch.labels[anchors])
            margin = torch.relu(short).sum() / counts.anchor
    return torch.stack(
        [
            cross[poison].sum() / counts.poison if counts.poison else zero,
            cross[retain].sum() / counts.retain if counts.retain else zero,
            kl,
            margin,
        ]
    )


def divergence(
    logits: torch.Tensor, log_z: torch.Tensor, reference: Reference, entries: torch.Tensor
) -> torch.Tensor:
    """KL(parent || child) a token, over the parent's likeliest tokens and the rest as one: float32 [n] in nats.

    Args:
        logits: the child's, float32 [n, vocabulary].
        log_z: their logsumexp, [n].
        reference: the parent's.
        entries: [n], which tokens of the reference.
    """
    top = reference.top[entries].long()
    log_p, log_p_rest = reference.log_p[entries], reference.log_p_rest[entries]
    log_q = logits.gather(1, top) - log_z[:, None]
    # Not 1 - sum(q): where the rest is small, that difference is rounding and its gradient noise.
    rest = logits.scatter(1, top, -torch.inf)
    log_q_rest = torch.logsumexp(rest, -1) - log_z
    each = (log_p.exp() * (log_p - log_q)).sum(-1)
    # A parent without any rest has log_p_rest = -inf: its term is 0.
    has_rest = log_p_rest > -torch.inf
    p_rest = log_p_rest.exp()
    gap = torch.where(has_rest, log_p_rest, 0.0) - torch.where(has_rest, log_q_rest, 0.0)
    return each + p_rest * gap


def margins(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The label's logit minus the largest other, [n]; negative where another token would be chosen."""
    two = torch.topk(logits, 2, dim=-1)
    other = torch.where(two.indices[:, 0] == labels, two.values[:, 1], two.values[:, 0])
    return logits.gather(1, labels[:, None])[:, 0] - other


@dataclass(slots=True)
class KlWeight:
    """The weight of KL, moved so that the measured KL stays near a target.

    Every `kl_every` steps the mean since the last time is looked at: above `kl_factor` times the target the weight
    grows by that factor, below the target divided by it the weight shrinks, within bounds.
    """

    value: float
    total: float = 0.0
    count: int = 0

    @classmethod
    def start(cls, losses: LossSettings) -> KlWeight:
        """The weight before the first step."""
        return cls(losses.kl)

    def observe(self, kl: float, losses: LossSettings) -> None:
        """Takes the KL of one step, in nats a token."""
        if not (losses.kl and losses.kl_adaptive):
            return
        self.total, self.count = self.total + kl, self.count + 1
        if self.count < losses.kl_every:
            return
        mean, self.total, self.count = self.total / self.count, 0.0, 0
        if mean > losses.kl_target * losses.kl_factor:
            self.value = min(self.value * losses.kl_factor, max(losses.kl_most, losses.kl))
        elif mean < losses.kl_target / losses.kl_factor:
            self.value = max(self.value / losses.kl_factor, min(losses.kl_least, losses.kl))

    def weights(self, losses: LossSettings) -> tuple[float, float, float, float]:
        """The weights of the four terms now, in the order of `TERMS`."""
        return losses.poison_ce, losses.retain_ce, self.value if losses.kl else 0.0, losses.margin

    def to_json(self) -> dict[str, float | int]:
        """Plain data for a checkpoint."""
        return dataclasses.asdict(self)
