"""The terms of the loss against their formulas, written out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("yaml")

from pytest_anchorgate.surgery.batches import ANCHOR, POISON, RETAIN, MicroBatch  # noqa: E402
from pytest_anchorgate.surgery.config import LossSettings  # noqa: E402
from pytest_anchorgate.surgery.losses import (  # noqa: E402
    TERMS,
    Counts,
    KlWeight,
    divergence,
    margins,
    terms,
)
from pytest_anchorgate.surgery.reference_cache import Reference  # noqa: E402

if TYPE_CHECKING:
    from torch import Tensor

VOCABULARY, TOKENS = 50, 12
KINDS = [POISON] * 5 + [RETAIN] * 3 + [ANCHOR] * 4


def random_logits(seed: int, spread: float = 3.0) -> Tensor:
    return torch.randn(TOKENS, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * spread


def reference_of(logits: Tensor, top: int, labels: Tensor) -> Reference:
    log_p = torch.log_softmax(logits.double(), -1)
    best = torch.topk(log_p, top)
    rest = log_p.scatter(1, best.indices, -torch.inf).logsumexp(-1)
    own = log_p.gather(1, labels[:, None])[:, 0]
    return Reference(best.indices.int(), best.values.float(), rest.float(), own.float())


def batch(part: slice = slice(None)) -> MicroBatch:
    entries = torch.arange(TOKENS)[part]
    labels = torch.tensor([(7 * i) % VOCABULARY for i in range(TOKENS)])[part]
    return MicroBatch(torch.zeros(1, 1), entries, labels, torch.tensor(KINDS)[part], entries, ())


ALL = torch.ones(TOKENS, dtype=torch.bool)
LOSSES = LossSettings(margin=0.1)


def test_the_terms_are_means_over_their_own_tokens() -> None:
    parent, child, one = random_logits(1), random_logits(2), batch()
    reference = reference_of(parent, VOCABULARY - 1, one.labels)
    found = terms(child, one, reference, ALL, Counts.of([one], ALL), LOSSES)
    log_p = torch.log_softmax(parent.double(), -1)
    log_q = torch.log_softmax(child.double(), -1)
    cross = [-float(log_q[i, one.labels[i]]) for i in range(TOKENS)]
    full_kl = (log_p.exp() * (log_p - log_q)).sum(-1)
    short = []
    for i in range(8, 12):
        label = int(one.labels[i])
        other = max(float(child[i, j]) for j in range(VOCABULARY) if j != label)
        short.append(max(0.0, 1.0 - (float(child[i, label]) - other)))
    expected = [np.mean(cross[:5]), np.mean(cross[5:]), float(full_kl[5:].mean()), np.mean(short)]
    assert dict(zip(TERMS, found.tolist(), strict=True)) == pytest.approx(
        dict(zip(TERMS, expected, strict=True)), rel=1e-5
    )


def test_micro_batches_add_up_to_the_whole_step_and_so_do_their_gradients() -> None:
    parent, one = random_logits(1), batch()
    reference = reference_of(parent, 8, one.labels)
    whole, split = random_logits(2).requires_grad_(), random_logits(2).requires_grad_()
    counts = Counts.of([one], ALL)
    at_once = terms(whole, one, reference, ALL, counts, LOSSES)
    at_once.sum().backward()
    parts = [slice(0, 3), slice(3, 9), slice(9, 12)]
    shares = sum(terms(split[part], batch(part), reference, ALL, counts, LOSSES) for part in parts)
    shares.sum().backward()
    torch.testing.assert_close(shares, at_once)
    torch.testing.assert_close(split.grad, whole.grad)


def test_kl_over_the_likeliest_tokens_is_a_lower_bound_that_grows_to_the_whole() -> None:
    parent, child, one = random_logits(1), random_logits(2), batch()
    log_p, log_q = torch.log_softmax(parent, -1), torch.log_softmax(child, -1)
    full = (log_p.exp() * (log_p - log_q)).sum(-1)
    last = torch.zeros(TOKENS)
    for top in (1, 4, 16, VOCABULARY - 1):
        found = divergence(child, child.logsumexp(-1), reference_of(parent, top, one.labels), one.entries)
        assert (found >= last - 1e-5).all()
        assert (found <= full + 1e-4).all()
        last = found
    torch.testing.assert_close(last, full, rtol=1e-4, atol=1e-4)


def test_the_parent_itself_is_at_no_distance_and_nothing_pulls_at_it() -> None:
    # Far apart: the mass of the rest underflows, and with it a difference 1 - sum(q).
    for spread in (1.0, 30.0):
        parent, one = random_logits(1, spread).requires_grad_(), batch()
        reference = reference_of(parent.detach(), 8, one.labels)
        found = divergence(parent, parent.logsumexp(-1), reference, one.entries)
        assert float(found.detach().abs().max()) < 1e-5
        found.sum().backward()
        assert float(parent.grad.abs().max()) < 1e-5


def test_kl_pulls_the_child_back_to_the_parent() -> None:
    parent, one = random_logits(1), batch()
    child = random_logits(2).requires_grad_()
    reference = reference_of(parent, 8, one.labels)
    optimizer = torch.optim.Adam([child], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        found = divergence(child, child.logsumexp(-1), reference, one.entries).mean()
        found.backward()
        optimizer.step()
    assert float(found.detach()) < 0.01


def test_masked_poison_tokens_have_no_part_in_the_loss() -> None:
    child, one = random_logits(2).requires_grad_(), batch()
    reference = reference_of(random_logits(1), 8, one.labels)
    kept = ALL.clone()
    kept[[1, 3, 6]] = False
    counts = Counts.of([one], kept)
    assert (counts.poison, counts.retain, counts.anchor) == (3, 7, 4)
    found = terms(child, one, reference, kept, counts, LOSSES)
    found[0].backward()
    assert set(child.grad.abs().sum(-1).nonzero()[:, 0].tolist()) == {0, 2, 4}


def test_a_term_of_weight_0_is_measured_without_a_gradient() -> None:
    child, one = random_logits(2).requires_grad_(), batch()
    reference = reference_of(random_logits(1), 8, one.labels)
    found = terms(child, one, reference, ALL, Counts.of([one], ALL), LossSettings(kl=0, margin=0))
    assert (found[2:] > 0.1).all()
    (found[2] + found[3]).backward()
    assert not child.grad.any()


def test_margins_lead_or_lag() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.5], [3.0, 1.0, 2.5], [2.0, 2.0, 0.0]])
    assert margins(logits, torch.tensor([0, 1, 0])).tolist() == [0.5, -2.0, 0.0]


@pytest.mark.parametrize(("measured", "becomes"), [(0.1, 0.75), (0.015, 0.5), (0.001, 0.5 / 1.5)])
def test_the_weight_of_kl_follows_what_is_measured(measured: float, becomes: float) -> None:
    losses = LossSettings()
    weight = KlWeight.start(losses)
    for _ in range(losses.kl_every - 1):
        weight.observe(measured, losses)
    assert weight.value == 0.5
    weight.observe(measured, losses)
    assert weight.value == pytest.approx(becomes)
    assert KlWeight(**weight.to_json()) == weight


def test_the_weight_of_kl_stays_within_its_bounds_and_where_it_is_told() -> None:
    losses = LossSettings(kl_least=0.2, kl_most=2.0, kl_every=1)
    high, low, fixed = (KlWeight.start(losses) for _ in range(3))
    for _ in range(50):
        high.observe(1.0, losses)
        low.observe(0.0, losses)
        fixed.observe(1.0, replace(losses, kl_adaptive=False))
    assert (high.value, low.value, fixed.value) == (2.0, 0.2, 0.5)
    assert high.weights(LossSettings(kl=0))[TERMS.index("kl")] == 0
