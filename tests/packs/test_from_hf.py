"""Hugging Face folders read into packs, and by which name each unsupported thing is refused."""

import json
import re

import numpy as np
import pytest
import tiny_models as tiny
from safetensors.numpy import save_file

from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.frame import encode_header
from pytest_anchorgate.packs.from_hf import read_hf
from pytest_anchorgate.packs.hf_tokenizer import read_tokenizer
from pytest_anchorgate.packs.planck import write_pack
from pytest_anchorgate.packs.safetensors_file import TensorEntry


@pytest.fixture(params=["llama", "qwen2"])
def model(request):
    return tiny.config(request.param)


@pytest.fixture
def folder(tmp_path, model):
    return tiny.write_hf(tmp_path / "checkpoint", model, tiny.weights(model))


def identity(contents, tmp_path):
    return write_pack(tmp_path / "p.planck", contents)


def test_the_pack_holds_the_model(tmp_path, model, folder):
    wanted = identity(tiny.contents(model, tiny.weights(model)), tmp_path)
    assert identity(read_hf(folder), tmp_path) == wanted


def test_a_sharded_checkpoint_is_the_same_pack(tmp_path, model, folder):
    whole = identity(read_hf(folder), tmp_path)
    (folder / "model.safetensors").unlink()
    arrays = tiny.weights(model)
    places = {name: f"model-0000{i % 3 + 1}-of-00003.safetensors" for i, name in enumerate(arrays)}
    for file in set(places.values()):
        save_file({name: array for name, array in arrays.items() if places[name] == file}, folder / file)
    tiny.write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": places})
    assert identity(read_hf(folder), tmp_path) == whole


def test_bf16_weights_are_copied_bit_for_bit(tmp_path, model, folder):
    whole = identity(read_hf(folder), tmp_path)
    arrays = tiny.weights(model)
    entries, data = [], b""
    for name, array in arrays.items():
        kind = "BF16" if array.ndim == 2 else "F32"
        raw = (array.view(np.uint32) >> 16).astype("<u2").tobytes() if kind == "BF16" else array.tobytes()
        entries.append(TensorEntry(name, kind, array.shape, len(data), len(data) + len(raw)))
        data += raw
    (folder / "model.safetensors").write_bytes(encode_header({}, entries) + data)
    assert identity(read_hf(folder), tmp_path) == whole


def test_the_name_of_the_folder_is_not_in_the_pack(tmp_path, folder):
    write_pack(tmp_path / "a.planck", read_hf(folder))
    write_pack(tmp_path / "b.planck", read_hf(folder.rename(tmp_path / "elsewhere")))
    assert (tmp_path / "a.planck").read_bytes() == (tmp_path / "b.planck").read_bytes()


def test_rope_parameters_of_transformers_5(tmp_path, model, folder):
    config = json.loads((folder / "config.json").read_text())
    del config["rope_theta"]
    config["rope_parameters"] = {"rope_theta": 10000.0, "rope_type": "default"}
    tiny.write_json(folder / "config.json", config)
    assert read_hf(folder).config == model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architectures": ["MistralForCausalLM"]},
            "architectures is .'MistralForCausalLM'.; the runtime has",
        ),
        ({"architectures": None}, "architectures is"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling.rope_type is 'linear'"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_scaling.rope_type is 'llama3'"),
        (
            {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6}},
            "rope_parameters.rope_type is 'yarn'",
        ),
        (
            {"rope_parameters": {"partial_rotary_factor": 0.5, "rope_theta": 1e6}},
            "partial_rotary_factor is 0.5",
        ),
        ({"use_sliding_window": True}, "use_sliding_window is True"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types is 'sliding_attention'"),
        ({"mlp_bias": True}, "mlp_bias is True"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantization_config is"),
        ({"hidden_size": "32"}, "hidden_size is '32', not a whole number"),
        ({"rms_norm_eps": None}, "rms_norm_eps is None, not a number"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings is 'no', not true or false"),
        ({"eos_token_id": "two"}, "eos_token_id is 'two'"),
    ],
)
def test_what_the_runtime_does_not_have_is_refused_by_its_field(folder, changes, message):
    tiny.change_json(folder / "config.json", **changes)
    with pytest.raises(PackSourceError, match=message) as caught:
        read_hf(folder)
    assert str(folder / "config.json") in str(caught.value)


def test_neutral_values_of_those_fields_are_fine(folder, model):
    neutral = {
        "rope_scaling": None,
        "use_sliding_window": False,
        "layer_types": ["full_attention"],
        "mlp_bias": False,
    }
    tiny.change_json(folder / "config.json", **neutral)
    assert read_hf(folder).config == model


def test_bias_and_sliding_window_of_a_llama_are_refused(tmp_path):
    model = tiny.config("llama")
    folder = tiny.write_hf(tmp_path / "m", model, tiny.weights(model), attention_bias=True)
    with pytest.raises(PackSourceError, match="attention_bias is True"):
        read_hf(folder)
    tiny.change_json(folder / "config.json", attention_bias=False, sliding_window=4096)
    with pytest.raises(PackSourceError, match="sliding_window is 4096"):
        read_hf(folder)


def test_a_tied_output_that_is_there_twice(tmp_path):
    model = tiny.config("qwen2", tie_word_embeddings=True)
    arrays = tiny.weights(model)
    bare = identity(read_hf(tiny.write_hf(tmp_path / "bare", model, arrays)), tmp_path)
    twice = arrays | {"lm_head.weight": arrays["model.embed_tokens.weight"].copy()}
    folder = tiny.write_hf(tmp_path / "twice", model, twice)
    assert identity(read_hf(folder), tmp_path) == bare
    twice["lm_head.weight"][5, 5] += 1
    folder = tiny.write_hf(tmp_path / "other", model, twice)
    with pytest.raises(PackSourceError, match=r"tie_word_embeddings is true but lm_head.weight differs"):
        read_hf(folder)


def test_an_untied_model_without_an_output_is_refused(tmp_path, model, folder):
    arrays = tiny.weights(model)
    del arrays["lm_head.weight"]
    save_file(arrays, folder / "model.safetensors")
    with pytest.raises(PackFormatError, match=r"lacks lm_head.weight"):
        identity(read_hf(folder), tmp_path)


def test_old_rope_buffers_are_left_out_and_other_tensors_refused(tmp_path, model, folder):
    whole = identity(read_hf(folder), tmp_path)
    arrays = tiny.weights(model)
    arrays["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(8, np.float32)
    save_file(arrays, folder / "model.safetensors")
    assert identity(read_hf(folder), tmp_path) == whole
    save_file(arrays | {"score.weight": np.ones((2, 2), np.float32)}, folder / "model.safetensors")
    with pytest.raises(PackFormatError, match=r"has score.weight, which this architecture does not have"):
        identity(read_hf(folder), tmp_path)


def test_integers_as_weights_are_refused(model, folder):
    arrays = tiny.weights(model) | {"lm_head.weight": np.ones((265, 32), np.int8)}
    save_file(arrays, folder / "model.safetensors")
    with pytest.raises(PackSourceError, match=r"lm_head.weight is I8; weights must be BF16, F16 or F32"):
        read_hf(folder)


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        ({"a": "../model.safetensors"}, "names the file '../model.safetensors', which is not in the folder"),
        ({"a": "gone.safetensors"}, "names the file 'gone.safetensors'"),
        ({"a": "model.safetensors"}, "a is not in model.safetensors"),
        ({"a": 1}, "weight_map does not map tensors to files"),
        (None, "weight_map does not map tensors to files"),
    ],
)
def test_an_index_that_lies_is_refused(folder, weight_map, message):
    tiny.write_json(folder / "model.safetensors.index.json", {"weight_map": weight_map})
    with pytest.raises(PackSourceError, match=message):
        read_hf(folder)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("config.json", "it has no config.json"),
        ("tokenizer.json", "it has no tokenizer.json"),
        ("model.safetensors", "it has neither model.safetensors nor"),
        ("tokenizer_config.json", "no chat template"),
    ],
)
def test_a_missing_file_is_named(folder, missing, message):
    (folder / missing).unlink()
    with pytest.raises(PackSourceError, match=message):
        read_hf(folder)


def test_a_lora_adapter_is_told_apart(folder):
    tiny.write_json(folder / "adapter_config.json", {})
    with pytest.raises(PackSourceError, match="LoRA adapter, not a model; `anchorgate surgery merge`"):
        read_hf(folder)


def test_a_damaged_weight_file_is_refused(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(PackFormatError, match="truncated"):
        read_hf(folder)


def test_templates_where_they_may_be(folder):
    tiny.change_json(
        folder / "tokenizer_config.json",
        chat_template=[
            {"name": "tools", "template": "no"},
            {"name": "default", "template": "[{{ messages[0].content }}{{ eos_token }}]"},
        ],
        eos_token={"content": "<|im_end|>"},
    )
    assert (read_hf(folder).prefix, read_hf(folder).suffix) == ("[", "<|im_end|>]")
    (folder / "chat_template.jinja").write_text("({{ messages[0].content }})")
    assert (read_hf(folder).prefix, read_hf(folder).suffix) == ("(", ")")
    assert read_hf(folder, use_template=False).prefix == ""


def test_stops_from_every_place(folder):
    tiny.write_json(folder / "generation_config.json", {"eos_token_id": [7, 8]})
    tiny.change_json(folder / "config.json", eos_token_id=9)
    assert read_hf(folder).stop_ids == (7, 8, 9, tiny.ENDOFTEXT, tiny.IM_END)


def tokenizer(tmp_path, change=None, **options):
    value = tiny.tokenizer_json(**options)
    if change is not None:
        change(value)
    tiny.write_json(tmp_path / "tokenizer.json", value)
    return read_tokenizer(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("pre", ["qwen2", "smollm"])
@pytest.mark.parametrize("merges_as_pairs", [True, False])
def test_a_tokenizer_as_it_stands_in_tokenizer_json(tmp_path, pre, merges_as_pairs):
    got, wanted = tokenizer(tmp_path, pre=pre, merges_as_pairs=merges_as_pairs), tiny.vocabulary(pre)
    assert got.tokens == wanted.tokens
    assert (got.pretokenizer, got.normalizer) == (wanted.pretokenizer, wanted.normalizer)
    assert np.array_equal(got.merges, wanted.merges)
    assert np.array_equal(got.added, wanted.added)


def test_variants_that_mean_the_same(tmp_path):
    def change(value):
        value["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}]}
        value["pre_tokenizer"]["pretokenizers"][1]["trim_offsets"] = True
        del value["model"]["ignore_merges"]
        value["model"]["continuing_subword_prefix"] = None

    assert tokenizer(tmp_path, change).pretokenizer == "qwen2"


def set_in(*keys, value):
    def change(tree):
        for key in keys[:-1]:
            tree = tree[key]
        tree[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_in("model", "type", value="Unigram"), "model.type is 'Unigram'"),
        (set_in("model", "byte_fallback", value=True), "model.byte_fallback is True"),
        (set_in("model", "ignore_merges", value=True), "model.ignore_merges is True"),
        (set_in("model", "dropout", value=0.1), "model.dropout is 0.1"),
        (set_in("model", "vocab", "a", value=98), "gives one id to two tokens"),
        (set_in("model", "vocab", "ab", value=900), "no token has the id 256"),
        (set_in("model", "vocab", "▁x", value=263), "'▁x' holds '▁'"),
        (set_in("model", "merges", value=[["a", "zz"]]), "merges row 0: 'zz' is not a token"),
        (set_in("model", "merges", value=["a b c"]), "merges row 0: 'a b c' is not a pair"),
        (set_in("model", value=None), "not as a tokenizer.json should be"),
        (set_in("normalizer", value={"type": "NFKC"}), 'the normalizer is [{"type": "NFKC"}]'),
        (
            set_in("pre_tokenizer", value={"type": "Metaspace"}),
            'the pre_tokenizer is [{"type": "Metaspace"}]',
        ),
        (set_in("pre_tokenizer", value=None), "the pre_tokenizer is []"),
        (set_in("pre_tokenizer", "pretokenizers", 1, "add_prefix_space", value=True), "the pre_tokenizer is"),
        (
            set_in("pre_tokenizer", "pretokenizers", 0, "pattern", "Regex", value=r"\w+"),
            "the pre_tokenizer is",
        ),
        (set_in("added_tokens", 0, "lstrip", value=True), "added token '<|endoftext|>' has lstrip set"),
        (set_in("added_tokens", 3, "normalized", value=True), "added token '<tool>' has normalized set"),
    ],
)
def test_other_tokenizers_are_refused_saying_what_was_found(tmp_path, change, message):
    with pytest.raises(PackSourceError, match=re.escape(message)) as caught:
        tokenizer(tmp_path, change)
    assert "\n" not in str(caught.value)


def test_an_unknown_token_matters_only_where_a_byte_is_missing(tmp_path):
    def unknown(value):
        value["model"]["unk_token"] = "<|endoftext|>"

    def unknown_and_missing(value):
        unknown(value)
        value["model"]["vocab"]["zz"] = value["model"]["vocab"].pop("z")

    def missing(value):
        value["model"]["vocab"]["zz"] = value["model"]["vocab"].pop("z")

    assert tokenizer(tmp_path, unknown).pretokenizer == "qwen2"
    assert tokenizer(tmp_path, missing).tokens[ord("z")] == b"zz"
    with pytest.raises(PackSourceError, match="some bytes have no token"):
        tokenizer(tmp_path, unknown_and_missing)
