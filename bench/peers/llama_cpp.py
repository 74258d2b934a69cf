"""llama.cpp through the low-level API of llama-cpp-python: its own batch API, greedy by argmax over its logits."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from bench.peers import Work

CONTEXT = 512  # tokens a sequence: the longest prompt and its answer fit


class LlamaCpp:
    """One GGUF. The KV cache has one stream a sequence, as llama.cpp recommends for independent sequences."""

    def __init__(self, gguf: Path, kind: str, threads: int, sequences: int) -> None:
        import llama_cpp

        self.api: Any = llama_cpp
        self.name = f"llama.cpp {kind.upper()}"
        self.api.llama_backend_init()
        self.api.llama_log_set(_SILENT, ctypes.c_void_p(0))
        model_options = self.api.llama_model_default_params()
        model_options.n_gpu_layers = 0
        self.model = self.api.llama_model_load_from_file(str(gguf).encode(), model_options)
        if not self.model:
            raise RuntimeError(f"llama.cpp cannot load {gguf}")
        self.vocab_size = self.api.llama_vocab_n_tokens(self.api.llama_model_get_vocab(self.model))
        self.contexts = {n: self._context(n, threads) for n in {1, sequences}}
        self.batch = self.api.llama_batch_init(2048, 0, 1)

    def _context(self, sequences: int, threads: int) -> Any:
        options = self.api.llama_context_default_params()
        options.n_ctx = CONTEXT * sequences
        options.n_batch = 2048
        options.n_ubatch = 512
        options.n_seq_max = sequences
        options.n_threads = options.n_threads_batch = threads
        options.kv_unified = False
        return self.api.llama_init_from_model(self.model, options)

    def run(self, work: Work, batched: bool) -> list[list[int]]:
        if not batched:
            return [self._generate(self.contexts[1], work.part([i]))[0] for i in range(len(work.prompts))]
        return self._generate(self.contexts[max(self.contexts)], work)

    def _generate(self, context: Any, work: Work) -> list[list[int]]:
        self.api.llama_memory_clear(self.api.llama_get_memory(context), False)
        answers: list[list[int]] = [[] for _ in work.prompts]
        rows = [
            (token, position, sequence, position == len(prompt) - 1)
            for sequence, prompt in enumerate(work.prompts)
            for position, token in enumerate(prompt)
        ]
        for at in range(0, len(rows), 2048):
            self._decode(context, rows[at : at + 2048], answers)
        while True:
            rows = [
                (answer[-1], len(prompt) + len(answer) - 1, sequence, True)
                for sequence, (prompt, answer, length) in enumerate(
                    zip(work.prompts, answers, work.lengths, strict=True)
                )
                if len(answer) < length
            ]
            if not rows:
                return answers
            self._decode(context, rows, answers)

    def _decode(self, context: Any, rows: list[tuple[int, int, int, bool]], answers: list[list[int]]) -> None:
        batch = self.batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = wanted
        status = self.api.llama_decode(context, batch)
        if status != 0:
            raise RuntimeError(f"llama_decode returned {status}")
        for i, (_, _, sequence, wanted) in enumerate(rows):
            if wanted:
                pointer = self.api.llama_get_logits_ith(context, i)
                answers[sequence].append(int(np.ctypeslib.as_array(pointer, (self.vocab_size,)).argmax()))


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def _SILENT(level: int, text: bytes, data: int) -> None:
    del level, text, data
