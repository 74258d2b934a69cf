"""transformers on the CPU, with its KV cache: one by one, or as one left-padded batch."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from bench.peers import Work


class Transformers:
    """The pack's weights in float32 or bfloat16."""

    def __init__(self, pack: Path, dtype: str, threads: int) -> None:
        import torch

        from tests.parity.reference_model import load_reference

        self.torch: Any = torch
        torch.set_num_threads(threads)
        self.model = load_reference(pack)
        if dtype == "bf16":
            # A copy: `to` changes a module in place, and the reference is cached for whoever asks next.
            self.model = copy.deepcopy(self.model).to(torch.bfloat16)
        self.name = f"transformers {dtype.upper()}"

    def run(self, work: Work, batched: bool) -> list[list[int]]:
        if batched:
            return self._generate(work)
        return [self._generate(work.part([i]))[0] for i in range(len(work.prompts))]

    def _generate(self, work: Work) -> list[list[int]]:
        longest = max(map(len, work.prompts))
        ids = self.torch.tensor([[0] * (longest - len(p)) + list(p) for p in work.prompts])
        mask = self.torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in work.prompts])
        count = max(work.lengths)
        with self.torch.no_grad():
            output = self.model.generate(
                ids,
                attention_mask=mask,
                do_sample=False,
                min_new_tokens=count,
                max_new_tokens=count,
                pad_token_id=0,
            )
        return [row[longest : longest + n].tolist() for row, n in zip(output, work.lengths, strict=True)]
