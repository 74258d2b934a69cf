"""The Python face of the compiled organ runtime.

    organ = Organ.load("candidate.planck")
    completion = organ.generate(["Write a Python function `add(x, y)`."])[0]

Results depend on the pack and the arguments alone: not on threads, batch, order, chunking or instruction
set (docs/determinism.md, cpp_bridge/src/numerics.h).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

try:
    from pytest_anchorgate import _organ
except ImportError as error:
    raise ImportError(
        f"the compiled runtime is missing from {__package__} ({error}); "
        "run `pip install .`, and start pytest as `pytest`, which does not import from the current folder"
    ) from None
from pytest_anchorgate._organ import Cancelled, NumericsError, OrganError, PackError, TextError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "Cancelled",
    "Completion",
    "LoadedOrgan",
    "NumericsError",
    "Organ",
    "OrganError",
    "OrganManager",
    "PackError",
    "Progress",
    "Score",
    "TextError",
]

Draft = str | Sequence[int] | None


@dataclass(frozen=True, slots=True)
class Score:
    """Teacher-forced rating of a completion, one entry a token.

    Attributes:
        log_probabilities: Natural logarithm of the token's probability.
        margins: The token's logit minus the largest logit of any other token; negative where the organ
            prefers another.
    """

    log_probabilities: list[float]
    margins: list[float]


@dataclass(frozen=True, slots=True)
class Completion:
    """What the organ answered to one prompt.

    Attributes:
        text: The completion; bytes that are not UTF-8 (a character cut by the limit) are shown as U+FFFD.
        token_ids: Its tokens, without the stop token.
        margins: A token: its logit minus the second largest logit there.
        finish_reason: "stop" (a stop id), "length" (the limit) or "code_end" (the answer's code block was closed).
        accepted_draft_tokens: How many tokens of the draft the organ chose itself.
        prompt_tokens: Length of the prompt with its template.
        draft_score: What `score` would say of the draft (of as much of it as the limit allows); it comes for free
            with the check. Empty without a draft.
    """

    text: str
    token_ids: list[int]
    margins: list[float]
    finish_reason: str
    accepted_draft_tokens: int
    prompt_tokens: int
    draft_score: Score


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running `generate` is. `seconds` since it began; tokens over all prompts."""

    finished: int
    total: int
    prompt_tokens: int
    generated_tokens: int
    seconds: float


class Organ:
    """One loaded pack. Any thread may call its methods; long ones run one after the other, without the GIL."""

    def __init__(self, core: _organ.Organ) -> None:
        self._core = core

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        threads: int | None = None,
        *,
        isa: str | None = None,
        prefill_chunk: int = 256,
    ) -> Organ:
        """Map a pack and check it.

        Args:
            path: A `.planck` file.
            threads: Threads to compute with; by default as many as this process may run on.
            isa: "scalar", "avx2" or "avx512"; by default `ANCHORGATE_ISA`, else the widest this processor has.
            prefill_chunk: Rows of one prefill pass. None of these three changes a bit of any result.

        Raises:
            PackError: The file is no pack, is damaged, or asks for something this runtime does not support.
            OrganError: `threads`, `isa` or `prefill_chunk` cannot be had.
        """
        return cls(_organ.Organ(os.fspath(path), threads or 0, _chosen_isa(isa), prefill_chunk))

    @cached_property
    def info(self) -> dict[str, str | int]:
        """The pack and how it runs.

        Keys: pack_sha256 (of the very bytes that are mapped), identity, architecture, numerics, layout, isa,
        threads, parameters, vocab_size, max_positions.
        """
        return {"pack_sha256": hashlib.sha256(self._core.pack_bytes()).hexdigest(), **self._core.info()}

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text; special tokens written in it are recognised.

        Raises:
            TextError: The text holds a lone surrogate.
        """
        return self._core.tokenize(_utf8(text, "text"))

    def detokenize(self, ids: Sequence[int]) -> bytes:
        """The exact bytes of a list of tokens, special tokens as their text.

        Raises:
            TextError: An id is outside the vocabulary.
        """
        return self._core.detokenize(ids)

    def generate(
        self,
        prompts: Sequence[str],
        max_new_tokens: int | Sequence[int] = 256,
        drafts: Sequence[Draft] | None = None,
        raw: bool = False,
        *,
        progress: Callable[[Progress], None] | None = None,
    ) -> list[Completion]:
        """Decode greedily, all prompts in one ragged batch.

        Args:
            prompts: One text each.
            max_new_tokens: The limit, one for all or one a prompt.
            drafts: For each prompt a guess of its completion (text, token ids or None). It is checked in one
                pass and used as far as the organ agrees: a good guess makes the call faster, no guess
                changes its result.
            raw: Take the prompts as they are and stop only at stop ids and the limit. Otherwise the pack's
                template goes around each prompt, and a completion also ends where the answer's code block
                is closed.
            progress: Called every 50 ms or so, and at the end.

        Returns:
            One completion a prompt, in order.

        Raises:
            TextError: A prompt is too long, empty, or holds a lone surrogate.
            NumericsError: A logit was NaN or infinite: the weights are broken.
            Cancelled: `cancel` was called.
        """
        started = time.monotonic()
        limits = [max_new_tokens] * len(prompts) if isinstance(max_new_tokens, int) else list(max_new_tokens)
        guesses: Sequence[Draft] = [None] * len(prompts) if drafts is None else drafts
        for name, given in (("max_new_tokens", limits), ("drafts", guesses)):
            if len(given) != len(prompts):
                raise ValueError(f"{name}: {len(given)} given for {len(prompts)} prompts")

        def report(finished: int, total: int, prompt_tokens: int, generated_tokens: int) -> None:
            assert progress is not None
            progress(Progress(finished, total, prompt_tokens, generated_tokens, time.monotonic() - started))

        completions = self._core.generate(
            [_utf8(prompt, f"prompts[{i}]") for i, prompt in enumerate(prompts)],
            limits,
            [self._draft_ids(draft) for draft in guesses],
            raw,
            report if progress else None,
        )
        return [
            Completion(
                text=c.text.decode("utf-8", "replace"),
                token_ids=c.token_ids,
                margins=c.margins,
                finish_reason=c.finish_reason,
                accepted_draft_tokens=c.accepted_draft_tokens,
                prompt_tokens=c.prompt_tokens,
                draft_score=Score(c.draft_score.log_probabilities, c.draft_score.margins),
            )
            for c in completions
        ]

    def logits(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Logits after each token: float32 of shape [len(ids), vocab_size].

        Raises:
            TextError: No ids, too many, or one outside the vocabulary.
            NumericsError: A logit was NaN or infinite.
        """
        return self._core.logits(ids)

    def score(self, prompt_ids: Sequence[int], completion_ids: Sequence[int]) -> Score:
        """Rate a given completion token by token (teacher forcing).

        Raises:
            TextError: No prompt, too many tokens, or an id outside the vocabulary.
            NumericsError: A logit was NaN or infinite.
        """
        score = self._core.score(prompt_ids, completion_ids)
        return Score(score.log_probabilities, score.margins)

    def cancel(self) -> None:
        """End the call that another thread is running, if any; it raises Cancelled."""
        self._core.cancel()

    def _draft_ids(self, draft: Draft) -> Sequence[int]:
        if draft is None:
            return []
        return self.tokenize(draft) if isinstance(draft, str) else draft


@dataclass(frozen=True, slots=True)
class LoadedOrgan:
    """What stands behind a name of an OrganManager.

    Attributes:
        path: as it was given to `load`.
        pack_sha256: of the mapped bytes.
        previous_sha256: of the pack that `revert` would bring back; "" if there is none.
    """

    name: str
    path: str
    pack_sha256: str
    previous_sha256: str


class OrganManager:
    """Named organs that can be replaced while they answer.

    Any thread may call any method, without the GIL. A switch is whole: `get` gives the old pack or the new
    one, and an organ that was handed out stays as it is for as long as it is held.
    """

    def __init__(self) -> None:
        self._core = _organ.OrganManager()

    def load(
        self,
        name: str,
        path: str | os.PathLike[str],
        threads: int | None = None,
        *,
        isa: str | None = None,
        prefill_chunk: int = 256,
    ) -> None:
        """Load a pack beside the present one, then switch the name to it; the present one becomes the previous.

        Arguments and errors as for `Organ.load`. After an error everything is as it was.
        """
        self._core.load(_utf8(name, "name"), os.fspath(path), threads or 0, _chosen_isa(isa), prefill_chunk)

    def revert(self, name: str) -> None:
        """Switch back to the previous pack, which is still loaded; a second call undoes the first.

        Raises:
            OrganError: There is no such organ, or no previous pack.
        """
        self._core.revert(_utf8(name, "name"))

    def get(self, name: str) -> Organ:
        """The organ for one request. Raises OrganError naming what is loaded."""
        return Organ(self._core.get(_utf8(name, "name")))

    def unload(self, name: str) -> None:
        """Forget the name; organs that are still held go on. Raises OrganError if there is no such organ."""
        self._core.unload(_utf8(name, "name"))

    def loaded(self) -> list[LoadedOrgan]:
        """All organs, by name."""
        return [
            LoadedOrgan(one.name, one.path, one.pack_sha256, one.previous_sha256)
            for one in self._core.loaded()
        ]


def _chosen_isa(isa: str | None) -> str:
    return isa or os.environ.get("ANCHORGATE_ISA") or "auto"


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TextError(f"{what}: a lone surrogate at character {error.start} is no text") from None
