"""One file an engine. Each answers the same question: how long do these prompts and this many new tokens take?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Work:
    """Prompts as token ids, and how many tokens to generate for each. Every engine generates exactly that many."""

    prompts: Sequence[Sequence[int]]
    lengths: Sequence[int]

    @property
    def prompt_tokens(self) -> int:
        return sum(map(len, self.prompts))

    @property
    def new_tokens(self) -> int:
        return sum(self.lengths)

    @property
    def common_tokens(self) -> int:
        """How many tokens all prompts begin with, each one's last left out: an engine may compute them once."""
        columns = zip(*(prompt[:-1] for prompt in self.prompts), strict=False)
        return sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))

    def part(self, indices: Sequence[int]) -> Work:
        return Work([self.prompts[i] for i in indices], [self.lengths[i] for i in indices])


class Peer(Protocol):
    """An engine with a model loaded. `batched` says whether it takes all prompts at once or one by one."""

    name: str

    def run(self, work: Work, batched: bool) -> list[list[int]]:
        """Greedy tokens of each prompt."""
        ...
