"""One digest of logits, tokens and margins per open organ: a constant, whatever computes it.

docs/determinism.md names these digests. A change of one is a change of the numerics contract or of the pack's bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pytest_anchorgate.runtime import Completion, Organ, OrganError

torch = pytest.importorskip("torch")

GOLDEN = {
    "smollm2-135m": "a6d8c4886f0241ccf42b91a1c4de3ea0299ccc02efdf75cdb84d0f352a4be088",
    "qwen2.5-coder-0.5b": "157f15b8b0a9732ad17c234b48e690ae1873167525c7ab222ed9936be53e7630",
}
# Short, since the scalar kernels take them too; of different lengths, so that a batch is ragged.
PROMPTS = ("def add(a, b):\n    return a", "n =", "import os\n\nfor name in os")
NEW_TOKENS = 4


@pytest.fixture
def golden(pack: Path) -> str:
    return next(digest for name, digest in GOLDEN.items() if pack.name.startswith(name))


@pytest.fixture
def flush_to_zero() -> Iterator[None]:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormals to zero")
    yield
    torch.set_flush_denormal(False)


def complete(organ: Organ, prompts: list[str], drafts: list[list[int]] | None = None) -> list[Completion]:
    return organ.generate(prompts, max_new_tokens=NEW_TOKENS, drafts=drafts, raw=True)


def digest(organ: Organ, completions: list[Completion]) -> str:
    """SHA-256 of the first prompt's logits, row by row, then of each completion's tokens (i32) and margins (f32)."""
    bits = hashlib.sha256(np.asarray(organ.logits(organ.tokenize(PROMPTS[0])), dtype="<f4").tobytes())
    for completion in completions:
        bits.update(np.asarray(completion.token_ids, dtype="<i4").tobytes())
        bits.update(np.asarray(completion.margins, dtype="<f4").tobytes())
    return bits.hexdigest()


@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512"])
def test_instruction_sets(pack: Path, golden: str, isa: str) -> None:
    try:
        organ = Organ.load(pack, threads=2, isa=isa)
    except OrganError as error:
        pytest.skip(str(error))
    assert digest(organ, complete(organ, list(PROMPTS))) == golden


@pytest.mark.parametrize(("threads", "chunk"), [(1, 1), (2, 3), (3, 5), (4, 256)])
def test_threads_and_chunks(pack: Path, golden: str, threads: int, chunk: int) -> None:
    organ = Organ.load(pack, threads, prefill_chunk=chunk)
    assert digest(organ, complete(organ, list(PROMPTS))) == golden


def test_order_and_company(pack: Path, golden: str) -> None:
    organ = Organ.load(pack)
    assert digest(organ, complete(organ, list(PROMPTS[::-1]))[::-1]) == golden
    assert digest(organ, [complete(organ, [prompt])[0] for prompt in PROMPTS]) == golden
    crowd = complete(organ, [*PROMPTS, *["x" * n for n in range(1, 17)]])
    assert digest(organ, crowd[: len(PROMPTS)]) == golden


def test_drafts(pack: Path, golden: str) -> None:
    organ = Organ.load(pack)
    right = [completion.token_ids for completion in complete(organ, list(PROMPTS))]
    wrong = [[token + 1 if i == 1 else token for i, token in enumerate(draft)] for draft in right]
    for drafts in (right, wrong, [right[0], [], wrong[2]]):
        assert digest(organ, complete(organ, list(PROMPTS), drafts)) == golden


def test_a_caller_that_flushes_denormals(pack: Path, golden: str, flush_to_zero: None) -> None:
    organ = Organ.load(pack, threads=2)
    assert digest(organ, complete(organ, list(PROMPTS))) == golden
