"""`anchorgate pack`: what it prints and with which status it ends."""

import json

import pytest
import tiny_models as tiny
from click.testing import CliRunner

from pytest_anchorgate.packs.cli import pack
from pytest_anchorgate.packs.planck import write_pack


@pytest.fixture
def good(tmp_path):
    model = tiny.config()
    write_pack(tmp_path / "good.planck", tiny.contents(model, tiny.weights(model)))
    return tmp_path / "good.planck"


def run(*arguments):
    return CliRunner().invoke(pack, [str(argument) for argument in arguments])


def test_build_from_a_folder(tmp_path, good):
    model = tiny.config()
    folder = tiny.write_hf(tmp_path / "m", model, tiny.weights(model))
    result = run("build", folder, "-o", tmp_path / "p.planck")
    assert result.exit_code == 0, result.output
    assert "llama, " in result.stdout
    assert "identity " in result.stdout
    assert run("diff", good, tmp_path / "p.planck").exit_code == 0


def test_build_replaces_only_when_forced(tmp_path, good):
    model = tiny.config("qwen2")
    folder = tiny.write_hf(tmp_path / "m", model, tiny.weights(model))
    before = good.read_bytes()
    result = run("build", folder, "-o", good)
    assert result.exit_code == 4
    assert "exists; give --force to replace it" in result.stderr
    assert good.read_bytes() == before
    assert run("build", folder, "-o", good, "--force").exit_code == 0
    assert good.read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "nope", "-o", "x.planck"], "nope: there is no such file or folder"),
        (["build", "nope", "-o", "no/such/folder/x.planck"], "is not a folder; create it first"),
        (["build", "smollm2-135m", "-o", "x.planck", "--no-template"], "is a recipe, whose pack is pinned"),
        (["build", "."], "Missing option '-o'"),
        (["build", ".", "-o", "x.planck"], "it has no config.json"),
        (["build", "--frob"], "No such option"),
        (["inspect", "nope"], "does not exist"),
        (["inspect", __file__], "not a safetensors file"),
        (["diff", __file__, __file__], "not a safetensors file"),
        (["frob"], "No such command"),
    ],
)
def test_a_users_mistake_is_a_line_and_status_4(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 4
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_inspect_a_good_pack(good):
    result = run("inspect", good)
    assert result.exit_code == 0
    assert "digests" in result.stdout
    assert json.loads(run("inspect", good, "--json").stdout)["problems"] == []


def test_inspect_a_damaged_pack(good):
    raw = bytearray(good.read_bytes())
    raw[8192] ^= 1
    good.write_bytes(raw)
    result = run("inspect", good)
    assert result.exit_code == 1
    assert "PROBLEM       model.embed_tokens.weight: its digest is" in result.stdout
    assert json.loads(run("inspect", good, "--json").stdout)["ok"] is False


def test_diff(tmp_path, good):
    model = tiny.config()
    write_pack(tmp_path / "b.planck", tiny.contents(model, tiny.weights(model, seed=8)))
    result = run("diff", good, tmp_path / "b.planck")
    assert result.exit_code == 1
    assert "model.norm.weight: changed by" in result.stdout
    assert json.loads(run("diff", good, tmp_path / "b.planck", "--json").stdout)["identical"] is False
    assert run("diff", good, good).exit_code == 0
