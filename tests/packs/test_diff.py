"""What two packs differ in."""

import math
from dataclasses import replace

import numpy as np
import pytest
import tiny_models as tiny

from pytest_anchorgate.packs.diff import diff, render
from pytest_anchorgate.packs.errors import PackFormatError
from pytest_anchorgate.packs.planck import SourceTensor, write_pack

UP, NORM = "model.layers.1.mlp.up_proj.weight", "model.norm.weight"


@pytest.fixture
def contents():
    model = tiny.config("qwen2")
    return tiny.contents(model, tiny.weights(model))


def packs(tmp_path, a, b):
    write_pack(tmp_path / "a.planck", a)
    write_pack(tmp_path / "b.planck", b)
    return diff(tmp_path / "a.planck", tmp_path / "b.planck")


def changed(contents, name, factor):
    values = contents.tensors[name].read(0, contents.tensors[name].shape[0])
    return replace(contents, tensors={**contents.tensors, name: SourceTensor.of(np.float32(factor) * values)})


def test_no_difference(tmp_path, contents):
    result = packs(tmp_path, contents, contents)
    assert result.identical
    assert (result.changes, result.metadata) == ((), {})
    assert (
        render(result) == f"no difference: all {len(contents.tensors) + 4} tensors and all metadata are equal"
    )


def test_equal_digests_over_other_bytes_are_damage(tmp_path, contents):
    packs(tmp_path, contents, contents)
    data = bytearray((tmp_path / "b.planck").read_bytes())
    data[-4096] ^= 1
    (tmp_path / "b.planck").write_bytes(data)
    with pytest.raises(
        PackFormatError, match="has the same digest in both and other bytes, so one of them is damaged"
    ):
        diff(tmp_path / "a.planck", tmp_path / "b.planck")


@pytest.mark.parametrize("name", [UP, NORM])
@pytest.mark.parametrize(("factor", "relative"), [(2, 1.0), (-1, 2.0), (0, 1.0)])
def test_the_relative_change_of_a_tensor(tmp_path, contents, name, factor, relative):
    result = packs(tmp_path, contents, changed(contents, name, factor))
    assert not result.identical
    assert [change.name for change in result.changes] == [name]
    assert result.changes[0].relative == pytest.approx(relative, rel=1e-12)
    assert result.same == len(contents.tensors) + 3
    assert f"{name}: changed by {relative:.3g} of its norm" in render(result)


def test_a_change_from_nothing_is_infinite_and_still_json(tmp_path, contents):
    result = packs(tmp_path, changed(contents, UP, 0), contents)
    assert math.isinf(result.changes[0].relative)
    assert result.to_json()["tensors"][0]["relative"] == "inf"


def test_metadata(tmp_path, contents):
    result = packs(tmp_path, contents, replace(contents, suffix="\nother", source={"kind": "elsewhere"}))
    assert set(result.metadata) == {"planck.template.suffix", "planck.source"}
    assert not result.identical
    assert "planck.template.suffix: '<|im_end|>" in render(result)


def test_another_source_alone_is_the_same_pack(tmp_path, contents):
    result = packs(tmp_path, contents, replace(contents, source={"kind": "elsewhere"}))
    assert result.identical
    assert "logically the same" in render(result)


def test_other_shapes_and_tensors(tmp_path, contents):
    model = tiny.config("llama", intermediate_size=48)
    result = packs(tmp_path, contents, tiny.contents(model, tiny.weights(model)))
    what = {change.name: change.what for change in result.changes}
    assert what[UP] == "shape [64, 32] became [48, 32]"
    assert what["model.layers.0.self_attn.q_proj.bias"] == "only in A"


def test_another_tokenizer(tmp_path, contents):
    tokens = [*contents.vocabulary.tokens[:-1], b"<tools>"]
    result = packs(
        tmp_path, contents, replace(contents, vocabulary=replace(contents.vocabulary, tokens=tokens))
    )
    assert [change.name for change in result.changes] == ["tokenizer.token_offsets", "tokenizer.token_bytes"]
    assert all(change.relative is None for change in result.changes)
