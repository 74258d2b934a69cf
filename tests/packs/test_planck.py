"""Writing a pack: the bytes, the order, the identity, and what happens when it cannot be written."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tiny_models as tiny
from safetensors import safe_open

from pytest_anchorgate.packs.header import read_header
from pytest_anchorgate.packs.panels import from_panels
from pytest_anchorgate.packs.planck import PackFormatError, SourceTensor, write_pack
from pytest_anchorgate.packs.reader import open_pack


@pytest.fixture(params=["llama", "qwen2"])
def contents(request):
    model = tiny.config(request.param)
    return tiny.contents(model, tiny.weights(model))


def counted(model):
    """Weights from integers alone, so that the golden digest depends on no random generator."""
    arrays = {}
    for name, shape in model.tensor_shapes().items():
        values = np.arange(np.prod(shape), dtype=np.int64) % 251 - 125
        arrays[name] = (values.astype(np.float32) / 64).reshape(shape)
    return arrays


def test_the_bytes_of_a_pack_are_pinned(tmp_path):
    """The same inputs give the same bytes on every machine: this digest was taken on one of them."""
    model = tiny.config("qwen2")
    write_pack(tmp_path / "p.planck", tiny.contents(model, counted(model)))
    digest = hashlib.sha256((tmp_path / "p.planck").read_bytes()).hexdigest()
    assert digest == "845af848e5466f0d0075f58355abb12b1d11c266c312e8f0b580e07889cabbc2"


def test_twice_the_same(tmp_path, contents):
    one = write_pack(tmp_path / "a.planck", contents)
    shuffled = dict(reversed(contents.tensors.items()))
    two = write_pack(
        tmp_path / "b.planck", replace(contents, tensors=shuffled, stop_ids=contents.stop_ids[::-1])
    )
    assert one == two
    assert (tmp_path / "a.planck").read_bytes() == (tmp_path / "b.planck").read_bytes()


def test_a_safetensors_file_with_the_weights_in_panels(tmp_path, contents):
    path = tmp_path / "p.planck"
    write_pack(path, contents)
    with safe_open(path, "np") as file:
        assert file.metadata()["planck.layout"] == "kpair16/1"
        assert np.array_equal(
            file.get_tensor("model.norm.weight"), contents.tensors["model.norm.weight"].read(0, 32)
        )
    header = read_header(path)
    for name, source in contents.tensors.items():
        stored = header.map(header.entries[name])
        values = source.read(0, source.shape[0])
        if values.ndim == 2:
            bits = from_panels(stored, values.shape[0])
            assert np.array_equal(bits, values.view(np.uint32) >> 16), name
        else:
            assert np.array_equal(stored, values), name


def test_the_frame(tmp_path, contents):
    path = tmp_path / "p.planck"
    write_pack(path, contents)
    header = read_header(path)
    kinds = [entry.dtype for entry in header.entries.values()]
    assert header.data_start % 4096 == 0
    assert kinds[-4:] == ["I32", "I32", "I32", "U8"]
    assert set(kinds[:-4]) == {"BF16", "F32"}
    for entry in header.entries.values():
        assert entry.begin % (64 if entry.dtype in ("BF16", "F32") else 4 if entry.dtype == "I32" else 1) == 0
    raw = header.raw.rstrip(b" ")
    parsed = json.loads(raw)
    assert list(parsed) == ["__metadata__", *header.entries]
    assert list(parsed["__metadata__"]) == sorted(parsed["__metadata__"])
    assert raw == json.dumps(parsed, ensure_ascii=False, separators=(",", ":")).encode()


def test_metadata_as_the_format_says(tmp_path, contents):
    write_pack(tmp_path / "p.planck", replace(contents, prefix="é\n", source={"kind": "gguf"}))
    metadata = read_header(tmp_path / "p.planck").metadata
    assert metadata["planck.rms_norm_eps"] == "1e-06"
    assert metadata["planck.rope_theta"] == "10000.0"
    assert metadata["planck.tie_word_embeddings"] == "false"
    assert metadata["planck.stop_ids"] == f"{tiny.ENDOFTEXT},{tiny.IM_END}"
    assert metadata["planck.template.prefix"] == "é\n"
    assert json.loads(metadata["planck.source"])["kind"] == "gguf"
    norm = contents.tensors["model.norm.weight"].read(0, 32)
    assert (
        json.loads(metadata["planck.digests"])["model.norm.weight"]
        == hashlib.sha256(norm.tobytes()).hexdigest()
    )


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"source": {"kind": "elsewhere"}}, True),
        ({"prefix": "other"}, False),
        ({"stop_ids": (1,)}, False),
        ({"parent": "0" * 64}, False),
    ],
)
def test_identity_is_of_what_the_pack_does_not_of_where_it_came_from(tmp_path, contents, change, same):
    one = write_pack(tmp_path / "a.planck", contents)
    two = write_pack(tmp_path / "b.planck", replace(contents, **change))
    assert (one == two) is same


def test_one_weight_changes_the_identity(tmp_path, contents):
    one = write_pack(tmp_path / "a.planck", contents)
    head = contents.tensors["lm_head.weight"].read(0, 265).copy()
    head[264, 31] += 1
    changed = {**contents.tensors, "lm_head.weight": SourceTensor.of(head)}
    assert write_pack(tmp_path / "b.planck", replace(contents, tensors=changed)) != one


def test_written_again_from_itself_it_is_the_same(tmp_path, contents):
    write_pack(tmp_path / "a.planck", contents)
    write_pack(tmp_path / "b.planck", open_pack(tmp_path / "a.planck").contents())
    assert (tmp_path / "a.planck").read_bytes() == (tmp_path / "b.planck").read_bytes()


def test_f16_and_bf16_sources(tmp_path, contents):
    values = contents.tensors["lm_head.weight"].read(0, 265)
    halves = values.astype(np.float16)
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)
    norm = contents.tensors["model.norm.weight"].read(0, 32).astype(np.float16)
    digests = []
    for head in (halves.astype(np.float32), halves, values, bits):
        tensors = {
            **contents.tensors,
            "lm_head.weight": SourceTensor.of(head),
            "model.norm.weight": SourceTensor.of(norm),
        }
        digests.append(write_pack(tmp_path / "p.planck", replace(contents, tensors=tensors)))
    assert digests[0] == digests[1]
    assert digests[2] == digests[3]
    assert np.array_equal(
        open_pack(tmp_path / "p.planck").stored("model.norm.weight"), norm.astype(np.float32)
    )


@pytest.mark.parametrize("name", ["model.layers.1.mlp.up_proj.weight", "model.norm.weight"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_by_tensor_and_place(tmp_path, contents, name, value):
    values = contents.tensors[name].read(0, contents.tensors[name].shape[0]).copy()
    values[(3, 5)[: values.ndim]] = value
    tensors = {**contents.tensors, name: SourceTensor.of(values)}
    place = {1: r"\[3\]", 2: r"\[3, 5\]"}[values.ndim]
    with pytest.raises(PackFormatError, match=f"{name}{place} is {value!r}"):
        write_pack(tmp_path / "p.planck", replace(contents, tensors=tensors))
    assert list(tmp_path.iterdir()) == []


def test_a_large_tensor_is_read_in_blocks(tmp_path):
    """What lets a model be packed that is much larger than the memory."""
    rows, seen = 70_000, []
    model = tiny.config(hidden_size=128, vocab_size=rows, head_dim=16, num_attention_heads=8)
    arrays = {
        name: SourceTensor(shape, lambda a, b, s=shape: np.zeros((b - a, *s[1:]), np.float32))
        for name, shape in model.tensor_shapes().items()
    }

    def read(start, stop):
        seen.append((start, stop))
        return np.zeros((stop - start, 128), np.uint16)

    arrays["model.embed_tokens.weight"] = SourceTensor((rows, 128), read)
    contents = replace(tiny.contents(model, {}), tensors=arrays)
    write_pack(tmp_path / "p.planck", contents)
    assert [start for start, _ in seen] == [0, *(stop for _, stop in seen[:-1])], "each row once, in order"
    assert seen[-1][1] == rows
    assert max(stop - start for start, stop in seen) * 128 * 4 <= 16 << 20


def test_a_failure_leaves_the_old_pack_and_no_debris(tmp_path, contents):
    path = tmp_path / "p.planck"
    path.write_bytes(b"the old pack")

    def fails(start, stop):
        raise RuntimeError("the source went away")

    tensors = {**contents.tensors, "lm_head.weight": SourceTensor((265, 32), fails)}
    with pytest.raises(RuntimeError, match="went away"):
        write_pack(path, replace(contents, tensors=tensors))
    assert path.read_bytes() == b"the old pack"
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.planck"]


def test_a_full_disk_is_found_before_the_work_begins(tmp_path, contents, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(OSError, match="0 MB free"):
        write_pack(tmp_path / "p.planck", contents)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stop_ids": ()}, "no stop id"),
        ({"stop_ids": (265,)}, "stop id 265 is outside of the vocabulary of 265"),
        ({"prefix": "\ud800"}, "template.prefix holds a lone surrogate"),
    ],
)
def test_contents_that_break_the_format_are_named(tmp_path, contents, change, message):
    with pytest.raises(PackFormatError, match=message):
        write_pack(tmp_path / "p.planck", replace(contents, **change))


def test_missing_surplus_and_misshapen_tensors_are_named(tmp_path, contents):
    name = "model.layers.0.mlp.up_proj.weight"
    rest = {key: value for key, value in contents.tensors.items() if key != name}
    with pytest.raises(PackFormatError, match=f"lacks {name}"):
        write_pack(tmp_path / "p.planck", replace(contents, tensors=rest))
    with pytest.raises(PackFormatError, match="has lora_A, which"):
        write_pack(
            tmp_path / "p.planck",
            replace(contents, tensors={**contents.tensors, "lora_A": rest["lm_head.weight"]}),
        )
    with pytest.raises(PackFormatError, match=rf"{name} has shape \[32, 64\]; .* \[64, 32\]"):
        write_pack(
            tmp_path / "p.planck",
            replace(contents, tensors={**rest, name: SourceTensor.of(np.zeros((32, 64), np.float32))}),
        )


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("hidden_size", 40, "hidden_size is 40, not a multiple of 16"),
        ("intermediate_size", 8, "intermediate_size is 8, not a multiple of 16"),
        ("head_dim", 8, "head_dim is 8, not a multiple of 16"),
        ("num_key_value_heads", 3, "num_attention_heads is 4, not a multiple of num_key_value_heads 3"),
        ("vocab_size", 0, "vocab_size is 0"),
        ("num_hidden_layers", 2**31, "num_hidden_layers is 2147483648"),
        ("num_hidden_layers", 2**31 - 1, "num_hidden_layers is 2147483647, more than 4096"),
        ("rope_theta", float("inf"), "rope_theta is inf"),
        ("rms_norm_eps", 0.0, "rms_norm_eps is 0.0"),
        ("architecture", "mamba", "architecture is 'mamba'"),
    ],
)
def test_hyperparameters_that_the_runtime_cannot_run_are_named(field, value, message):
    with pytest.raises(PackFormatError, match=message):
        tiny.config(**({"architecture": value} if field == "architecture" else {field: value}))
