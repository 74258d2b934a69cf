"""One YAML file in: every key known, every default out again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("yaml")

from pytest_anchorgate.surgery.config import TrainSettings, parse_settings, read_settings
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.strict_yaml import differing_key

LEAST = "parent: smollm2-135m\nrows: [a.jsonl, ../b.jsonl]\n"
FOLDER = Path("/somewhere/settings")


def test_paths_are_relative_to_the_file_and_mean_the_same_wherever_they_are_echoed(tmp_path: Path) -> None:
    (tmp_path / "p.planck").write_bytes(b"")
    settings = parse_settings("parent: p.planck\nrows: [a.jsonl]\n", "t.yaml", tmp_path)
    assert settings.rows == (tmp_path / "a.jsonl",)
    assert settings.parent == str(tmp_path / "p.planck")
    run = tmp_path / "runs" / "one"
    echoed = settings.to_yaml(run)
    assert str(tmp_path) not in echoed
    assert parse_settings(echoed, "run.yaml", run) == settings


def test_every_default_is_echoed_and_read_back() -> None:
    settings = parse_settings(LEAST + "optimizer: {lr: 5e-5}\n", "t.yaml", FOLDER)
    echoed = settings.to_yaml(FOLDER)
    for field in dataclasses.fields(TrainSettings):
        assert f"{field.name}:" in echoed
        if dataclasses.is_dataclass(getattr(settings, field.name)):
            for inner in dataclasses.fields(getattr(settings, field.name)):
                assert f"  {inner.name}:" in echoed
    assert parse_settings(echoed, "run.yaml", FOLDER) == settings
    assert settings.optimizer.lr == 5e-5


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("lora:\n  rnak: 3\n", 4, "unknown key lora.rnak; did you mean rank?"),
        ("zzz: 3\n", 3, "unknown key zzz; known keys here: parent, rows"),
        ("lora:\n  rank: 0\n", 4, "lora.rank is 0, it must be at least 1"),
        ("lora:\n  targets: [q_proj, lm_head]\n", 4, "lora.targets is 'lm_head', not one of q_proj"),
        ("lora:\n  targets: [q_proj, q_proj]\n", 4, "lora.targets names something twice"),
        ("lora:\n  targets: []\n", 4, "lora.targets is not a list of at least one value"),
        ("lora: {dropout: 1}\n", 3, "lora.dropout is 1, it must be below 1"),
        ("optimizer: {lr: fast}\n", 3, "optimizer.lr is 'fast', not a number"),
        ("optimizer: {lr: .nan}\n", 3, "optimizer.lr is '.nan', not a number"),
        ("optimizer: {lr: nan}\n", 3, "optimizer.lr is 'nan', not a number"),
        ("epochs: 1.5\n", 3, "epochs is '1.5', not a whole number"),
        ("epochs:\n", 3, "epochs is empty"),
        ("epochs: [1]\n", 3, "epochs is not a single value"),
        ("epochs: 1\nepochs: 2\n", 4, "the key epochs stands there twice"),
        ("schedule: {kind: linear}\n", 3, "schedule.kind is 'linear', not one of cosine, constant"),
        ("schedule: linear\n", 3, "schedule is not a mapping"),
        ("certificate: {stop: maybe}\n", 3, "certificate.stop is 'maybe', not true or false"),
        ("epochs: [\n", 4, "not YAML"),
        ("? [a]\n: 1\n", 3, "is not a word"),
    ],
)
def test_a_mistake_names_line_and_key(text: str, line: int, says: str) -> None:
    with pytest.raises(SurgeryError) as caught:
        parse_settings(LEAST + text, "t.yaml", FOLDER)
    message = str(caught.value)
    assert message.startswith(f"t.yaml:{line}: ")
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty; give at least parent and rows"),
        ("parent: x\n", "the key rows is missing"),
        ("[1]\n", "the file is not a mapping"),
        (LEAST + "losses: {poison_ce: 0, retain_ce: 0, kl: 0}\n", "every weight in losses is 0"),
        (LEAST + "losses: {kl_least: 9, kl_most: 8}\n", "losses.kl_least is above losses.kl_most"),
    ],
)
def test_what_no_run_can_be_made_of_is_refused(text: str, says: str) -> None:
    with pytest.raises(SurgeryError, match=r"^t\.yaml") as caught:
        parse_settings(text, "t.yaml", FOLDER)
    assert says in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(b"parent: \xff\n")
    with pytest.raises(SurgeryError, match="not UTF-8 at byte 8"):
        read_settings(path)


def test_the_first_key_that_differs_is_found() -> None:
    one = parse_settings(LEAST, "t.yaml", FOLDER)
    other = parse_settings(LEAST + "lora: {rank: 4}\n", "t.yaml", FOLDER)
    assert differing_key(one, other) == "lora.rank"
    assert differing_key(one, one) is None
