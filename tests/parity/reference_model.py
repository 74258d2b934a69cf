"""The organ of a pack as a transformers model: same BF16 weights, float32 arithmetic."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from pytest_anchorgate.packs.config import PackConfig  # noqa: E402
from pytest_anchorgate.surgery.model import load_parent  # noqa: E402


@cache
def load_reference(pack: Path) -> transformers.PreTrainedModel:
    """A transformers model in float32 whose parameters are the pack's logical weights, widened exactly."""
    return load_parent(pack, attention="eager")


def logit_bound(config: PackConfig, logits: np.ndarray) -> float:
    """How far two F32 evaluations of the same network may differ in a logit.

    A chain of K fused additions rounds each partial sum: with partial sums growing like sqrt(k), the error
    is u * sqrt(K) / sqrt(6) of the result's standard deviation (u = 2^-24; the probabilistic model of Higham
    and Mary, https://doi.org/10.1137/18M1226312). A residual write passes two such products, the longer of
    K = intermediate size, in each of two engines: at most 2 * u * sqrt(K). 2 * layers writes add in
    quadrature, and six standard deviations cover the about 10^8 logits compared here.
    """
    u = 2.0**-24
    relative = 2 * u * math.sqrt(config.intermediate_size) * math.sqrt(2 * config.num_hidden_layers)
    return 6 * relative * float(np.sqrt(np.mean(np.square(logits, dtype=np.float64))))
