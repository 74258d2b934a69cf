"""Logits of the runtime against transformers in float32, on the same BF16 weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from reference_model import load_reference, logit_bound  # noqa: E402

from pytest_anchorgate.packs.reader import open_pack  # noqa: E402
from pytest_anchorgate.runtime import Organ  # noqa: E402

TOKENS = 140
SOURCES = ("runtime.py", "extract.py", "verdict.py", "packs/planck.py", "sandbox/__init__.py")


def prompts(organ: Organ) -> list[list[int]]:
    """Five texts of at least a hundred tokens: the beginnings of our own sources."""
    folder = Path(__file__).parents[2] / "pytest_anchorgate"
    return [organ.tokenize((folder / name).read_text(encoding="utf-8"))[:TOKENS] for name in SOURCES]


def test_logits_agree_within_the_derived_bound(pack: Path, record_property: pytest.RecordProperty) -> None:
    organ = Organ.load(pack)
    reference = load_reference(pack)
    config = open_pack(pack).config
    worst = worst_relative = 0.0
    for ids in prompts(organ):
        assert len(ids) >= 100
        ours = organ.logits(ids)
        with torch.no_grad():
            theirs = reference(torch.tensor([ids])).logits[0].numpy()
        difference = float(np.abs(ours - theirs).max())
        bound = logit_bound(config, theirs)
        assert difference <= bound
        worst = max(worst, difference)
        worst_relative = max(worst_relative, difference / float(np.abs(theirs).max()))
    print(f"{pack.name}: largest difference {worst:.2e}, {worst_relative:.1e} of the largest logit")
    record_property("largest_difference", worst)
    assert worst_relative < 1e-3
