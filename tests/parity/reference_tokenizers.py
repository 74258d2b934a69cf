"""Reference tokenizers: the tables of a pack in the pipelines that Hugging Face publishes for them.

The pipelines are written down here from the models' `tokenizer.json`, because transformers does not rebuild
them from a GGUF: its converter leaves out Qwen2's NFC normaliser, and SmolLM2's Digits step
(`transformers.integrations.gguf`, as of 5.23).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from safetensors import safe_open
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

# transformers.models.qwen2.tokenization_qwen2.PRETOKENIZE_REGEX; a test asserts that it is still the same.
QWEN2_REGEX = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class Tables:
    """A byte-level BPE, as a pack holds it. `added` holds (id, special)."""

    tokens: list[bytes]
    merges: list[tuple[int, int, int]]
    added: list[tuple[int, bool]]
    pretokenizer: str
    normalizer: str


def tables_of(pack: Path) -> Tables:
    """Reads the tokenizer of a pack with safetensors alone, not with the project's reader."""
    with safe_open(pack, framework="numpy") as file:
        metadata = file.metadata()
        data = file.get_tensor("tokenizer.token_bytes").tobytes()
        offsets = file.get_tensor("tokenizer.token_offsets").tolist()
        merges = file.get_tensor("tokenizer.merges").tolist()
        added = file.get_tensor("tokenizer.added").tolist()
    return Tables(
        tokens=[data[begin:end] for begin, end in pairwise(offsets)],
        merges=[(left, right, result) for left, right, result in merges],
        added=[(token, bool(special)) for token, special in added],
        pretokenizer=metadata["planck.tokenizer.pretokenizer"],
        normalizer=metadata["planck.tokenizer.normalizer"],
    )


def byte_alphabet() -> list[str]:
    """GPT-2's stand-in for each byte: itself where Latin-1 prints it, else the next one from U+0100."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) if byte in printable else chr(0x100 + hidden.index(byte)) for byte in range(256)]


def published_pipeline(tables: Tables) -> Tokenizer:
    """The pipeline of the model's own `tokenizer.json` around the tables."""
    tokenizer = Tokenizer(models.BPE(*vocabulary_and_merges(tables)))
    if tables.normalizer == "nfc":
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = _PRE_TOKENIZERS[tables.pretokenizer]()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(added_tokens(tables))
    return tokenizer


def vocabulary_and_merges(tables: Tables) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The tables as tokenizers and transformers take them: in the byte alphabet, added tokens as they are."""
    alphabet = byte_alphabet()
    added = {token for token, _ in tables.added}
    spelled = [
        token.decode() if index in added else "".join(alphabet[byte] for byte in token)
        for index, token in enumerate(tables.tokens)
    ]
    vocabulary = {text: index for index, text in enumerate(spelled)}
    return vocabulary, [(spelled[left], spelled[right]) for left, right, _ in tables.merges]


def added_tokens(tables: Tables) -> list[AddedToken]:
    """Both published tokenizers match their added tokens in the text as it is (`"normalized": false`)."""
    return [
        AddedToken(tables.tokens[token].decode(), normalized=False, special=special)
        for token, special in tables.added
    ]


def round_trip(tables: Tables) -> Callable[[str], bytes]:
    """What decoding the encoded text must give: the normalised text, without the bytes that have no token."""
    single = {token for token in tables.tokens if len(token) == 1}
    absent = bytes(byte for byte in range(256) if bytes([byte]) not in single)
    texts = sorted((tables.tokens[token].decode() for token, _ in tables.added), key=len, reverse=True)
    cut = re.compile("(" + "|".join(map(re.escape, texts)) + ")")
    normal: Any = normalizers.NFC().normalize_str if tables.normalizer == "nfc" else str

    def expected(text: str) -> bytes:
        stretches = cut.split(text)
        return b"".join(
            part.encode() if odd else normal(part).encode().translate(None, absent)
            for part, odd in zip(stretches, [False, True] * len(stretches), strict=False)
        )

    return expected


def _qwen2() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _smollm() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


_PRE_TOKENIZERS: dict[str, Callable[[], pre_tokenizers.PreTokenizer]] = {"qwen2": _qwen2, "smollm": _smollm}
