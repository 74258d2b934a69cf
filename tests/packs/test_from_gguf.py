"""GGUF files written by the reference package, read into packs."""

import contextlib
import hashlib

import gguf
import numpy as np
import pytest
import tiny_models as tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_anchorgate.packs.bf16 import round_to_bf16
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.from_gguf import read_gguf
from pytest_anchorgate.packs.planck import write_pack
from pytest_anchorgate.packs.reader import open_pack

KINDS = gguf.GGMLQuantizationType


def read(path, **options):
    return read_gguf(path, hashlib.sha256(path.read_bytes()).hexdigest(), **options)


@pytest.mark.parametrize("kind", [KINDS.BF16, KINDS.F16, KINDS.F32])
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_the_pack_holds_the_model(tmp_path, architecture, kind):
    """Rotated q and k rows put back, biases, norms, names, hyperparameters and tokenizer: all by one identity."""
    model = tiny.config(architecture)
    # Of few bits, so that each kind holds them exactly.
    arrays = {name: np.round(array * 8) / 8 for name, array in tiny.weights(model).items()}
    got = read(tiny.write_gguf(tmp_path / "m.gguf", model, arrays, kind=kind))
    assert got.config == model
    wanted = write_pack(tmp_path / "wanted.planck", tiny.contents(model, arrays))
    assert write_pack(tmp_path / "got.planck", got) == wanted


@pytest.mark.parametrize("kind", [KINDS.Q8_0, KINDS.Q4_1, KINDS.Q5_0])
def test_quantised_weights_are_widened_then_rounded_once(tmp_path, kind):
    model = tiny.config("qwen2")
    arrays = tiny.weights(model)
    write_pack(tmp_path / "p.planck", read(tiny.write_gguf(tmp_path / "m.gguf", model, arrays, kind=kind)))
    pack = open_pack(tmp_path / "p.planck")
    for name, array in arrays.items():
        if array.ndim == 2:
            exact = gguf.quants.dequantize(gguf.quants.quantize(array, kind), kind)
            assert np.array_equal(pack.logical(name).read(0, len(array)), round_to_bf16(exact)), name


def test_a_tied_output_is_one_without_a_tensor(tmp_path):
    model = tiny.config(tie_word_embeddings=True)
    got = read(tiny.write_gguf(tmp_path / "m.gguf", model, tiny.weights(model)))
    assert got.config.tie_word_embeddings
    assert "lm_head.weight" not in got.tensors


def test_the_same_bytes_whatever_the_file_is_called(tmp_path):
    model = tiny.config()
    one = tiny.write_gguf(tmp_path / "one.gguf", model, tiny.weights(model))
    (tmp_path / "sub").mkdir()
    two = one.rename(tmp_path / "sub" / "two.gguf")
    two_again = tiny.write_gguf(one, model, tiny.weights(model))
    write_pack(tmp_path / "a.planck", read(two))
    write_pack(tmp_path / "b.planck", read(two_again))
    assert (tmp_path / "a.planck").read_bytes() == (tmp_path / "b.planck").read_bytes()


def test_tokens_that_only_fill_up_the_embedding_are_left_out(tmp_path):
    model = tiny.config(vocab_size=272)
    got = read(tiny.write_gguf(tmp_path / "m.gguf", model, tiny.weights(model)))
    assert got.config.vocab_size == 272
    assert len(got.vocabulary.tokens) == len(tiny.TOKENS)


@pytest.mark.parametrize(("architecture", "normalizer"), [("llama", "none"), ("qwen2", "nfc")])
def test_the_normaliser_is_that_of_the_model(tmp_path, architecture, normalizer):
    model = tiny.config(architecture)
    got = read(tiny.write_gguf(tmp_path / "m.gguf", model, tiny.weights(model)))
    assert got.vocabulary.normalizer == normalizer


def test_template_and_stops(tmp_path):
    model = tiny.config()
    path = tiny.write_gguf(tmp_path / "m.gguf", model, tiny.weights(model))
    got = read(path)
    assert (got.prefix, got.suffix) == (tiny.PREFIX, tiny.SUFFIX)
    assert got.stop_ids == (tiny.ENDOFTEXT, tiny.IM_END)
    bare = read(path, use_template=False)
    assert (bare.prefix, bare.suffix) == ("", "")


def test_no_template_is_an_error_unless_asked_for(tmp_path):
    model = tiny.config()
    path = tiny.write_gguf(tmp_path / "m.gguf", model, tiny.weights(model), template=None)
    with pytest.raises(PackSourceError, match="no chat template; --no-template"):
        read(path)
    assert read(path, use_template=False).prefix == ""


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"rope.scaling.type": "yarn"}, "llama.rope.scaling.type is 'yarn'"),
        ({"rope.scaling.factor": 4.0}, "llama.rope.scaling.factor is 4.0"),
        ({"attention.sliding_window": 4096}, "llama.attention.sliding_window is 4096"),
        ({"expert_count": 8}, "llama.expert_count is 8"),
        ({"rope.dimension_count": 8}, "llama.rope.dimension_count is 8, not the head size 16"),
        ({"attention.value_length": 32}, "llama.attention.value_length is 32, not the head size 16"),
        ({"block_count": 2.0}, "llama.block_count is 2.0, not a int"),
    ],
)
def test_what_the_runtime_does_not_have_is_refused_by_its_key(tmp_path, extra, message):
    model = tiny.config()
    path = tiny.write_gguf(tmp_path / "m.gguf", model, tiny.weights(model), extra=extra)
    with pytest.raises(PackSourceError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_neutral_values_of_those_keys_are_fine(tmp_path):
    model = tiny.config()
    extra = {"rope.scaling.type": "none", "attention.sliding_window": 0, "expert_count": 0}
    assert read(tiny.write_gguf(tmp_path / "m.gguf", model, tiny.weights(model), extra=extra)).config == model


def test_other_architectures_and_tokenizers_are_refused(tmp_path):
    model = tiny.config()
    path = tiny.write_gguf(tmp_path / "m.gguf", model, tiny.weights(model), pre="llama-bpe")
    with pytest.raises(PackSourceError, match=r"tokenizer.ggml.pre 'llama-bpe'; known are"):
        read(path)
    writer = gguf.GGUFWriter(tmp_path / "g.gguf", "gemma")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(
        PackSourceError, match=r"general.architecture is 'gemma'; the runtime has llama and qwen2"
    ):
        read(tmp_path / "g.gguf")


def test_a_missing_tensor_is_named_when_the_pack_is_written(tmp_path):
    model = tiny.config()
    arrays = tiny.weights(model)
    del arrays["model.layers.1.mlp.up_proj.weight"]
    got = read(tiny.write_gguf(tmp_path / "m.gguf", model, arrays))
    with pytest.raises(PackFormatError, match=r"lacks model.layers.1.mlp.up_proj.weight"):
        write_pack(tmp_path / "p.planck", got)


def test_a_damaged_length_is_refused_before_it_fills_the_memory(tmp_path):
    model = tiny.config(num_hidden_layers=1)
    raw = bytearray(tiny.write_gguf(tmp_path / "m.gguf", model, tiny.weights(model)).read_bytes())
    key = b"tokenizer.ggml.tokens"
    at = raw.index(key) + len(key) + 8  # after the types of the value and of its items: how many there are
    for length in (2**63, 10**9, len(raw)):
        raw[at : at + 8] = length.to_bytes(8, "little")
        (tmp_path / "x.gguf").write_bytes(raw)
        with pytest.raises(PackSourceError, match="damaged or truncated GGUF"):
            read(tmp_path / "x.gguf")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_but_no_other_error(tmp_path, data):
    model = tiny.config(num_hidden_layers=1)
    whole = tmp_path / "m.gguf"
    if not whole.exists():
        tiny.write_gguf(whole, model, tiny.weights(model))
    raw = bytearray(whole.read_bytes())
    weights = sum(array.nbytes for array in tiny.weights(model).values()) // 2
    raw[data.draw(st.integers(0, len(raw) - weights))] = data.draw(st.integers(0, 255))
    (tmp_path / "x.gguf").write_bytes(raw)
    with contextlib.suppress(PackSourceError, PackFormatError):
        write_pack(tmp_path / "p.planck", read(tmp_path / "x.gguf"))


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path):
    model = tiny.config(num_hidden_layers=1)
    raw = tiny.write_gguf(tmp_path / "m.gguf", model, tiny.weights(model)).read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in [0, 3, 4, 8, 20, *range(24, len(raw) - 64, len(raw) // 60)]:
        cut.write_bytes(raw[:length])
        with pytest.raises((PackSourceError, PackFormatError)) as caught:
            write_pack(tmp_path / "p.planck", read(cut))
        assert "\n" not in str(caught.value), length
    assert not (tmp_path / "p.planck").exists()
