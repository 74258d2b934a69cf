"""The tokenizer of a GGUF file as the vocabulary of a pack."""

from __future__ import annotations

import numpy as np

from pytest_anchorgate.packs.byte_alphabet import spelled_to_bytes
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.gguf_metadata import GgufMetadata
from pytest_anchorgate.packs.vocabulary import PRETOKENIZERS, Vocabulary, merge_table

# gguf.TokenType: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5
# GGUF has no field for a normaliser. Qwen2's tokenizer.json has NFC, smollm's has none; llama.cpp normalises
# neither, and so differs from Hugging Face on a text that is not in NFC. A pack follows the model's own
# tokenizer.
_NORMALIZER = {"qwen2": "nfc", "smollm": "none"}


def read_tokenizer(metadata: GgufMetadata) -> Vocabulary:
    """The vocabulary, merges and added tokens of the file.

    Tokens at the end that only fill up the embedding (`[PAD151935]`, type unused) are no tokens and are left
    out.

    Raises:
        PackSourceError: for a tokenizer that is not byte-level BPE with a known pre-tokenizer.
    """
    path = metadata.path
    model, pretokenizer = metadata.need("tokenizer.ggml.model", str), metadata.need("tokenizer.ggml.pre", str)
    if model != "gpt2" or pretokenizer not in PRETOKENIZERS:
        raise PackSourceError(
            f"{path}: tokenizer.ggml.model is {model!r} with tokenizer.ggml.pre {pretokenizer!r}; "
            f"known are 'gpt2' with {' or '.join(map(repr, PRETOKENIZERS))}"
        )
    spelled: list[str] = metadata.need_list("tokenizer.ggml.tokens", str)
    kinds: list[int] = metadata.need_list("tokenizer.ggml.token_type", int)
    merges: list[str] = metadata.need_list("tokenizer.ggml.merges", str)
    if len(kinds) != len(spelled):
        raise PackSourceError(
            f"{path}: tokenizer.ggml.token_type has {len(kinds)} entries for {len(spelled)} tokens"
        )
    while kinds and kinds[-1] == _UNUSED:
        kinds.pop()
    tokens = [_token_bytes(metadata, spelled[i], i, kind) for i, kind in enumerate(kinds)]
    added = [(i, int(kind == _CONTROL)) for i, kind in enumerate(kinds) if kind in (_CONTROL, _USER_DEFINED)]
    ids = {spelled[i]: i for i, kind in enumerate(kinds) if kind == _NORMAL}
    pairs = [tuple(merge.split(" ")) for merge in merges]
    try:
        table = merge_table(pairs, ids)
        return Vocabulary(
            tokens, table, np.array(added, np.int32).reshape(-1, 2), pretokenizer, _NORMALIZER[pretokenizer]
        )
    except PackFormatError as error:
        raise PackSourceError(f"{path}: {error}") from None


def _token_bytes(metadata: GgufMetadata, spelled: str, index: int, kind: int) -> bytes:
    if kind == _NORMAL:
        return spelled_to_bytes(spelled)
    if kind in (_CONTROL, _USER_DEFINED, _UNUSED):
        return spelled.encode()
    raise PackSourceError(
        f"{metadata.path}: token {index} ({spelled!r}) is of type {kind}, not one of a byte-level BPE"
    )
