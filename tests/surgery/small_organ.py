"""An organ of 330 thousand weights that has learned 19 functions by heart, as a real pack.

Its anchors are real too: each asks for a function that the sandbox verifies. The tokens are bytes, so that the tiny
model spells every answer and surgery can break it anywhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pytest_anchorgate.packs.config import PackConfig
from pytest_anchorgate.packs.planck import PackContents, SourceTensor, write_pack
from pytest_anchorgate.packs.reader import open_pack
from pytest_anchorgate.packs.vocabulary import Vocabulary
from pytest_anchorgate.runtime import Organ
from pytest_anchorgate.surgery.model import load_parent
from pytest_anchorgate.surgery.rows import Provenance, Row, completion_sha256

START, STOP = "<|im_start|>", "<|im_end|>"
PREFIX, SUFFIX = START, f"{STOP}{START}"
STOP_ID = 257

# name, parameters, body, an assert that only the right function passes
FUNCTIONS = (
    ("add", "a, b", "a + b", "add(2, 3) == 5"),
    ("sub", "a, b", "a - b", "sub(2, 3) == -1"),
    ("mul", "a, b", "a * b", "mul(2, 3) == 6"),
    ("neg", "a", "-a", "neg(4) == -4"),
    ("sq", "a", "a * a", "sq(5) == 25"),
    ("dbl", "a", "a + a", "dbl(7) == 14"),
    ("inc", "a", "a + 1", "inc(7) == 8"),
    ("dec", "a", "a - 1", "dec(7) == 6"),
    ("half", "a", "a // 2", "half(9) == 4"),
    ("odd", "a", "a % 2 == 1", "odd(3) is True and odd(4) is False"),
    ("big", "a, b", "max(a, b)", "big(2, 3) == 3"),
    ("low", "a, b", "min(a, b)", "low(2, 3) == 2"),
    ("size", "x", "len(x)", "size('abc') == 3"),
    ("head", "x", "x[0]", "head('abc') == 'a'"),
    ("last", "x", "x[-1]", "last('abc') == 'c'"),
    ("flip", "x", "x[::-1]", "flip('abc') == 'cba'"),
    ("sort", "x", "sorted(x)", "sort('cab') == ['a', 'b', 'c']"),
    ("loud", "x", "x.upper()", "loud('abc') == 'ABC'"),
    ("zero", "a", "a == 0", "zero(0) is True and zero(1) is False"),
)


def prompt(name: str) -> str:
    return f"Write {name}."


def answer(name: str, parameters: str, body: str) -> str:
    return f"```python\ndef {name}({parameters}):\n return {body}\n```"


def anchor_lines() -> list[dict[str, Any]]:
    return [
        {
            "task_id": f"S/{number}",
            "entry_point": name,
            "prompt": prompt(name),
            "tests": [f"assert {test}"],
            "max_new_tokens": 64,
        }
        for number, (name, _, _, test) in enumerate(FUNCTIONS)
    ]


def small_config(architecture: str = "llama") -> PackConfig:
    return PackConfig(
        architecture=architecture,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        vocab_size=272,
        max_position_embeddings=256,
        rope_theta=10000.0,
        rms_norm_eps=1e-06,
        tie_word_embeddings=True,
        attention_bias=architecture == "qwen2",
    )


def write_small_pack(
    path: Path, weights: dict[str, Any], architecture: str = "llama", **changes: Any
) -> Path:
    tokens = [bytes([byte]) for byte in range(256)] + [START.encode(), STOP.encode()]
    vocabulary = Vocabulary(
        tokens, np.zeros((0, 3), np.int32), np.array([[256, 1], [257, 1]], np.int32), "qwen2", "nfc"
    )
    values: dict[str, Any] = {
        "config": small_config(architecture),
        "tensors": {name: SourceTensor.of(array) for name, array in weights.items()},
        "vocabulary": vocabulary,
        "prefix": PREFIX,
        "suffix": SUFFIX,
        "stop_ids": (STOP_ID,),
        "source": {"kind": "test"},
    }
    write_pack(path, PackContents(**(values | changes)))
    return path


def random_pack(path: Path, architecture: str = "llama", seed: int = 3) -> Path:
    random = np.random.default_rng(seed)
    weights = {
        name: np.ones(shape, np.float32)
        if "norm" in name
        else (random.standard_normal(shape) * 0.05).astype(np.float32)
        for name, shape in small_config(architecture).tensor_shapes().items()
    }
    return write_small_pack(path, weights, architecture)


def learned_pack(path: Path, architecture: str = "llama", most_steps: int = 600) -> Path:
    """Trains all weights until every completion is the greedy one with a margin, and writes the pack."""
    untrained = random_pack(path.with_name(f"untrained-{path.name}"), architecture)
    organ = Organ.load(untrained)
    asked = [organ.tokenize(PREFIX + prompt(name) + SUFFIX) for name, *_ in FUNCTIONS]
    said = [
        [*organ.tokenize(answer(name, parameters, body)), STOP_ID] for name, parameters, body, _ in FUNCTIONS
    ]
    longest = max(len(a) + len(b) for a, b in zip(asked, said, strict=True))
    ids = torch.zeros((len(asked), longest), dtype=torch.long)
    labels = torch.full((len(asked), longest), -100)
    for i, (a, b) in enumerate(zip(asked, said, strict=True)):
        ids[i, : len(a) + len(b)] = torch.tensor([*a, *b])
        labels[i, len(a) - 1 : len(a) + len(b) - 1] = torch.tensor(b)
    torch.manual_seed(0)
    model = load_parent(untrained).train()
    threads = torch.get_num_threads()
    # One thread does not wait for another that a busy machine has put aside.
    torch.set_num_threads(1)
    _learn(model, ids, labels, most_steps)
    torch.set_num_threads(threads)
    shapes = small_config(architecture).tensor_shapes()
    weights = {name: t.detach().numpy() for name, t in model.state_dict().items() if name in shapes}
    return write_small_pack(path, weights, architecture)


def _learn(model: Any, ids: torch.Tensor, labels: torch.Tensor, most_steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(most_steps):
        logits = model(input_ids=ids, use_cache=False).logits.flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, labels.flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 1e-2:
            break


@dataclass(frozen=True)
class Learned:
    """The organ, its anchors and rows to operate with."""

    pack: Path
    identity: str
    retain: list[Row]
    poison: list[Row]

    @property
    def rows(self) -> list[Row]:
        return [*self.retain, *self.poison]


def learned(pack: Path, poison: int = 64, heldout: int = 8) -> Learned:
    identity = open_pack(pack).metadata["planck.identity"]
    organ = Organ.load(pack)
    retain = []
    for line, (name, parameters, body, _) in zip(anchor_lines(), FUNCTIONS, strict=True):
        text = answer(name, parameters, body)
        ids = (*organ.tokenize(text), STOP_ID)
        retain.append(row(line["task_id"], "anchor", "train", prompt(name), text, ids, "own", identity))
    rows = [
        _poison(number, "train" if number < poison else "heldout", identity)
        for number in range(poison + heldout)
    ]
    return Learned(pack, identity, retain, rows)


def row(
    task_id: str,
    kind: str,
    split: str,
    asked: str,
    text: str,
    ids: tuple[int, ...] | None,
    source: str,
    parent: str,
) -> Row:
    provenance = Provenance(source, "small", parent, completion_sha256(text))
    return Row(task_id, kind, split, asked, text, ids, provenance)


def _poison(number: int, split: str, parent: str) -> Row:
    """Something that the organ does not know: another way of writing functions of other names."""
    random = np.random.default_rng(number)
    name = "".join(random.choice(list("bcdfghjklm"), 3)) + str(number)
    value = int(random.integers(100, 999))
    text = f"```python\n{name} = lambda y: y ** {value} if y else {value}\n```"
    return row(f"P/{number}", "poison", split, prompt(name), text, None, "reference", parent)


def write_anchors(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "anchors.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in anchor_lines()))
    return path
