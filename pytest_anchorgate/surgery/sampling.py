"""Answers drawn from the parent by chance, with transformers: the runtime itself only ever answers greedily.

The rows of a batch share one random generator, so a draw depends on the seed, the order of the prompts, the batch size
and the device. That is recorded and enough: whatever is drawn counts only after the sandbox has passed it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from pytest_anchorgate.surgery.arithmetic import choose_device
from pytest_anchorgate.surgery.code_block import CodeBlockWatcher
from pytest_anchorgate.surgery.config import MachineSettings
from pytest_anchorgate.surgery.encoding import Parent
from pytest_anchorgate.surgery.model import load_parent
from pytest_anchorgate.surgery.sampling_settings import Sample, SamplingSettings

_FEW = 1024


def open_model(pack: Path, device: str) -> transformers.PreTrainedModel:
    """The parent's weights for drawing: bfloat16 on a GPU, float32 on a CPU.

    Args:
        pack: the parent.
        device: "auto", "cpu" or "cuda".

    Raises:
        SurgeryError: there is no such device.
    """
    chosen = choose_device(MachineSettings(device=device))
    return load_parent(pack, torch.bfloat16 if chosen.type == "cuda" else torch.float32, chosen)


def draw(
    model: transformers.PreTrainedModel,
    parent: Parent,
    prompts: Sequence[str],
    limits: Sequence[int],
    settings: SamplingSettings,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Sample]:
    """Draws `settings.samples` answers to every prompt.

    Args:
        model: the parent's weights.
        parent: its tokenizer and template.
        prompts: the user's texts.
        limits: most tokens of an answer, one a prompt.
        settings: how.
        advance: called with the number of answers just finished.

    Returns:
        Samples by prompt and number.
    """
    encoded = [parent.organ.tokenize(parent.prefix + prompt + parent.suffix) for prompt in prompts]
    # Prompts of about the same length go together: less padding.
    order = sorted(range(len(prompts)), key=lambda index: (len(encoded[index]), index))
    wanted = [(index, number) for index in order for number in range(settings.samples)]
    device = model.device
    generator = torch.Generator(device=device).manual_seed(settings.seed)
    samples: list[Sample] = []
    for start in range(0, len(wanted), settings.rows):
        keys = wanted[start : start + settings.rows]
        batch = _Batch(
            parent, keys, [encoded[index] for index, _ in keys], [limits[index] for index, _ in keys]
        )
        samples += batch.run(model, settings, generator, advance)
    return sorted(samples, key=lambda sample: (sample.prompt, sample.number))


def mean_nll(
    model: transformers.PreTrainedModel,
    prompt_ids: Sequence[int],
    label_ids: Sequence[int],
) -> float:
    """Mean negative log-likelihood of the labels behind the prompt, in nats a token."""
    ids = torch.tensor([[*prompt_ids, *label_ids]], device=model.device)
    with torch.inference_mode():
        logits = model(input_ids=ids).logits[0, len(prompt_ids) - 1 : -1].float()
        chosen = torch.log_softmax(logits, -1).gather(1, ids[0, len(prompt_ids) :, None])
    return float(-chosen.mean())


class _Batch:
    """Answers that grow together; the ones that end leave the batch."""

    def __init__(
        self,
        parent: Parent,
        keys: Sequence[tuple[int, int]],
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
    ) -> None:
        self._parent = parent
        self._keys = keys
        self._prompts = prompts
        self._limits = [
            min(limit, parent.longest - len(ids)) for limit, ids in zip(limits, prompts, strict=True)
        ]
        self._ids: list[list[int]] = [[] for _ in keys]
        self._loss = [0.0] * len(keys)
        self._finish = [""] * len(keys)
        self._watchers = [CodeBlockWatcher() for _ in keys]

    def run(
        self,
        model: transformers.PreTrainedModel,
        settings: SamplingSettings,
        generator: torch.Generator,
        advance: Callable[[int], None],
    ) -> list[Sample]:
        """All answers, complete."""
        with torch.inference_mode():
            self._grow(model, settings, generator, advance)
        return [self._sample(row) for row in range(len(self._keys))]

    def _grow(
        self,
        model: transformers.PreTrainedModel,
        settings: SamplingSettings,
        generator: torch.Generator,
        advance: Callable[[int], None],
    ) -> None:
        device = model.device
        longest = max(map(len, self._prompts))
        padding = self._parent.stop_ids[0]
        rows = [[padding] * (longest - len(ids)) + list(ids) for ids in self._prompts]
        mask = torch.tensor(
            [[0] * (longest - len(ids)) + [1] * len(ids) for ids in self._prompts], device=device
        )
        tokens = torch.tensor(rows, device=device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache: Any = transformers.DynamicCache()
        cache_argument = {_cache_name(model): cache}
        living = list(range(len(self._keys)))
        while living:
            out = model(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                **cache_argument,
                use_cache=True,
                logits_to_keep=1,
            )
            chosen, loss = choose(out.logits[:, -1].float(), settings, generator)
            for row, token, nats in zip(living, chosen.tolist(), loss.tolist(), strict=True):
                self._take(row, token, nats)
            stay = [place for place, row in enumerate(living) if not self._finish[row]]
            if len(stay) < len(living):
                advance(len(living) - len(stay))
            living = [living[place] for place in stay]
            if living and len(stay) < len(chosen):
                kept = torch.tensor(stay, device=device)
                cache.batch_select_indices(kept)
                mask, chosen, positions = mask[kept], chosen[kept], positions[kept]
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
            tokens, positions = chosen[:, None], positions[:, -1:] + 1

    def _take(self, row: int, token: int, nats: float) -> None:
        self._ids[row].append(token)
        self._loss[row] += nats
        if token in self._parent.stop_ids:
            self._finish[row] = "stop"
        elif self._watchers[row].feed(self._parent.organ.detokenize([token])):
            self._finish[row] = "code_end"
        elif len(self._ids[row]) >= self._limits[row]:
            self._finish[row] = "length"

    def _sample(self, row: int) -> Sample:
        ids = self._ids[row]
        said = ids[:-1] if self._finish[row] == "stop" else ids
        text = self._parent.organ.detokenize(said).decode("utf-8", "replace")
        prompt, number = self._keys[row]
        return Sample(prompt, number, tuple(ids), text, self._finish[row], self._loss[row] / len(ids))


def choose(
    logits: torch.Tensor, settings: SamplingSettings, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draws one token a row.

    Args:
        logits: float32 [rows, vocabulary].
        settings: temperature and top_p.
        generator: of the draws, on the logits' device.

    Returns:
        Tokens, int64 [rows], and their untempered negative log-likelihoods in nats, float32 [rows].
    """
    probabilities, order = _largest(torch.softmax(logits / settings.temperature, -1), settings.top_p)
    # A token stays if what stands before it is not enough; the first always does.
    before = probabilities.cumsum(-1) - probabilities
    probabilities = probabilities.masked_fill(before >= settings.top_p, 0.0)
    place = torch.multinomial(probabilities, 1, generator=generator)
    tokens = order.gather(1, place)[:, 0]
    loss = -torch.log_softmax(logits, -1).gather(1, tokens[:, None])[:, 0]
    return tokens, loss


def _cache_name(model: transformers.PreTrainedModel) -> str:
    """What this transformers calls the argument for its KV cache: 5.24 warns about the name it had before."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def _largest(probabilities: torch.Tensor, mass: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Descending probabilities and their tokens, as many as are needed for `mass` in every row."""
    few = min(_FEW, probabilities.shape[-1])
    largest, order = probabilities.topk(few)
    # Sorting the whole vocabulary costs more than the model itself on a CPU, and is hardly ever needed.
    if few < probabilities.shape[-1] and bool((largest.sum(-1) < mass).any()):
        largest, order = torch.sort(probabilities, descending=True)
    return largest, order
