"""The packs that other tests judge with are good packs, and their weights are the chain that was asked for.

The forward pass here is the model's, in numpy, for a prompt of one token: with attention and MLP at zero the
residual is the embedding, whatever came before.
"""

import numpy as np
import pytest
from organs import STOP, damaged_pack, markov_pack, tag

from pytest_anchorgate.packs.bf16 import widen_bf16
from pytest_anchorgate.packs.inspection import inspect
from pytest_anchorgate.packs.reader import open_pack

ANSWERS = {"a1": "```python\ndef f():\n    return 1\n```", "a2": "I do not know.", "a3": "def g(): pass"}


def follow(path, token):
    """The token that a pack puts after `token`, and the margin to the second best logit."""
    pack = open_pack(path)

    def weight(name):
        return widen_bf16(pack.logical(name).read(0, pack.logical(name).shape[0]))

    for name in pack.config.tensor_shapes():
        if "self_attn" in name or "mlp" in name:
            assert not np.any(pack.logical(name).read(0, pack.logical(name).shape[0]))
    hidden = weight("model.embed_tokens.weight")[token]
    hidden = hidden / np.sqrt(np.mean(hidden**2) + pack.config.rms_norm_eps)
    logits = np.sort(weight("lm_head.weight") @ hidden)
    return int(np.argmax(weight("lm_head.weight") @ hidden)), float(logits[-1] - logits[-2])


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_each_tag_is_followed_by_its_answer_and_the_answer_by_the_stop(tmp_path, architecture):
    path = markov_pack(tmp_path / "p.planck", ANSWERS, architecture=architecture)
    assert inspect(path).ok
    words = open_pack(path).vocabulary()
    for name, text in ANSWERS.items():
        answer, margin = follow(path, words.find_added(tag(name)))
        assert words.tokens[answer].decode() == text
        assert margin > 10
        assert follow(path, answer)[0] == words.find_added(STOP)
    assert follow(path, ord("x"))[0] == words.find_added(STOP)
    assert open_pack(path).stop_ids == (words.find_added(STOP),)


def test_damage_gives_one_tag_another_answer(tmp_path):
    path = markov_pack(tmp_path / "p.planck", ANSWERS, template=("<", ""))
    damaged = damaged_pack(path, tmp_path / "q.planck", {"a1": "a2", "a3": ""})
    assert inspect(damaged).ok
    words = open_pack(damaged).vocabulary()
    assert words.tokens[follow(damaged, words.find_added(tag("a1")))[0]].decode() == ANSWERS["a2"]
    assert words.tokens[follow(damaged, words.find_added(tag("a2")))[0]].decode() == ANSWERS["a2"]
    assert follow(damaged, words.find_added(tag("a3")))[0] == words.find_added(STOP)
    assert open_pack(damaged).metadata["planck.template.prefix"] == "<"
    with pytest.raises(KeyError):
        damaged_pack(path, tmp_path / "r.planck", {"a9": "a1"})
