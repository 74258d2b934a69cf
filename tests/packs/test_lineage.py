"""Who is whose child, told from the weights: children, siblings, strangers, and merges that went wrong."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tiny_models as tiny
from click.testing import CliRunner
from lora import factors, write_adapter

from pytest_anchorgate.packs.bf16 import round_to_bf16, widen_bf16
from pytest_anchorgate.packs.cli import pack
from pytest_anchorgate.packs.lineage import lineage, render
from pytest_anchorgate.packs.lineage_measure import rank_above_rounding
from pytest_anchorgate.packs.merge import merge_adapter
from pytest_anchorgate.packs.planck import SourceTensor, write_pack
from pytest_anchorgate.packs.reader import open_pack

MODEL = tiny.config(hidden_size=128, num_attention_heads=8, num_key_value_heads=4)
RANK = 4


@pytest.fixture
def family(tmp_path):
    """base, its children `one` and `two` by adapters of rank 4, and `next`, a child of `one`."""
    write_pack(tmp_path / "base.planck", tiny.contents(MODEL, tiny.weights(MODEL)))
    for seed, (name, on) in enumerate((("one", "base"), ("two", "base"), ("next", "one"))):
        adapter = write_adapter(tmp_path / name, factors(MODEL, seed=seed))
        merge_adapter(tmp_path / f"{on}.planck", adapter, tmp_path / f"{name}.planck")
    return tmp_path


def trace(family, child, parent, **options):
    return lineage(family / f"{child}.planck", family / f"{parent}.planck", **options)


def rewritten(path, output, change, **fields):
    contents = open_pack(path).contents()
    tensors = dict(contents.tensors)
    for name, new in change(contents).items():
        tensors[name] = SourceTensor.of(new)
    write_pack(output, replace(contents, tensors=tensors, **fields))


def test_a_child_has_the_rank_of_its_adapter(family):
    found = trace(family, "one", "base", rank=RANK)
    assert (found.verdict, found.claimed, found.good) == ("child", True, True)
    assert set(found.ranks.values()) == {RANK}
    assert len(found.changed) == len(found.ranks) == 8
    assert trace(family, "next", "one", rank=RANK).verdict == "child"


@pytest.mark.parametrize(("child", "parent"), [("two", "one"), ("next", "base"), ("next", "two")])
def test_a_sibling_and_a_grandchild_have_more_ranks(family, child, parent):
    found = trace(family, child, parent, rank=RANK)
    generations = 3 if (child, parent) == ("next", "two") else 2
    assert set(found.ranks.values()) == {generations * RANK}
    assert found.verdict == "not a child"
    assert f"at least {(generations - 1) * RANK} more lie between" in found.why
    assert not found.claimed


def test_without_a_rank_it_says_what_it_cannot_know(family):
    found = trace(family, "two", "one")
    assert (found.verdict, found.good) == ("low rank", True)
    assert f"rank {2 * RANK} at most: a child if the adapter has that rank, otherwise a sibling" in found.why


def test_a_pack_is_the_same_as_itself_whatever_it_says_of_its_origin(family):
    rewritten(family / "one.planck", family / "again.planck", lambda _: {}, parent="", source={"kind": "x"})
    assert trace(family, "again", "one").verdict == "same"


def test_weights_of_another_origin(family):
    write_pack(family / "other.planck", tiny.contents(MODEL, tiny.weights(MODEL, seed=99)))
    found = trace(family, "other", "base", rank=RANK)
    assert found.verdict == "other origin"
    assert "has no low rank: these weights were never the parent's" in found.why
    smaller = tiny.config()
    write_pack(family / "small.planck", tiny.contents(smaller, tiny.weights(smaller)))
    assert trace(family, "small", "base").why == "the hyperparameters differ"


@pytest.mark.parametrize("name", ["model.norm.weight", "model.embed_tokens.weight"])
def test_a_change_that_no_adapter_makes_is_a_fault(family, name):
    def nudge(contents):
        source = contents.tensors[name]
        values = source.read(0, source.shape[0]).copy()
        values.reshape(-1)[0] = 0
        return {name: values}

    rewritten(family / "one.planck", family / "bad.planck", nudge)
    found = trace(family, "bad", "base", rank=RANK)
    assert (found.verdict, found.elsewhere) == ("fault", (name,))
    rewritten(family / "one.planck", family / "stop.planck", lambda _: {}, suffix="?")
    assert trace(family, "stop", "base", rank=RANK).elsewhere == ("planck.template.suffix",)


def test_an_exact_replay_proves_the_child(family):
    found = trace(family, "one", "base", adapter=family / "one")
    assert (found.verdict, found.ranks) == ("child", {})
    assert "the same bits in all" in found.why
    half = merge_adapter(family / "base.planck", family / "one", family / "half.planck", "0.5")
    assert half.scale == "0.5"
    assert trace(family, "half", "base", adapter=family / "one").verdict == "child"
    wrong = trace(family, "half", "base", adapter=family / "one", scale="1")
    assert wrong.verdict == "not a child"
    assert "it was added 0.5 times, where 1 is right" in wrong.why


def merged_by_hand(dose, contents, folder, rounding=round_to_bf16):
    """One weight after a merge with another dose, in float64."""
    arrays = factors(MODEL, seed=0)
    out = {}
    for name in contents.tensors:
        module = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{module}.lora_A.weight" in arrays:
            source = contents.tensors[name]
            product = arrays[f"{module}.lora_B.weight"].astype(np.float64) @ arrays[f"{module}.lora_A.weight"]
            total = widen_bf16(source.read(0, source.shape[0])) + dose * product
            out[name] = rounding(total.astype(np.float32))
    return out


@pytest.mark.parametrize(
    ("dose", "words"),
    [(1, "0.5 times, where"), (4, "2 times (merged twice)"), (-2, "-1 times (negated)")],
)
def test_a_wrong_dose_is_named(family, dose, words):
    change = partial(merged_by_hand, dose, folder=family)
    rewritten(family / "base.planck", family / "wrong.planck", change)
    found = trace(family, "wrong", "base", adapter=family / "one")
    assert found.verdict == "not a child"
    assert words in found.why
    assert found.replay.residual < 0.02


def test_truncation_instead_of_rounding_is_no_child(family):
    def truncate(values):
        return (values.view(np.uint32) >> 16).astype(np.uint16)

    rewritten(
        family / "base.planck",
        family / "cut.planck",
        partial(merged_by_hand, 2, folder=family, rounding=truncate),
    )
    found = trace(family, "cut", "base", adapter=family / "one")
    assert found.verdict == "not a child"
    assert 0.4 < found.replay.differing / found.replay.elements < 0.6
    assert found.replay.neighbours == found.replay.differing


def test_another_programs_merge_differs_in_ties_alone(family):
    rewritten(family / "base.planck", family / "blas.planck", partial(merged_by_hand, 2, folder=family))
    found = trace(family, "blas", "base", adapter=family / "one")
    assert found.verdict == "child"
    assert found.replay.differing == found.replay.neighbours


def test_the_adapter_of_a_sibling_explains_nothing(family):
    found = trace(family, "two", "base", adapter=family / "one")
    assert found.verdict == "not a child"
    assert "% of the difference is not this adapter's" in found.why
    assert found.replay.residual > 0.9
    more = write_adapter(family / "fewer", factors(MODEL, seed=0, targets=("q_proj",)))
    found = trace(family, "one", "base", adapter=more)
    assert (found.verdict, len(found.elsewhere)) == ("fault", 6)


@pytest.mark.parametrize("strength", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
def test_a_weak_difference_is_counted_with_fewer_ranks_never_with_more(strength):
    """With values of many magnitudes, as real weights have, and with a row of outliers."""
    random = np.random.default_rng(2)
    weight = random.standard_normal((96, 160)) * np.exp(random.standard_normal((96, 160)))
    weight[5] *= 50
    parent = round_to_bf16(weight.astype(np.float32))
    low = random.standard_normal((96, 3)) @ random.standard_normal((3, 160)) * strength
    child = round_to_bf16((widen_bf16(parent) + low).astype(np.float32))
    rank = rank_above_rounding(parent, child)
    assert rank <= 3
    assert rank == 3 or strength < 1e-1
    assert rank_above_rounding(parent, parent) == 0


def run(*arguments):
    return CliRunner().invoke(pack, ["lineage", *map(str, arguments)])


def test_the_command(family):
    good = run(family / "one.planck", family / "base.planck", "--adapter", family / "one")
    assert good.exit_code == 0
    assert good.stdout.startswith("child: merging the adapter again gives the same bits")
    bad = run(family / "two.planck", family / "one.planck", "--rank", 4, "--json")
    assert bad.exit_code == 1
    assert json.loads(bad.stdout)["verdict"] == "not a child"
    wrong = run(family / "one.planck", family / "base.planck", "--adapter", family)
    assert wrong.exit_code == 4
    assert "it has no adapter_config.json" in wrong.stderr
    text = render(trace(family, "two", "one", rank=4))
    assert "rank    8 above rounding: 8 weights" in text
    assert "the child does not name this parent in its metadata" in text
