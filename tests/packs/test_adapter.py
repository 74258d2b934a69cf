"""Reading a PEFT folder: what is taken, and each thing that is refused with the line it gets."""

import json

import numpy as np
import pytest
import tiny_models as tiny
from lora import factors, store_as_bf16, write_adapter
from safetensors.numpy import load_file, save_file

from pytest_anchorgate.packs.adapter import read_adapter
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError

MODEL = tiny.config()
IDENTITY = "ab" * 32
FIRST = "base_model.model.model.layers.0.self_attn.q_proj"


def adapter(tmp_path, *, edit=None, **changes):
    arrays = factors(MODEL)
    if edit is not None:
        edit(arrays)
    changes.setdefault("target_modules", ["q_proj", "k_proj", "v_proj", "o_proj"])
    return write_adapter(tmp_path / "a", arrays, **changes)


def read(folder, **options):
    return read_adapter(folder, MODEL, IDENTITY, **options)


def test_a_peft_folder_is_read(tmp_path):
    arrays = factors(MODEL)
    got = read(adapter(tmp_path))
    assert list(got.parts) == [
        f"model.layers.{layer}.self_attn.{kind}_proj.weight" for layer in (0, 1) for kind in "qkvo"
    ]
    part = got.parts["model.layers.0.self_attn.q_proj.weight"]
    assert np.array_equal(part.a, arrays[f"{FIRST}.lora_A.weight"])
    assert np.array_equal(part.b, arrays[f"{FIRST}.lora_B.weight"])
    assert (part.rank, part.scaling, got.base) == (4, 2.0, "")


def test_rslora_and_patterns(tmp_path):
    def narrower(arrays):
        arrays[f"{FIRST}.lora_A.weight"] = arrays[f"{FIRST}.lora_A.weight"][:2].copy()
        arrays[f"{FIRST}.lora_B.weight"] = arrays[f"{FIRST}.lora_B.weight"][:, :2].copy()

    folder = adapter(
        tmp_path,
        edit=narrower,
        use_rslora=True,
        rank_pattern={"layers.0.self_attn.q_proj": 2},
        alpha_pattern={r"layers\.\d+\.self_attn\.v_proj": 3, "self_attn.v_proj": 5},
    )
    parts = read(folder).parts
    scalings = {name: part.scaling for name, part in parts.items()}
    assert scalings["model.layers.0.self_attn.q_proj.weight"] == 8 / 2**0.5
    assert scalings["model.layers.1.self_attn.q_proj.weight"] == 8 / 4**0.5
    assert scalings["model.layers.1.self_attn.v_proj.weight"] == 3 / 4**0.5


def test_the_digest_is_of_the_meaning(tmp_path):
    digest = read(adapter(tmp_path)).digest
    assert read(adapter(tmp_path, lora_dropout=0.5, peft_version="1")).digest == digest
    changes = [{"alpha": 9}, {"use_rslora": True}, {"alpha_pattern": {"v_proj": 3}}]
    others = {read(adapter(tmp_path, **change)).digest for change in changes}

    def another_bit(arrays):
        arrays[f"{FIRST}.lora_B.weight"][3, 1] = np.nextafter(
            arrays[f"{FIRST}.lora_B.weight"][3, 1], np.float32(9)
        )

    others.add(read(adapter(tmp_path, edit=another_bit)).digest)
    assert len(others | {digest}) == 5


def test_f16_and_bf16_are_widened(tmp_path):
    folder = adapter(tmp_path)
    path = folder / "adapter_model.safetensors"
    save_file({name: array.astype(np.float16) for name, array in load_file(path).items()}, path)
    part = read(folder).parts["model.layers.0.self_attn.q_proj.weight"]
    assert part.a.dtype == np.float32
    assert np.array_equal(part.a, factors(MODEL)[f"{FIRST}.lora_A.weight"].astype(np.float16))
    folder = adapter(tmp_path)
    store_as_bf16(path)
    part = read(folder).parts["model.layers.0.self_attn.q_proj.weight"]
    assert np.allclose(part.a, factors(MODEL)[f"{FIRST}.lora_A.weight"], rtol=2**-8, atol=0)


@pytest.mark.parametrize("inserted", [".default", ""])
def test_names_with_the_adapters_name_and_of_the_bare_model(tmp_path, inserted):
    """`lora_A.default.weight` comes from a state dict; without the head the names lack one `model.`."""
    wanted = read(adapter(tmp_path)).digest
    folder = adapter(tmp_path)
    path = folder / "adapter_model.safetensors"
    renamed = {
        name.replace("model.model.model.", "model.model.").replace(".weight", f"{inserted}.weight"): array
        for name, array in load_file(path).items()
    }
    save_file(renamed, path)
    assert read(folder).digest == wanted


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "LOHA"}, "peft_type is 'LOHA'; only LORA can be merged"),
        ({"use_dora": True}, "use_dora is True: that is more than plain LoRA"),
        ({"lora_bias": True}, "lora_bias is True: that is more than"),
        ({"modules_to_save": ["lm_head"]}, r"modules_to_save is \['lm_head'\]: that is more than"),
        ({"layer_replication": [[0, 2]]}, "layer_replication is"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices is"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out is True"),
        ({"something_new": {"of": "tomorrow"}}, "something_new is {'of': 'tomorrow'}: that is more than"),
        ({"bias": "all"}, "bias is 'all': trained biases cannot be merged"),
        (
            {"init_lora_weights": "pissa_niter_4"},
            "init_lora_weights is 'pissa_niter_4', which changes the base",
        ),
        ({"r": 0}, "r is 0, not a rank from 1 to 65536"),
        ({"r": True}, "r is True, not a rank"),
        ({"r": None}, "r is None, not a rank"),
        ({"lora_alpha": "16"}, "lora_alpha is '16', not a number"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan, not a number"),
        ({"use_rslora": "yes"}, "use_rslora is 'yes', not true or false"),
        ({"rank_pattern": [1]}, "rank_pattern is not an object"),
        ({"rank_pattern": {"q_proj": -1}}, "rank_pattern.q_proj is -1, not a rank"),
        ({"alpha_pattern": {"(": 1}}, r"alpha_pattern: '\(' is no pattern"),
        ({"base_model_name_or_path": 7}, "base_model_name_or_path is 7, not a text"),
        ({"target_modules": [7]}, "target_modules holds something that is not a name"),
    ],
)
def test_a_config_that_is_more_than_plain_lora_is_refused(tmp_path, changes, message):
    with pytest.raises(PackSourceError, match=f"adapter_config.json: {message}") as caught:
        read(adapter(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def edited(change):
    """An edit of the tensors by name."""

    def edit(arrays):
        change(arrays)

    return edit


def put(name, array):
    return lambda arrays: arrays.update({name: array})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(f"{FIRST}.lora_magnitude_vector", np.ones(64, np.float32)), "DoRA cannot be merged here"),
        (
            put("base_model.model.model.embed_tokens.lora_embedding_A", np.ones((4, 9), np.float32)),
            "adapters of the embedding cannot be merged",
        ),
        (
            put("base_model.model.lm_head.base_layer.weight", np.ones(2, np.float32)),
            "a weight of the base itself; save the adapter with save_embedding_layers=False",
        ),
        (put(f"{FIRST}.lora_B.bias", np.ones(2, np.float32)), "not a tensor of a plain LoRA"),
        (
            put("base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight", np.ones(2, np.float32)),
            "the parent has no such linear layer; this adapter is for another base",
        ),
        (
            put("base_model.model.model.norm.lora_A.weight", np.ones(2, np.float32)),
            "the parent has no such linear layer",
        ),
        (
            put(f"{FIRST}.lora_A.default.weight", np.ones((4, 32), np.float32)),
            "of model.layers.0.self_attn.q_proj.weight stands there twice",
        ),
        (lambda arrays: arrays.pop(f"{FIRST}.lora_B.weight"), "the other half of the adapter"),
        (
            lambda arrays: (arrays.pop(f"{FIRST}.lora_B.weight"), arrays.pop(f"{FIRST}.lora_A.weight")),
            "the adapter of model.layers.0.self_attn.q_proj.weight is missing, adapter_config.json has it",
        ),
        (lambda arrays: arrays.clear(), "it holds no tensors"),
        (
            put(f"{FIRST}.lora_A.weight", np.ones((4, 48), np.float32)),
            r"lora_A.weight has shape \[4, 48\], model.layers.0.self_attn.q_proj.weight of the parent "
            r"\[64, 32\] and rank 4 ask for \[4, 32\]; this adapter is for another base",
        ),
        (put(f"{FIRST}.lora_B.weight", np.ones((64, 8), np.float32)), r"ask for \[64, 4\]"),
        (put(f"{FIRST}.lora_B.weight", np.ones((64, 4), np.int32)), "has dtype I32; A and B must be one of"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(tmp_path, change, message):
    with pytest.raises(PackSourceError, match=message) as caught:
        read(adapter(tmp_path, edit=edited(change)))
    assert "adapter_model.safetensors: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_layer_that_the_config_leaves_out_may_be_absent(tmp_path):
    folder = adapter(
        tmp_path, edit=edited(lambda arrays: [arrays.pop(n) for n in list(arrays) if ".1." in n])
    )
    with pytest.raises(
        PackSourceError, match=r"the adapter of model.layers.1.self_attn.q_proj.weight is missing"
    ):
        read(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    tiny.write_json(folder / "adapter_config.json", config | {"layers_to_transform": [0]})
    assert len(read(folder).parts) == 4
    tiny.write_json(folder / "adapter_config.json", config | {"target_modules": r".*\.0\..*_proj"})
    assert len(read(folder).parts) == 4


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    def diverged(arrays):
        arrays[f"{FIRST}.lora_A.weight"][2, 7] = np.inf

    with pytest.raises(PackFormatError, match=r"q_proj.lora_A.weight\[2, 7\] is not a finite number"):
        read(adapter(tmp_path, edit=diverged))


def test_an_adapter_of_another_pack_is_refused_unless_meant(tmp_path):
    folder = adapter(tmp_path, base_model_name_or_path=f"planck:{'cd' * 32}")
    with pytest.raises(
        PackSourceError, match=f"was trained on the pack {'cd' * 32}, this one is {IDENTITY}; "
    ):
        read(folder)
    assert read(folder, any_base=True).base == f"planck:{'cd' * 32}"
    assert read(adapter(tmp_path, base_model_name_or_path=f"planck:{IDENTITY}")).parts
    assert read(adapter(tmp_path, base_model_name_or_path="Qwen/Qwen2.5-Coder-0.5B-Instruct")).parts


def test_a_pickle_is_not_opened(tmp_path):
    folder = adapter(tmp_path)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(PackSourceError, match=r"a pickle, which can run code when it is read; convert it"):
        read(folder)
    (folder / "adapter_model.bin").unlink()
    with pytest.raises(PackSourceError, match=r"it has no adapter_model.safetensors; save the adapter with"):
        read(folder)


def test_what_is_no_adapter_folder_is_refused(tmp_path):
    with pytest.raises(PackSourceError, match="nope: not a folder; give the one in which PEFT saved"):
        read(tmp_path / "nope")
    with pytest.raises(PackSourceError, match=r"it has no adapter_config.json"):
        read(tmp_path)
    folder = adapter(tmp_path)
    (folder / "adapter_model.safetensors").write_bytes(b"\xff" * 40)
    with pytest.raises(PackFormatError, match="not a safetensors file"):
        read(folder)
