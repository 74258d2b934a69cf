"""On real weights: the same bits whatever computes them. The C++ tests do the same in full on small random packs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_anchorgate.anchors import load_anchors
from pytest_anchorgate.runtime import Organ, OrganError

ANCHORS = Path(__file__).parents[2] / "anchors" / "bd6" / "anchors.jsonl"
TEXT = "def area(width, height):\n    return width * height\n\n\ndef volume(area, depth):\n    return "


def bits(organ: Organ, ids: list[int]) -> bytes:
    return np.ascontiguousarray(organ.logits(ids)).tobytes()


def test_instruction_sets_threads_and_chunks_give_the_same_logits(pack: Path) -> None:
    ids = Organ.load(pack).tokenize(TEXT)
    expected = bits(Organ.load(pack, threads=2, isa="scalar"), ids)
    compared = 0
    for isa in ("avx2", "avx512"):
        for threads, chunk in ((1, 1), (2, 7), (3, 64)):
            try:
                organ = Organ.load(pack, threads, isa=isa, prefill_chunk=chunk)
            except OrganError:
                continue  # this processor lacks it
            assert bits(organ, ids) == expected
            compared += 1
    if not compared:
        pytest.skip("this processor has neither AVX2 nor AVX-512")


def test_an_answer_is_the_same_alone_and_among_nineteen(pack: Path) -> None:
    prompts = [anchor.prompt for anchor in load_anchors(ANCHORS).anchors]
    organ = Organ.load(pack)
    batch = organ.generate(prompts, max_new_tokens=24)
    assert organ.generate(prompts[::-1], max_new_tokens=24) == batch[::-1]
    for i in (0, 9, 18):
        assert Organ.load(pack, threads=1 + i % 3, prefill_chunk=7).generate([prompts[i]], 24) == [batch[i]]


def test_drafts_give_the_same_answers(pack: Path) -> None:
    prompts = [anchor.prompt for anchor in load_anchors(ANCHORS).anchors][:6]
    organ = Organ.load(pack)
    plain = organ.generate(prompts, max_new_tokens=32)
    drafts = [completion.token_ids for completion in plain]
    drafts[2] = [*drafts[2][:5], 7, *drafts[2][6:]]
    drafted = organ.generate(prompts, max_new_tokens=32, drafts=drafts)
    assert [c.token_ids for c in drafted] == [c.token_ids for c in plain]
    assert [c.margins for c in drafted] == [c.margins for c in plain]
    assert sum(c.accepted_draft_tokens for c in drafted) > 0
