"""How to draw answers from a parent, and what is drawn; without torch, which only the drawing itself needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How to draw.

    Attributes:
        samples: answers a prompt.
        temperature: divides the logits; `top_p` keeps the smallest set of tokens with this much probability.
        seed: of all draws.
        rows: answers that are generated at a time.
    """

    samples: int = 16
    temperature: float = 0.8
    top_p: float = 0.95
    seed: int = 0
    rows: int = 256


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer.

    Attributes:
        prompt: number of the prompt; `number`: of the sample of this prompt.
        ids: its tokens, the stop id included if it ended with one.
        text: without the stop token.
        finish: "stop", "code_end" or "length".
        nll: mean negative log-likelihood of its tokens under the parent, untempered, in nats.
    """

    prompt: int
    number: int
    ids: tuple[int, ...]
    text: str
    finish: str
    nll: float
