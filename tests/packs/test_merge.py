"""Parent plus adapter: the numbers, the digests, and the ways in which nothing may change."""

import hashlib
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tiny_models as tiny
from lora import factors, store_as_bf16, write_adapter

from pytest_anchorgate.packs.bf16 import round_to_bf16, widen_bf16
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.packs.inspection import inspect
from pytest_anchorgate.packs.merge import canonical_scale, merge_adapter
from pytest_anchorgate.packs.planck import write_pack
from pytest_anchorgate.packs.reader import open_pack


def make_parent(tmp_path, architecture="llama", change=None):
    model = tiny.config(architecture)
    arrays = tiny.weights(model)
    if change is not None:
        change(arrays)
    path = tmp_path / "parent.planck"
    write_pack(path, tiny.contents(model, arrays))
    return path, model


def whole(path, name):
    source = open_pack(path).logical(name)
    return source.read(0, source.shape[0])


def one_element(weight, b, a, factor):
    """One element by the formula of the specification, in scalars: nothing of numpy's loops is in it."""
    total = np.float32(b[0]) * np.float32(a[0])
    for left, right in zip(b[1:], a[1:], strict=True):
        total = np.float32(total + np.float32(np.float32(left) * np.float32(right)))
    added = np.float32(total * np.float32(factor))
    return weight if added == 0 else round_to_bf16(np.array([widen_bf16(np.array([weight]))[0] + added]))[0]


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize(("rslora", "scale"), [(False, "1"), (True, "0.3")])
def test_every_element_follows_the_formula(tmp_path, architecture, rslora, scale):
    parent, model = make_parent(tmp_path, architecture)
    arrays = factors(model, targets=("q_proj", "down_proj"))
    adapter = write_adapter(tmp_path / "a", arrays, use_rslora=rslora)
    report = merge_adapter(parent, adapter, tmp_path / "c.planck", scale)
    factor = float(scale) * 8 / (4**0.5 if rslora else 4)
    changed = 0
    for name, shape in model.tensor_shapes().items():
        before, after = whole(parent, name), whole(tmp_path / "c.planck", name)
        module = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{module}.lora_A.weight" not in arrays:
            assert np.array_equal(before, after)
            continue
        a, b = arrays[f"{module}.lora_A.weight"], arrays[f"{module}.lora_B.weight"]
        wanted = np.array(
            [
                [one_element(before[i, j], b[i], a[:, j], factor) for j in range(shape[1])]
                for i in range(shape[0])
            ]
        )
        assert np.array_equal(after, wanted)
        assert report.changed[name] == np.count_nonzero(wanted != before) > 0
        changed += after.size
    assert report.elements == changed
    assert not report.identical


def test_the_child_says_what_it_was_made_of(tmp_path):
    parent, model = make_parent(tmp_path)
    adapter = write_adapter(tmp_path / "a", factors(model))
    report = merge_adapter(parent, adapter, tmp_path / "c.planck", "0.30")
    child = open_pack(tmp_path / "c.planck")
    identity = open_pack(parent).metadata["planck.identity"]
    assert child.metadata["planck.parent"] == report.parent == identity
    assert child.metadata["planck.identity"] == report.identity != identity
    assert child.source == {
        "kind": "surgery",
        "parent": identity,
        "adapter": report.adapter,
        "scale": "0.3",
        "builder": "anchorgate-pack/1",
    }
    spelled = f'{{"adapter":"{report.adapter}","scale":"0.3"}}'.encode()
    assert child.metadata["planck.adapter"] == report.dose == hashlib.sha256(spelled).hexdigest()
    assert inspect(tmp_path / "c.planck").ok


def test_two_merges_are_equal_and_a_scale_of_another_spelling_is_the_same(tmp_path):
    parent, model = make_parent(tmp_path)
    adapter = write_adapter(tmp_path / "a", factors(model))
    files = []
    for n, scale in enumerate(["0.5", "0.50", ".5", "0.6"]):
        merge_adapter(parent, adapter, tmp_path / f"{n}.planck", scale)
        files.append((tmp_path / f"{n}.planck").read_bytes())
    assert files[0] == files[1] == files[2] != files[3]


@pytest.mark.parametrize("scale", ["0", "0.000", "1"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_what_changes_no_bit_gives_the_parent_byte_for_byte(tmp_path, scale, architecture):
    """The A/A control. The parent holds a -0, which `-0 + 0` would turn into +0."""

    def with_negative_zeros(arrays):
        arrays["model.layers.0.self_attn.q_proj.weight"][3, :] = -0.0

    parent, model = make_parent(tmp_path, architecture, with_negative_zeros)
    arrays = factors(model, strength=0.0 if scale == "1" else 0.05)
    adapter = write_adapter(tmp_path / "a", arrays)
    report = merge_adapter(parent, adapter, tmp_path / "c.planck", scale)
    assert np.count_nonzero(whole(parent, "model.layers.0.self_attn.q_proj.weight") == 0x8000) >= 32
    assert (tmp_path / "c.planck").read_bytes() == parent.read_bytes()
    assert report.identical
    assert report.identity == report.parent
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c.planck", "parent.planck"]


def test_an_adapter_too_weak_to_move_a_bf16_gives_the_parent(tmp_path):
    parent, model = make_parent(tmp_path)
    adapter = write_adapter(tmp_path / "a", factors(model, strength=1e-30))
    report = merge_adapter(parent, adapter, tmp_path / "c.planck")
    assert report.identical
    assert (tmp_path / "c.planck").read_bytes() == parent.read_bytes()


def test_the_bits_do_not_depend_on_blocks_threads_or_the_hash_seed(tmp_path, monkeypatch):
    from pytest_anchorgate.packs import merge, planck

    parent, model = make_parent(tmp_path)
    adapter = write_adapter(tmp_path / "a", factors(model))
    digests = set()
    for step, rows in itertools.product((1, 100, 1 << 20), (16, 1 << 22)):
        monkeypatch.setattr(merge, "_STEP_ELEMENTS", step)
        monkeypatch.setattr(planck, "_BLOCK_ELEMENTS", rows)
        merge_adapter(parent, adapter, tmp_path / "c.planck")
        digests.add(hashlib.sha256((tmp_path / "c.planck").read_bytes()).hexdigest())
    code = (
        "import sys, pathlib; from pytest_anchorgate.packs.merge import merge_adapter; "
        "merge_adapter(*map(pathlib.Path, sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(parent), str(adapter), str(tmp_path / "c.planck")]
    subprocess.run(command, check=True, env=environment)
    digests.add(hashlib.sha256((tmp_path / "c.planck").read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("text", "spelled"),
    [("1", "1"), ("1.000", "1"), (".30", "0.3"), ("0.0", "0"), ("-0", "0"), ("00.85", "0.85")],
)
def test_a_scale_has_one_spelling(text, spelled):
    assert canonical_scale(text) == spelled


@pytest.mark.parametrize("text", ["", "nan", "inf", "1e-3", "0,5", "0.5 ", "½", "1/2", "٣"])
def test_what_is_no_decimal_is_refused(text):
    with pytest.raises(PackSourceError, match=r"not a decimal such as 0\.3"):
        canonical_scale(text, any_scale=True)


@pytest.mark.parametrize("text", ["1.0001", "-0.1", "2"])
def test_a_scale_outside_of_0_to_1_must_be_meant(text):
    with pytest.raises(PackSourceError, match="--any-scale allows others"):
        canonical_scale(text)
    assert canonical_scale(text, any_scale=True) == text


def test_a_large_scale_is_applied(tmp_path):
    parent, model = make_parent(tmp_path)
    adapter = write_adapter(tmp_path / "a", factors(model))
    merge_adapter(parent, adapter, tmp_path / "2.planck", "2", any_scale=True)
    write_adapter(tmp_path / "twice", factors(model), alpha=16)
    merge_adapter(parent, tmp_path / "twice", tmp_path / "t.planck")
    name = "model.layers.1.self_attn.o_proj.weight"
    assert np.array_equal(whole(tmp_path / "2.planck", name), whole(tmp_path / "t.planck", name))


@pytest.mark.parametrize("touched", [True, False])
def test_a_damaged_parent_is_refused_and_leaves_nothing(tmp_path, touched):
    """Otherwise its child would be a good pack with the damage in it."""
    parent, model = make_parent(tmp_path)
    adapter = write_adapter(tmp_path / "a", factors(model))
    reader = open_pack(parent)
    name = f"model.layers.1.{'self_attn.q_proj' if touched else 'mlp.up_proj'}.weight"
    raw = bytearray(parent.read_bytes())
    raw[reader.header.data_start + reader.header.entries[name].begin] ^= 1
    parent.write_bytes(raw)
    with pytest.raises(PackFormatError, match=f"parent.planck: {name} has not the digest that the pack says"):
        merge_adapter(parent, adapter, tmp_path / "c.planck")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "parent.planck"]


def test_a_merged_weight_that_is_not_finite_is_refused_by_its_place(tmp_path):
    parent, model = make_parent(tmp_path)
    arrays = factors(model)
    name = "base_model.model.model.layers.1.self_attn.q_proj.lora"
    arrays[f"{name}_A.weight"][:, 5] = 1e30
    arrays[f"{name}_B.weight"][17, :] = 1e30
    adapter = write_adapter(tmp_path / "a", arrays)
    (tmp_path / "c.planck").write_bytes(b"what was there")
    with pytest.raises(
        PackFormatError, match=r"model.layers.1.self_attn.q_proj.weight\[17, 5\] is inf: no finite"
    ):
        merge_adapter(parent, adapter, tmp_path / "c.planck")
    assert (tmp_path / "c.planck").read_bytes() == b"what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c.planck", "parent.planck"]


def test_a_grandchild_names_the_child(tmp_path):
    parent, model = make_parent(tmp_path)
    first = write_adapter(tmp_path / "a", factors(model))
    child = merge_adapter(parent, first, tmp_path / "c.planck")
    second = write_adapter(
        tmp_path / "b", factors(model, seed=4), base_model_name_or_path=f"planck:{child.identity}"
    )
    grandchild = merge_adapter(tmp_path / "c.planck", second, tmp_path / "g.planck")
    assert grandchild.parent == child.identity
    with pytest.raises(PackSourceError, match="the adapter was trained on the pack"):
        merge_adapter(parent, second, tmp_path / "x.planck")


def test_an_adapter_stored_in_bf16_means_its_values(tmp_path):
    """An adapter stored in another precision with equal values is the same adapter."""
    parent, model = make_parent(tmp_path)
    arrays = {name: widen_bf16(round_to_bf16(array)) for name, array in factors(model).items()}
    write_adapter(tmp_path / "f32", arrays)
    write_adapter(tmp_path / "bf16", arrays)
    store_as_bf16(tmp_path / "bf16" / "adapter_model.safetensors")
    reports = [
        merge_adapter(parent, tmp_path / kind, tmp_path / f"{kind}.planck") for kind in ("f32", "bf16")
    ]
    assert reports[0] == reports[1]
    assert (tmp_path / "f32.planck").read_bytes() == (tmp_path / "bf16.planck").read_bytes()


def test_json_of_the_config_is_not_part_of_the_digest(tmp_path):
    parent, model = make_parent(tmp_path)
    one = write_adapter(tmp_path / "a", factors(model), lora_dropout=0.1)
    two = write_adapter(tmp_path / "b", factors(model), peft_version="9", revision="x")
    text = json.loads((two / "adapter_config.json").read_text())
    assert text["revision"] == "x"
    assert merge_adapter(parent, one, tmp_path / "1.planck") == merge_adapter(
        parent, two, tmp_path / "2.planck"
    )
