"""Writes a pack as a Hugging Face folder (float32), for the engines that convert from one.

The parameters are those of the parity tests' reference model: the pack's BF16 weights, widened exactly. The benchmark
feeds token ids, so the tokenizer is a dummy vocabulary of the right size in which token i is the word `<i>`.
"""

from __future__ import annotations

import json
from pathlib import Path


def export(pack: Path, folder: Path) -> Path:
    """Writes `folder` unless it is there already."""
    finished = folder / "tokenizer_config.json"
    if finished.exists():
        return folder
    from tokenizers import Tokenizer, models

    from tests.parity.reference_model import load_reference

    model = load_reference(pack)
    model.save_pretrained(folder)
    vocabulary = {f"<{i}>": i for i in range(model.config.vocab_size)}
    Tokenizer(models.WordLevel(vocabulary, unk_token="<0>")).save(str(folder / "tokenizer.json"))
    # Last, so that a half-written folder is not taken for a whole one.
    special = {f"{kind}_token": "<0>" for kind in ("bos", "eos", "pad", "unk")}
    finished.write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **special}))
    return folder
