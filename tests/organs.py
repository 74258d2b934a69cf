"""Tiny real packs that answer as they are told: a Markov chain over tokens, in the real container for the
real engine.

Embeddings are one-hot, the single layer adds nothing, and row n of lm_head holds a 1 in column c where token
n follows token c. So each logit is 0 but one, which is sqrt(hidden_size), and the engine's greedy answer is
certain.

    pack = markov_pack(tmp_path / "p.planck", {"a1": "```python\\ndef f(): ...\\n```", "a2": "..."})
    ... a prompt that ends in tag("a1") is answered with the first text, then the stop token ...
    damaged_pack(pack, tmp_path / "q.planck", {"a1": "a2"})     # now a1 is answered with the text of a2
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_anchorgate.packs.planck import PackConfig, PackContents, SourceTensor, write_pack
from pytest_anchorgate.packs.reader import open_pack
from pytest_anchorgate.packs.vocabulary import Vocabulary

STOP = "<|end|>"
_ONE = np.uint16(0x3F80)


def tag(name: str) -> str:
    """The text of the token that asks for the answer `name`; a prompt ends with it."""
    return f"<|{name}|>"


def markov_pack(
    path: Path,
    answers: Mapping[str, str],
    *,
    template: tuple[str, str] = ("", ""),
    architecture: str = "llama",
) -> Path:
    """Writes a pack that answers a prompt ending in `tag(name)` with exactly `answers[name]`, and stops.

    Every other last token is answered with the stop token alone. Each answer is one token. Answers may not be
    equal to each other (two tokens of the same text cannot be told apart); `damaged_pack` gives one answer to
    two tags.

    Args:
        path: where to write it.
        answers: name to text.
        template: prefix and suffix around the prompt; the suffix should be "" or end in a tag.
        architecture: "llama", or "qwen2" which adds q/k/v biases of zero.
    """
    tokens = [bytes([byte]) for byte in range(256)]
    follows: dict[int, int] = {}
    for name, text in answers.items():
        follows[len(tokens)] = len(tokens) + 1
        tokens += [tag(name).encode(), text.encode()]
    stop = len(tokens)
    tokens.append(STOP.encode())
    size = -(-len(tokens) // 16) * 16
    config = PackConfig(
        architecture=architecture,
        hidden_size=size,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=16,
        vocab_size=size,
        max_position_embeddings=8192,
        rope_theta=10000.0,
        rms_norm_eps=1e-06,
        tie_word_embeddings=False,
        attention_bias=architecture == "qwen2",
    )
    weights: dict[str, npt.NDArray[np.generic]] = {
        name: np.zeros(shape, np.uint16 if len(shape) == 2 else np.float32)
        for name, shape in config.tensor_shapes().items()
    }
    for name in weights:
        if name.endswith("norm.weight"):
            weights[name] = np.ones(size, np.float32)
    weights["model.embed_tokens.weight"] = np.eye(size, dtype=np.uint16) * _ONE
    head = np.zeros((size, size), np.uint16)
    for current in range(size):
        head[follows.get(current, stop), current] = _ONE
    weights["lm_head.weight"] = head
    added = np.array([(i, int(i in follows or i == stop)) for i in range(256, len(tokens))], np.int32)
    contents = PackContents(
        config=config,
        tensors={name: SourceTensor.of(array) for name, array in weights.items()},
        vocabulary=Vocabulary(tokens, np.zeros((0, 3), np.int32), added, "qwen2", "nfc"),
        prefix=template[0],
        suffix=template[1],
        stop_ids=(stop,),
        source={"kind": "markov", "name": "", "sha256": ""},
    )
    write_pack(path, contents)
    return path


def damaged_pack(pack: Path, path: Path, swaps: Mapping[str, str]) -> Path:
    """Writes `pack` with other answers: for each name, the answer of another name, or "" for none."""
    contents = open_pack(pack).contents()
    head = contents.tensors["lm_head.weight"].read(0, contents.config.vocab_size).copy()
    for name, other in swaps.items():
        asked = contents.vocabulary.find_added(tag(name))
        given = contents.vocabulary.find_added(tag(other)) if other else None
        if asked is None or (other and given is None):
            raise KeyError(f"{pack} has no answer {name} or {other}")
        head[:, asked] = 0
        head[contents.stop_ids[0] if given is None else given + 1, asked] = _ONE
    tensors = {**contents.tensors, "lm_head.weight": SourceTensor.of(head)}
    changed = PackContents(
        config=contents.config,
        tensors=tensors,
        vocabulary=contents.vocabulary,
        prefix=contents.prefix,
        suffix=contents.suffix,
        stop_ids=contents.stop_ids,
        source=contents.source,
    )
    write_pack(path, changed)
    return path
