"""CTranslate2 on the CPU, converted from the pack's weights. Its CPU kernels take float32 here, no bfloat16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import hf_export
from bench.peers import Work


class CTranslate2:
    """One model. Batched, its own batching: a sequence that has its tokens leaves the batch."""

    def __init__(self, pack: Path, kind: str, threads: int, scratch: Path) -> None:
        import ctranslate2

        folder = convert(pack, scratch)
        self.generator: Any = ctranslate2.Generator(
            str(folder), compute_type=kind, intra_threads=threads, inter_threads=1
        )
        self.name = f"CTranslate2 {kind}"

    def run(self, work: Work, batched: bool) -> list[list[int]]:
        if batched:
            return self._generate(work)
        return [self._generate(work.part([i]))[0] for i in range(len(work.prompts))]

    def _generate(self, work: Work) -> list[list[int]]:
        # Steps count from 0 at the end of the shortest prompt: what the others have beyond it is forced, token by
        # token. The token of the step at which the callback says "enough" still counts.
        shortest = min(map(len, work.prompts))
        ends = [len(prompt) - shortest + n for prompt, n in zip(work.prompts, work.lengths, strict=True)]
        count = max(ends)
        results = self.generator.generate_batch(
            [[f"<{token}>" for token in prompt] for prompt in work.prompts],
            max_length=count,
            min_length=count,
            end_token=[],
            include_prompt_in_result=False,
            callback=lambda step: step.step + 1 >= ends[step.batch_id],
        )
        return [result.sequences_ids[0] for result in results]


def convert(pack: Path, scratch: Path) -> Path:
    """The model in CTranslate2's format, written once."""
    from ctranslate2.converters import TransformersConverter

    folder = scratch / f"{pack.stem}-ctranslate2"
    if not (folder / "model.bin").exists():
        source = hf_export.export(pack, scratch / f"{pack.stem}-hf")
        TransformersConverter(str(source)).convert(str(folder), force=True)
    return folder
