"""`inspect` on good packs, on packs whose frame is broken, and on packs that do not hold what they claim."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import tiny_models as tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_anchorgate.packs.frame import encode_header, identity_of
from pytest_anchorgate.packs.header import read_header
from pytest_anchorgate.packs.inspection import inspect, render
from pytest_anchorgate.packs.planck import PackFormatError, write_pack


@pytest.fixture(params=["llama", "qwen2"])
def pack(request, tmp_path):
    model = tiny.config(request.param)
    write_pack(tmp_path / "p.planck", tiny.contents(model, tiny.weights(model)))
    return tmp_path / "p.planck"


def parts(path):
    """Header as JSON pairs in order (so that a name may stand twice), and the data."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def put_together(path, header, data):
    text = header if isinstance(header, bytes) else json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-(8 + len(text)) % 4096)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def rehashed(path, change):
    """Lets `change` alter the data, then claims the new digests and identity, as a careless writer would."""
    header = read_header(path)
    _, data = parts(path)
    data = bytearray(data)
    change(header, data)
    metadata = dict(header.metadata)
    digests = json.loads(metadata["planck.digests"])
    for name, entry in header.entries.items():
        if entry.dtype != "BF16":
            digests[name] = hashlib.sha256(data[entry.begin : entry.end]).hexdigest()
    metadata["planck.digests"] = json.dumps(digests, sort_keys=True, separators=(",", ":"))
    metadata["planck.identity"] = identity_of(metadata)
    path.write_bytes(encode_header(metadata, list(header.entries.values())) + data)


def test_a_good_pack(pack):
    report = inspect(pack)
    assert report.ok
    assert all(tensor.digest_ok for tensor in report.tensors)
    assert report.sha256 == hashlib.sha256(pack.read_bytes()).hexdigest()
    assert report.tokens == len(tiny.TOKENS)
    assert report.config.parameters == sum(array.size for array in tiny.weights(report.config).values())
    text = render(report)
    assert f"{len(report.tensors)} of {len(report.tensors)} match" in text
    assert "   2 x model.layers.*.mlp.up_proj.weight" in text
    assert json.loads(json.dumps(report.to_json()))["ok"] is True


@pytest.mark.parametrize(
    "name", ["model.embed_tokens.weight", "model.layers.1.self_attn.k_proj.weight", "model.norm.weight"]
)
def test_one_flipped_bit_in_a_weight_is_named(pack, name):
    header = read_header(pack)
    data = bytearray(pack.read_bytes())
    data[header.data_start + header.entries[name].begin] ^= 1
    pack.write_bytes(data)
    report = inspect(pack)
    assert [tensor.name for tensor in report.tensors if not tensor.digest_ok] == [name]
    assert len(report.problems) == 1
    assert name in report.problems[0]
    assert f"PROBLEM       {name}" in render(report)


def test_a_flipped_bit_in_the_tokenizer_is_named(pack):
    data = bytearray(pack.read_bytes())
    data[-1] ^= 1
    pack.write_bytes(data)
    assert any("tokenizer.token_bytes: its digest" in problem for problem in inspect(pack).problems)


def test_dirt_in_the_padding_of_a_panel_is_a_problem(pack):
    header = read_header(pack)
    data = bytearray(pack.read_bytes())
    entry = header.entries["lm_head.weight"]  # 265 rows in 17 panels: the last cell ends in rows of padding
    data[header.data_start + entry.end - 1] = 1
    pack.write_bytes(data)
    assert inspect(pack).problems == ("lm_head.weight: the rows that fill up its last panel are not +0",)


def test_a_nan_is_a_problem_even_with_the_right_digest(pack):
    def change(header, data):
        at = header.entries["model.norm.weight"].begin
        data[at : at + 4] = np.float32(np.nan).tobytes()

    rehashed(pack, change)
    assert inspect(pack).problems == ("model.norm.weight holds a NaN or an infinity",)


def test_a_tokenizer_that_contradicts_itself_is_a_problem_even_with_the_right_digest(pack):
    def change(header, data):
        at = header.entries["tokenizer.merges"].begin
        data[at : at + 4] = np.int32(5).tobytes()

    rehashed(pack, change)
    assert inspect(pack).problems == ("tokenizer.merges row 0: token 256 is not 5 and 98 joined",)


def test_a_claim_changed_after_writing_is_a_problem(pack):
    header, data = parts(pack)
    header["__metadata__"]["planck.rope_theta"] = "20000.0"
    put_together(pack, header, data)
    problems = inspect(pack).problems
    assert any("planck.identity" in problem for problem in problems)
    assert any("canonically" in problem for problem in problems)


def set_entry(name, **changes):
    return lambda header: header[name].update(changes)


def set_metadata(key, value):
    return lambda header: header["__metadata__"].update({key: value})


def drop(name):
    return lambda header: header.pop(name)


NORM, HEAD = "model.norm.weight", "lm_head.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_entry(NORM, dtype="F16"), "norm.weight: its dtype is F16, it should be F32"),
        (set_entry(NORM, dtype=7), "norm.weight: its dtype, shape or data_offsets are not of the right kind"),
        (set_entry(NORM, shape=[16, 2]), r"norm.weight: its shape is \[16, 2\], it should be \[32\]"),
        (
            set_entry(NORM, shape=[-32]),
            "norm.weight: its dtype, shape or data_offsets are not of the right kind",
        ),
        (
            set_entry(NORM, shape=[True]),
            "norm.weight: its dtype, shape or data_offsets are not of the right kind",
        ),
        (set_entry(NORM, data_offsets=[0, 128]), "which overlaps the tensor before it"),
        (set_entry(NORM, data_offsets=[5, 1]), "end before they begin"),
        (set_entry(NORM, data_offsets=[1]), "are not of the right kind"),
        (set_entry(HEAD, extra=1), "does not have exactly dtype, shape and data_offsets"),
        (drop(NORM), "which leaves a hole before it"),
        (drop("tokenizer.token_bytes"), "too long"),
        (drop("__metadata__"), "lacks planck.version"),
        (set_metadata("planck.version", "2"), "a pack of version '2'"),
        (set_metadata("planck.layout", "rowmajor"), "planck.layout is 'rowmajor'"),
        (set_metadata("planck.hidden_size", "48"), "its shape is"),
        (set_metadata("planck.hidden_size", "0x20"), "planck.hidden_size is '0x20', not a number"),
        (set_metadata("planck.hidden_size", "+32"), "canonical spelling is '32'"),
        (set_metadata("planck.hidden_size", 32), "does not map strings to strings"),
        (set_metadata("planck.num_hidden_layers", "3"), "lacks the tensor model.layers.2"),
        (
            set_metadata("planck.num_hidden_layers", "1"),
            "has a tensor model.layers.1.* that this architecture does",
        ),
        (set_metadata("planck.attention_bias", "yes"), "not true or false"),
        (set_metadata("planck.stop_ids", "5,3"), "planck.stop_ids is '5,3', not ascending"),
        (set_metadata("planck.stop_ids", ""), "planck.stop_ids is '', not ascending"),
        (set_metadata("planck.stop_ids", "999"), "outside of the vocabulary"),
        (set_metadata("planck.digests", "[]"), "planck.digests is not a JSON object"),
        (set_metadata("planck.digests", "{}"), "does not name exactly the tensors"),
        (set_metadata("planck.parent", "\x1b[31m"), "planck.parent is '.x1b.31m', not a sha256"),
        (lambda header: header["__metadata__"].pop("planck.source"), "metadata lacks planck.source"),
        (lambda header: header["__metadata__"].pop("planck.head_dim"), "metadata lacks planck.head_dim"),
    ],
)
def test_a_broken_frame_is_refused_by_name(pack, change, message):
    header, data = parts(pack)
    change(header)
    put_together(pack, header, data)
    with pytest.raises(PackFormatError, match=message) as caught:
        inspect(pack)
    assert str(pack) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_name_twice_is_refused(pack):
    header, data = parts(pack)
    text = json.dumps(header).encode()
    entry = json.dumps(header[NORM]).encode()
    put_together(pack, text[:-1] + b', "' + NORM.encode() + b'": ' + entry + b"}", data)
    with pytest.raises(PackFormatError, match=f"the header has '{NORM}' twice"):
        inspect(pack)


def test_data_that_is_not_aligned_is_refused(pack):
    header, data = parts(pack)
    text = json.dumps(header).encode()
    pack.write_bytes(len(text).to_bytes(8, "little") + text + data)
    with pytest.raises(PackFormatError, match="not at a multiple of 4096"):
        inspect(pack)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not a safetensors file"),
        (b"\x01", "not a safetensors file"),
        (b"\xff" * 64, "not a safetensors file"),
        (b"\x40" + bytes(7) + b"{}", "truncated: the header should have 64 bytes, 2 are there"),
        (b"\x02" + bytes(7) + b"\xff\xfe", "not UTF-8 JSON"),
        (b"\x02" + bytes(7) + b"{{", "not UTF-8 JSON"),
        (b"\x02" + bytes(7) + b"[]", "not a JSON object"),
        (b"\x02" + bytes(7) + b"{}", "not a pack: its metadata lacks planck.version"),
    ],
)
def test_what_is_no_pack_is_refused(tmp_path, raw, message):
    path = tmp_path / "x.planck"
    path.write_bytes(raw)
    with pytest.raises(PackFormatError, match=message):
        inspect(path)


def test_deep_json_is_refused_and_not_a_crash(tmp_path):
    path = tmp_path / "x.planck"
    put_together(path, b'{"a":' + b"[" * 200_000, b"")
    with pytest.raises(PackFormatError, match="not UTF-8 JSON"):
        inspect(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "p.planck"
    model = tiny.config("qwen2", num_hidden_layers=1)
    write_pack(path, tiny.contents(model, tiny.weights(model)))
    return path


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_truncated_anywhere_it_is_refused(whole, tmp_path, data):
    raw = whole.read_bytes()
    cut = tmp_path / "cut.planck"
    cut.write_bytes(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(PackFormatError):
        inspect(cut)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_one_changed_byte_anywhere_is_never_missed(whole, tmp_path, data):
    """But for `planck.source`: where a pack comes from is a remark, which nothing in the pack can prove."""
    raw = bytearray(whole.read_bytes())
    header_end = read_header(whole).data_start
    place = data.draw(st.one_of(st.integers(0, header_end - 1), st.integers(0, len(raw) - 1)))
    raw[place] ^= data.draw(st.integers(1, 255))
    changed: Path = tmp_path / "changed.planck"
    changed.write_bytes(raw)
    try:
        report = inspect(changed)
    except PackFormatError:
        return
    if report.ok:
        assert report.metadata != read_header(whole).metadata
        assert report.metadata | {"planck.source": ""} == read_header(whole).metadata | {"planck.source": ""}
