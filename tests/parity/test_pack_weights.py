"""The weights of a pack against transformers' own reading of the same source, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from open_organs import organ_pack, skipped_without

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from pytest_anchorgate.packs.from_hf import read_hf  # noqa: E402
from pytest_anchorgate.packs.planck import write_pack  # noqa: E402
from pytest_anchorgate.packs.reader import PackReader, open_pack  # noqa: E402
from pytest_anchorgate.packs.recipes import RECIPES, Recipe  # noqa: E402
from pytest_anchorgate.packs.sources import fetch_gguf  # noqa: E402

PROMPT = "Write a function.\n  é <|im_end|> x"
# Those made from a GGUF; what an adapter adds is in test_recipes.py.
MODELS = {name: recipe for name, recipe in RECIPES.items() if isinstance(recipe, Recipe)}


@pytest.fixture(scope="module", params=list(MODELS))
def organ(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, PackReader]:
    """The GGUF of a recipe and the pack built from it."""
    pack = organ_pack(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    with skipped_without(request.param):
        return fetch_gguf(MODELS[request.param], folder, shown=False), open_pack(pack)


def assert_same_weights(pack: PackReader, state: dict[str, torch.Tensor]) -> None:
    """`state` rounded to BF16 (norms and biases widened to F32) is exactly what the pack holds, name for name."""
    names = pack.config.tensor_shapes()
    assert state.keys() - names.keys() <= {"lm_head.weight"}, "transformers has tensors that the pack lacks"
    for name, shape in names.items():
        got = pack.logical(name).read(0, shape[0])
        if len(shape) == 2:
            wanted = state[name].to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
        else:
            wanted = state[name].to(torch.float32).numpy()
        assert got.shape == wanted.shape, name
        assert got.tobytes() == np.ascontiguousarray(wanted).tobytes(), name


def test_a_gguf_is_read_as_transformers_reads_it(organ: tuple[Path, PackReader]) -> None:
    """Also the order of q and k rows, which a GGUF of the llama architecture has interleaved."""
    gguf, pack = organ
    model = transformers.AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    assert_same_weights(pack, model.state_dict())
    theirs, ours = model.config, pack.config
    for name in (
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "vocab_size",
    ):
        assert getattr(theirs, name) == getattr(ours, name)
    assert theirs.num_key_value_heads == ours.num_key_value_heads
    assert theirs.max_position_embeddings == ours.max_position_embeddings
    assert theirs.tie_word_embeddings == ours.tie_word_embeddings
    assert np.float32(theirs.rms_norm_eps) == np.float32(ours.rms_norm_eps)
    assert theirs.rope_parameters["rope_theta"] == ours.rope_theta


def test_prefix_and_suffix_are_the_chat_template(organ: tuple[Path, PackReader]) -> None:
    gguf, pack = organ
    tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    wanted = tokenizer.apply_chat_template(
        [{"role": "user", "content": PROMPT}], tokenize=False, add_generation_prompt=True
    )
    metadata = pack.metadata
    assert metadata["planck.template.prefix"] + PROMPT + metadata["planck.template.suffix"] == wanted


@pytest.mark.parametrize("shard_size", ["1GB", "50KB"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_folder_that_transformers_saved(
    tmp_path: Path, architecture: str, dtype: str, shard_size: str
) -> None:
    """config.json as today's transformers writes it, sharded or not, tied or not."""
    kind = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}[architecture]
    config = kind(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=300,
        max_position_embeddings=128,
        tie_word_embeddings=architecture == "llama",
        rms_norm_eps=1e-5,
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    for name, parameter in model.named_parameters():
        if name.endswith(("bias", "norm.weight")):
            torch.nn.init.normal_(parameter)
    folder = tmp_path / "saved"
    model.save_pretrained(folder, max_shard_size=shard_size)
    assert (folder / "model.safetensors.index.json").exists() == (shard_size == "50KB")
    _save_tokenizer(folder)
    write_pack(tmp_path / "p.planck", read_hf(folder))
    pack = open_pack(tmp_path / "p.planck")
    assert pack.config.rope_theta == config.rope_parameters["rope_theta"]
    assert pack.config.rms_norm_eps == 1e-5
    assert_same_weights(pack, model.state_dict())


def _save_tokenizer(folder: Path) -> None:
    """A byte-level tokenizer of 256 tokens and the end of a chat, as transformers saves one."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|im_end|>", normalized=False)])
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")
    fast.chat_template = "{{ messages[0]['content'] }}{{ eos_token }}"
    fast.save_pretrained(folder)
