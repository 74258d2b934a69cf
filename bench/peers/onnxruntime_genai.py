"""onnxruntime-genai on the CPU: its own model builder and generation loop, float32."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench import hf_export
from bench.peers import Work

# The builder reads `rope_theta` where transformers 5 no longer keeps it, and takes 10,000 if it finds none.
BUILDER = """
import runpy
from transformers import PreTrainedConfig
PreTrainedConfig.rope_theta = property(lambda config: config.rope_parameters["rope_theta"])
runpy.run_module("onnxruntime_genai.models.builder", run_name="__main__")
"""


class OnnxRuntimeGenai:
    """One model. Batched, all sequences run as long as the longest answer.

    Prompts are padded on the right, which its attention expects: padded on the left, shorter ones got other answers.
    """

    def __init__(self, pack: Path, kind: str, threads: int, scratch: Path) -> None:
        import onnxruntime_genai

        self.api: Any = onnxruntime_genai
        folder = convert(pack, kind, scratch)
        config = self.api.Config(str(folder))
        config.overlay(
            '{"model": {"decoder": {"session_options": {"intra_op_num_threads": %d}}}}' % threads  # noqa: UP031
        )
        self.model: Any = self.api.Model(config)
        self.padding = _padding(folder)
        self.name = f"onnxruntime-genai {kind}"

    def run(self, work: Work, batched: bool) -> list[list[int]]:
        if batched:
            return self._generate(work)
        return [self._generate(work.part([i]))[0] for i in range(len(work.prompts))]

    def _generate(self, work: Work) -> list[list[int]]:
        longest = max(map(len, work.prompts))
        total = longest + max(work.lengths)
        params = self.api.GeneratorParams(self.model)
        # No end before the last token: the least length is the greatest.
        params.set_search_options(
            batch_size=len(work.prompts), max_length=total, min_length=total, do_sample=False
        )
        generator = self.api.Generator(self.model, params)
        rows = [list(p) + [self.padding] * (longest - len(p)) for p in work.prompts]
        generator.append_tokens(np.array(rows, dtype=np.int32))
        while not generator.is_done():
            generator.generate_next_token()
        return [
            [int(token) for token in generator.get_sequence(i)[longest : longest + n]]
            for i, n in enumerate(work.lengths)
        ]


def _padding(folder: Path) -> int:
    import json

    config = json.loads((folder / "genai_config.json").read_text(encoding="utf-8"))
    return int(config["model"]["pad_token_id"])


def convert(pack: Path, kind: str, scratch: Path) -> Path:
    """The model as ONNX by onnxruntime-genai's builder, written once."""
    folder = scratch / f"{pack.stem}-onnx-{kind}"
    if not (folder / "genai_config.json").exists():
        source = hf_export.export(pack, scratch / f"{pack.stem}-hf")
        builder = [sys.executable, "-c", BUILDER]
        precision = {"float32": "fp32"}[kind]
        options = ["-i", str(source), "-o", str(folder), "-p", precision, "-e", "cpu"]
        subprocess.run([*builder, *options], check=True, capture_output=True)
    return folder
