"""`tokenizer.json` as the vocabulary of a pack: byte-level BPE with one of the runtime's two pipelines.

The pipelines are recognised by their structure, not by a name: a `tokenizer_class` says little about what is
done.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pytest_anchorgate.packs.byte_alphabet import BYTE_OF, spelled_to_bytes
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.json_files import JsonFile
from pytest_anchorgate.packs.vocabulary import Vocabulary, merge_table

_QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# `use_regex` of the ByteLevel step is GPT-2's own splitting.
_PIPELINES: dict[str, list[dict[str, Any]]] = {
    "qwen2": [
        {"type": "Split", "pattern": {"Regex": _QWEN2_PATTERN}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
    ],
    "smollm": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
    ],
}
_PLAIN_BPE = {
    "dropout": (None, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
    "ignore_merges": (None, False),
}


def read_tokenizer(path: Path) -> Vocabulary:
    """The vocabulary in the `tokenizer.json` at `path`.

    Raises:
        PackSourceError: for a pipeline that the runtime does not have, saying what was found.
    """
    file = JsonFile.read(path)
    try:
        return _read(file)
    except PackFormatError as error:
        raise PackSourceError(f"{path}: {error}") from None
    except PackSourceError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
        raise PackSourceError(
            f"{path}: not as a tokenizer.json should be: {type(error).__name__} {error}"
        ) from None


def _read(file: JsonFile) -> Vocabulary:
    model = file.values["model"]
    if model.get("type", "BPE") != "BPE":
        raise PackSourceError(f"{file.path}: model.type is {model['type']!r}; known is 'BPE'")
    for field, allowed in _PLAIN_BPE.items():
        if model.get(field) not in allowed:
            raise PackSourceError(
                f"{file.path}: model.{field} is {model[field]!r}, which the runtime does not support"
            )
    ids: dict[str, int] = model["vocab"]
    _refuse_unknown_token(file, ids, model.get("unk_token"))
    normalizer = _normalizer(file)
    added = sorted(_added(file, entry, normalizer) for entry in file.values.get("added_tokens") or [])
    texts = {index: text.encode() for index, text, _ in added}
    tokens = {index: spelled_to_bytes(spelled) for spelled, index in ids.items() if index not in texts}
    if len(tokens) + sum(text in ids for _, text, _ in added) != len(ids):
        raise PackSourceError(f"{file.path}: model.vocab gives one id to two tokens")
    tokens |= texts
    gap = next((i for i in range(len(tokens)) if i not in tokens), None)
    if gap is not None:
        raise PackSourceError(f"{file.path}: no token has the id {gap}, though later ids are in use")
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    return Vocabulary(
        tokens=[tokens[i] for i in range(len(tokens))],
        merges=merge_table(merges, ids),
        added=np.array([(index, special) for index, _, special in added], np.int32).reshape(-1, 2),
        pretokenizer=_pretokenizer(file),
        normalizer=normalizer,
    )


def _refuse_unknown_token(file: JsonFile, ids: dict[str, int], unknown: str | None) -> None:
    """With an unknown token a byte that has no token becomes it; the runtime drops such a byte instead."""
    if unknown is not None and any(character not in ids for character in BYTE_OF):
        raise PackSourceError(
            f"{file.path}: model.unk_token is {unknown!r} and some bytes have no token, which the runtime "
            "does not support"
        )


def _added(file: JsonFile, entry: dict[str, Any], normalizer: str) -> tuple[int, str, int]:
    text = entry["content"]
    flags = [flag for flag in ("lstrip", "rstrip", "single_word") if entry.get(flag)]
    if entry.get("normalized") and normalizer != "none":
        flags.append("normalized")
    if flags:
        raise PackSourceError(
            f"{file.path}: the added token {text!r} has {flags[0]} set, which the runtime does not support"
        )
    return int(entry["id"]), text, int(bool(entry["special"]))


def _normalizer(file: JsonFile) -> str:
    found = _steps(file.values.get("normalizer"), "normalizers")
    if found == []:
        return "none"
    if found == [{"type": "NFC"}]:
        return "nfc"
    raise PackSourceError(f"{file.path}: the normalizer is {_shown(found)}; known are none and NFC")


def _pretokenizer(file: JsonFile) -> str:
    found = [_essence(step) for step in _steps(file.values.get("pre_tokenizer"), "pretokenizers")]
    for name, pipeline in _PIPELINES.items():
        if found == pipeline:
            return name
    raise PackSourceError(
        f"{file.path}: the pre_tokenizer is {_shown(found)}; the runtime has those of "
        f"{' and '.join(_PIPELINES)}"
    )


def _steps(node: dict[str, Any] | None, children: str) -> list[dict[str, Any]]:
    """A pipeline as a flat list, nested sequences unfolded."""
    if node is None:
        return []
    if node["type"] == "Sequence":
        return [step for child in node[children] for step in _steps(child, children)]
    return [node]


def _essence(step: dict[str, Any]) -> dict[str, Any]:
    """A step without what does not change tokens (`trim_offsets`) and with the default it may leave out."""
    kept = {key: value for key, value in step.items() if key != "trim_offsets"}
    if step["type"] == "ByteLevel":
        kept.setdefault("use_regex", True)
    return kept


def _shown(steps: list[dict[str, Any]]) -> str:
    return json.dumps(steps, ensure_ascii=False)[:300]
