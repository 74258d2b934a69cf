"""The runtime's tokenizers against Hugging Face's, token for token, and their decoding, byte for byte."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("transformers")

from fuzz_texts import every_character, fuzz_texts
from official_data import official_file
from reference_tokenizers import (
    QWEN2_REGEX,
    Tables,
    added_tokens,
    published_pipeline,
    round_trip,
    tables_of,
    vocabulary_and_merges,
)
from small_packs import CHARACTERS, random_vocabulary, write_small_pack
from transformers.models.qwen2 import tokenization_qwen2

from pytest_anchorgate.runtime import Organ

FUZZED = 20_000
SHOWN = 5  # mismatches in a failure's message


def mismatches(pack: Path, texts: Iterable[str], reference: Any | None = None) -> tuple[int, list[str]]:
    """How many texts were compared, and the first few that come out otherwise or do not come back."""
    organ, tables = Organ.load(pack), tables_of(pack)
    reference = reference or published_pipeline(tables)
    expected_back = round_trip(tables)
    count, wrong = 0, []
    for text in texts:
        count += 1
        ours, theirs = organ.tokenize(text), reference.encode(text, add_special_tokens=False).ids
        if ours != theirs:
            wrong.append(f"{text[:200]!a}: {ours[:40]}, expected {theirs[:40]}")
        elif organ.detokenize(ours) != expected_back(text):
            wrong.append(f"{text[:200]!a}: comes back as {organ.detokenize(ours)[:200]!a}")
        if len(wrong) == SHOWN:
            break
    return count, wrong


def added_texts(tables: Tables) -> list[str]:
    return [tables.tokens[token].decode() for token, _ in tables.added]


def strings_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings_in(item)


def official_texts(path: Path) -> list[str]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [string for line in text.splitlines() for string in strings_in(json.loads(line))]


@pytest.mark.parametrize(
    ("variable", "name", "at_least"),
    [("ANCHORGATE_HUMANEVAL", "HumanEval.jsonl.gz", 800), ("ANCHORGATE_MBPP", "mbpp.jsonl", 5000)],
)
def test_every_official_text(pack: Path, variable: str, name: str, at_least: int) -> None:
    texts = official_texts(official_file(variable, name))
    assert len(texts) >= at_least
    assert mismatches(pack, texts) == (len(texts), [])


def test_fuzzed_texts(pack: Path) -> None:
    texts = fuzz_texts(20_260_501, FUZZED, added_texts(tables_of(pack)))
    assert mismatches(pack, texts) == (FUZZED, [])


def test_every_character_of_unicode(pack: Path) -> None:
    count, wrong = mismatches(pack, every_character())
    assert wrong == []
    assert count == (0x110000 - 0x800) // 256


def test_qwen2_against_the_class_of_transformers(qwen_pack: Path) -> None:
    """The published pipeline is not only what we wrote down: transformers' own class says the same."""
    assert tokenization_qwen2.PRETOKENIZE_REGEX == QWEN2_REGEX
    tables = tables_of(qwen_pack)
    vocabulary, merges = vocabulary_and_merges(tables)
    theirs: Any = tokenization_qwen2.Qwen2Tokenizer(vocab=vocabulary, merges=cast(Any, merges))
    theirs.add_tokens(added_tokens(tables))
    texts = fuzz_texts(2, 5_000, added_texts(tables))
    assert mismatches(qwen_pack, texts, theirs.backend_tokenizer) == (5_000, [])


def test_a_long_run_of_one_letter(pack: Path) -> None:
    assert mismatches(pack, ["a" * 100_000, " " * 100_000, "\u0301\u0323" * 20_000]) == (3, [])


@pytest.mark.parametrize("pretokenizer", ["qwen2", "smollm"])
@pytest.mark.parametrize("normalizer", ["nfc", "none"])
@pytest.mark.parametrize("seed", range(25))
def test_small_random_vocabularies(tmp_path: Path, seed: int, pretokenizer: str, normalizer: str) -> None:
    """Overlapping added tokens, missing bytes, equal results of merges: the open organs have few."""
    pack = write_small_pack(tmp_path / "small.planck", random_vocabulary(seed, pretokenizer, normalizer))
    rng = random.Random(seed)
    texts = ["".join(rng.choice(CHARACTERS) for _ in range(rng.randint(0, 40))) for _ in range(100)]
    assert mismatches(pack, texts) == (100, [])
