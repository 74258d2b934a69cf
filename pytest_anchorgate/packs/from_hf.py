"""A Hugging Face checkpoint folder (safetensors, one file or sharded) as the contents of a pack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pytest_anchorgate.packs.config import PackConfig
from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.header import file_sha256
from pytest_anchorgate.packs.hf_config import read_config
from pytest_anchorgate.packs.hf_tokenizer import read_tokenizer
from pytest_anchorgate.packs.json_files import JsonFile
from pytest_anchorgate.packs.planck import PackContents, SourceTensor, row_blocks
from pytest_anchorgate.packs.safetensors_file import SafetensorsHeader, TensorEntry, read_safetensors_header
from pytest_anchorgate.packs.template import split_template
from pytest_anchorgate.packs.vocabulary import Vocabulary

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
# What a folder may hold that goes into a pack; also what is fetched from the hub.
PATTERNS = (
    *("config.json", "generation_config.json", "*.safetensors", _INDEX),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"),
)
# Buffers that old checkpoints saved; the runtime computes rope from rope_theta.
_BUFFER = re.compile(r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq")


def read_hf(folder: Path, *, use_template: bool = True) -> PackContents:
    """Reads the checkpoint in `folder`; the weights themselves are read when the pack is written.

    Args:
        folder: with config.json, model.safetensors or its index and shards, and tokenizer.json.
        use_template: whether the chat template goes into the pack; otherwise prompts reach the model as they
            are.

    Raises:
        PackSourceError: naming the file and the field or tensor that is missing or not supported.
        PackFormatError: if a weight file is damaged or a size does not fit the format.
    """
    if (folder / "adapter_config.json").exists():
        raise PackSourceError(
            f"{folder}: this is a LoRA adapter, not a model; `anchorgate surgery merge` makes a pack of it"
        )
    config = read_config(JsonFile.read(folder / "config.json"))
    vocabulary = read_tokenizer(folder / "tokenizer.json")
    settings = JsonFile.read_if_there(folder / "tokenizer_config.json")
    special = _special_tokens(folder, settings)
    prefix = suffix = ""
    if use_template:
        prefix, suffix = split_template(_chat_template(folder, settings), special)
    return PackContents(
        config=config,
        tensors=_tensors(folder, config),
        vocabulary=vocabulary,
        prefix=prefix,
        suffix=suffix,
        stop_ids=vocabulary.chat_stops(_stops(folder, vocabulary, special)),
        source={
            "kind": "huggingface",
            "name": "",
            "sha256": {name: file_sha256(folder / name) for name in _files_read(folder)},
        },
    )


def _files_read(folder: Path) -> list[str]:
    """The files that decide what is in the pack; not the folder's name: the same files are the same pack."""
    return sorted({path.name for pattern in PATTERNS for path in folder.glob(pattern)})


def _shards(folder: Path) -> Iterator[tuple[SafetensorsHeader, TensorEntry]]:
    if not (folder / _INDEX).exists():
        if not (folder / _WEIGHTS).exists():
            raise PackSourceError(
                f"{folder}: it has neither {_WEIGHTS} nor {_INDEX}; save the model with safetensors "
                "(save_pretrained does) and try again"
            )
        header = read_safetensors_header(folder / _WEIGHTS)
        yield from ((header, entry) for entry in header.entries.values())
        return
    index = JsonFile.read(folder / _INDEX)
    places = index.values.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise PackSourceError(f"{index.path}: weight_map does not map tensors to files")
    headers = {}
    for file in sorted(set(places.values())):
        if Path(file).name != file or not (folder / file).is_file():
            raise PackSourceError(f"{index.path}: it names the file {file!r}, which is not in the folder")
        headers[file] = read_safetensors_header(folder / file)
    for name, file in places.items():
        if name not in headers[file].entries:
            raise PackSourceError(f"{index.path}: {name} is not in {file}")
        yield headers[file], headers[file].entries[name]


def _tensors(folder: Path, config: PackConfig) -> dict[str, SourceTensor]:
    tensors = {}
    for header, entry in _shards(folder):
        if _BUFFER.fullmatch(entry.name):
            continue
        if entry.dtype not in ("BF16", "F16", "F32"):
            raise PackSourceError(
                f"{header.path}: {entry.name} is {entry.dtype}; weights must be BF16, F16 or F32 "
                "(quantised ones: build from a GGUF, or save the model dequantised)"
            )
        tensors[entry.name] = SourceTensor.of(header.map(entry))
    output, embedding = tensors.get("lm_head.weight"), tensors.get("model.embed_tokens.weight")
    if config.tie_word_embeddings and output is not None and embedding is not None:
        if not _equal(output, embedding):
            raise PackSourceError(
                f"{folder}: tie_word_embeddings is true but lm_head.weight differs from the embedding; "
                "set it to false if the output was trained on its own"
            )
        del tensors["lm_head.weight"]
    return tensors


def _equal(a: SourceTensor, b: SourceTensor) -> bool:
    if a.shape != b.shape:
        return False
    return all(
        np.array_equal(a.read(start, stop), b.read(start, stop)) for start, stop in row_blocks(a.shape)
    )


def _special_tokens(folder: Path, settings: JsonFile) -> dict[str, str]:
    """`eos_token` and its like by name; each is a string, or an object with the string as `content`."""
    given: dict[str, Any] = (
        JsonFile.read_if_there(folder / "special_tokens_map.json").values | settings.values
    )
    texts = {}
    for name, value in given.items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            texts[name] = text
    return texts


def _chat_template(folder: Path, settings: JsonFile) -> str:
    """The file wins over the field, as in transformers; of several templates the one called default."""
    path = folder / "chat_template.jinja"
    if path.exists():
        return path.read_text(encoding="utf-8")
    found = settings.values.get("chat_template")
    if isinstance(found, list):
        found = next((entry.get("template") for entry in found if _is_default(entry)), None)
    if not isinstance(found, str):
        raise PackSourceError(
            f"{folder}: it has no chat template, neither chat_template.jinja nor in tokenizer_config.json; "
            "--no-template builds a pack without one"
        )
    return found


def _is_default(entry: object) -> bool:
    return isinstance(entry, dict) and entry.get("name") == "default"


def _stops(folder: Path, vocabulary: Vocabulary, special: dict[str, str]) -> list[int | None]:
    stops: list[int | None] = [vocabulary.find_added(special["eos_token"])] if "eos_token" in special else []
    for name in ("generation_config.json", "config.json"):
        file = JsonFile.read_if_there(folder / name)
        given = file.values.get("eos_token_id")
        for stop in given if isinstance(given, list) else [given]:
            if stop is not None and type(stop) is not int:
                raise PackSourceError(
                    f"{file.path}: eos_token_id is {given!r:.60}, not an id or a list of ids"
                )
            stops.append(stop)
    return stops
