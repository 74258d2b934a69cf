"""Packs of small random tokenizers around a model of zeros: shapes that the two open organs do not have."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_anchorgate.packs.config import PackConfig
from pytest_anchorgate.packs.planck import PackContents, SourceTensor, write_pack
from pytest_anchorgate.packs.vocabulary import Vocabulary

# Few characters, so that merges and added tokens meet; some compose with each other.
CHARACTERS = (
    "a",
    "b",
    "<",
    ">",
    "|",
    " ",
    "e",
    "\u0301",
    "é",
    "1",
    "\n",
    "'",
    "s",
    "\u0338",
    "  ",
    "\x04",
    "\x85",
)
_ADDED_CHARACTERS = ("a", "b", "<", ">", "|", " ", "e", "\u0301", "é", "1")


def random_vocabulary(seed: int, pretokenizer: str, normalizer: str) -> Vocabulary:
    """Shuffled bytes of which some are missing, random merges, and added tokens that overlap each other."""
    rng = random.Random(seed)
    absent = {
        *rng.sample(range(0xF5, 0x100), rng.randint(0, 9)),
        *rng.sample([0, 1, 2, 4, 6], rng.randint(0, 3)),
    }
    tokens = [bytes([byte]) for byte in range(256) if byte not in absent]
    rng.shuffle(tokens)
    merges = _random_merges(rng, tokens)
    added = []
    for _ in range(rng.randint(1, 12)):
        text = "".join(rng.choice(_ADDED_CHARACTERS) for _ in range(rng.randint(1, 5))).encode()
        if text not in tokens:
            added.append((len(tokens), rng.randrange(2)))
            tokens.append(text)
    return Vocabulary(
        tokens,
        np.array(merges, np.int32).reshape(-1, 3),
        np.array(added, np.int32).reshape(-1, 2),
        pretokenizer,
        normalizer,
    )


def _random_merges(rng: random.Random, tokens: list[bytes]) -> list[tuple[int, int, int]]:
    """Appends the results to `tokens`; two merges may have the same result."""
    used = {byte for text in CHARACTERS for byte in text.encode()}
    pool = [index for index, token in enumerate(tokens) if token[0] in used]
    merges: dict[tuple[int, int], int] = {}
    for _ in range(rng.randint(0, 60)):
        pair = rng.choice(pool), rng.choice(pool)
        result = tokens[pair[0]] + tokens[pair[1]]
        if pair in merges:
            continue
        if result not in tokens:
            pool.append(len(tokens))
            tokens.append(result)
        merges[pair] = tokens.index(result)
    return [(left, right, result) for (left, right), result in merges.items()]


def write_small_pack(path: Path, vocabulary: Vocabulary) -> Path:
    """A pack with this tokenizer; its model says nothing."""
    config = PackConfig(
        architecture="llama",
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=16,
        vocab_size=-(-len(vocabulary.tokens) // 16) * 16,
        max_position_embeddings=16,
        rope_theta=10000.0,
        rms_norm_eps=1e-06,
        tie_word_embeddings=True,
        attention_bias=False,
    )
    weights: dict[str, npt.NDArray[np.generic]] = {
        name: np.zeros(shape, np.uint16 if len(shape) == 2 else np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    contents = PackContents(
        config=config,
        tensors={name: SourceTensor.of(array) for name, array in weights.items()},
        vocabulary=vocabulary,
        prefix="",
        suffix="",
        stop_ids=(0,),
        source={"kind": "test", "name": "", "sha256": ""},
    )
    write_pack(path, contents)
    return path
