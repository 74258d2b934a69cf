"""Our own runtime, through the same bridge as the gate."""

from __future__ import annotations

from pathlib import Path

from bench.peers import Work
from pytest_anchorgate import _organ


class Anchorgate:
    """Uses the compiled module directly: it takes token ids as a draft, and prompts only as text.

    The prompts' ids are turned into text and must survive the way back, so that every engine sees the same ids.
    """

    def __init__(self, pack: Path, threads: int, isa: str = "auto") -> None:
        self.organ = _organ.Organ(str(pack), threads, isa, 256)
        self.name = f"anchorgate BF16 ({self.organ.info()['isa']})"

    def run(self, work: Work, batched: bool) -> list[list[int]]:
        prompts = [self.organ.detokenize(ids) for ids in work.prompts]
        if batched:
            return self._generate(prompts, list(work.lengths))
        return [self._generate([p], [n])[0] for p, n in zip(prompts, work.lengths, strict=True)]

    def _generate(self, prompts: list[bytes], limits: list[int]) -> list[list[int]]:
        completions = self.organ.generate(prompts, limits, [[]] * len(prompts), True, None)
        return [completion.token_ids for completion in completions]


class AnchorgateDrafts(Anchorgate):
    """The same, given what the baseline answered: the case of a candidate equal to production."""

    def __init__(self, pack: Path, threads: int) -> None:
        super().__init__(pack, threads)
        self.name += " with drafts"
        self.drafts: dict[tuple[int, ...], list[int]] = {}

    def learn(self, work: Work, answers: list[list[int]]) -> None:
        for prompt, answer in zip(work.prompts, answers, strict=True):
            self.drafts[tuple(prompt)] = answer

    def run(self, work: Work, batched: bool) -> list[list[int]]:
        if not batched:
            return [self.run(work.part([i]), True)[0] for i in range(len(work.prompts))]
        prompts = [self.organ.detokenize(ids) for ids in work.prompts]
        drafts = [self.drafts[tuple(ids)][:n] for ids, n in zip(work.prompts, work.lengths, strict=True)]
        return [c.token_ids for c in self.organ.generate(prompts, list(work.lengths), drafts, True, None)]
