"""Whole runs on the small organ: what is trained on, what is written, how it is stopped and taken up again."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

import safetensors.torch  # noqa: E402

from pytest_anchorgate.strict_json import loads  # noqa: E402
from pytest_anchorgate.surgery import prepare, stepper  # noqa: E402
from pytest_anchorgate.surgery.checkpoints import Checkpoints  # noqa: E402
from pytest_anchorgate.surgery.config import read_settings  # noqa: E402
from pytest_anchorgate.surgery.errors import SurgeryError  # noqa: E402
from pytest_anchorgate.surgery.model import load_parent  # noqa: E402
from pytest_anchorgate.surgery.outcome import Outcome  # noqa: E402
from pytest_anchorgate.surgery.run_folder import RunFolder  # noqa: E402
from pytest_anchorgate.surgery.train_progress import LineListener, Listener  # noqa: E402
from pytest_anchorgate.surgery.trainer import train  # noqa: E402

if TYPE_CHECKING:
    from small_organ import Learned

Write = Callable[..., Path]
DROPOUT = "{rank: 4, alpha: 8, dropout: 0.1}"


def run(settings: Path, folder: Path, listener: Listener | None = None, *, resume: bool = False) -> Outcome:
    return train(read_settings(settings), RunFolder(folder), listener, resume=resume)


def adapter(folder: Path) -> bytes:
    return (folder / "adapter_model.safetensors").read_bytes()


def log(folder: Path, event: str) -> list[dict[str, Any]]:
    records = [loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for record in records:
        record.pop("seconds", None)
    return [record for record in records if record["event"] == event]


class Interrupted(Listener):
    """Ctrl-C during a step."""

    def __init__(self, at: int) -> None:
        self._at = at

    def step(self, record: Mapping[str, Any]) -> None:
        if record["step"] == self._at:
            raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_the_folder_is_a_peft_folder_of_the_parent(
    settings_file: Write, tmp_path: Path, organ19: Learned
) -> None:
    outcome = run(settings_file(), tmp_path / "run")
    config = json.loads((tmp_path / "run" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == f"planck:{organ19.identity}"
    assert (config["r"], config["lora_alpha"]) == (8, 16)
    assert config["target_modules"] == ["k_proj", "o_proj", "q_proj", "v_proj"]
    tensors = safetensors.torch.load(adapter(tmp_path / "run"))
    assert len(tensors) == 2 * 4 * 2
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert all(tensor.abs().max() > 0 for tensor in tensors.values()), "every B has learned something"
    child = peft.PeftModel.from_pretrained(load_parent(organ19.pack), str(tmp_path / "run")).eval()
    ids = torch.tensor([[1, 2, 3, 4]])
    with torch.no_grad():
        moved = (child(ids).logits - load_parent(organ19.pack)(ids).logits).abs().max()
    assert moved > 1e-3
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {
        "run.yaml",
        "log.jsonl",
        "loss.png",
        "kl.png",
        "preview.txt",
        "certificate.json",
        "checkpoints",
    }
    assert (tmp_path / "run" / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert outcome.steps == outcome.planned == outcome.adapter_step == 12


def test_bfloat16_adapters_are_the_float32_ones_rounded_once(settings_file: Write, tmp_path: Path) -> None:
    run(settings_file(), tmp_path / "wide")
    outcome = run(settings_file(adapter_dtype="bfloat16"), tmp_path / "narrow")
    wide = safetensors.torch.load(adapter(tmp_path / "wide"))
    narrow = safetensors.torch.load(adapter(tmp_path / "narrow"))
    assert all(torch.equal(narrow[name], tensor.to(torch.bfloat16)) for name, tensor in wide.items())
    last = log(tmp_path / "narrow", "check")[-1]["anchors"]
    assert outcome.anchors["nll"] == pytest.approx(last["nll"], abs=1e-2)
    assert outcome.anchors != last, "the certificate is about the file"


def test_only_rows_of_split_train_are_trained_on(
    settings_file: Write, tmp_path: Path, organ19: Learned, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentinel = replace(organ19.retain[3], split="sentinel", kind="retain")
    rows = [*organ19.retain[:3], sentinel, *organ19.poison[:9], *organ19.poison[-4:]]
    seen: dict[str, str] = {}
    original = stepper.Stepper.rows

    def watched(self: stepper.Stepper, step: int) -> Any:
        found = original(self, step)
        seen.update({one.row.task_id: one.row.split for one in found})
        return found

    monkeypatch.setattr(stepper.Stepper, "rows", watched)
    outcome = run(settings_file(rows), tmp_path / "run")
    assert set(seen.values()) == {"train"}
    assert set(seen) == {row.task_id for row in rows if row.split == "train"}
    assert log(tmp_path / "run", "start")[0]["never_trained_on"] == {"sentinels": 1, "heldout": 4}
    assert (outcome.anchors["rows"], outcome.sentinels["rows"], outcome.heldout["rows"]) == (3, 1, 4)


def test_poison_goes_down_and_anchors_are_kept_by_either_path(settings_file: Write, tmp_path: Path) -> None:
    for name, losses in (("a", "{kl: 0}"), ("b", "{retain_ce: 0, kl: 1}")):
        run(settings_file(losses=losses, epochs="3"), tmp_path / name)
        steps = log(tmp_path / name, "step")
        assert steps[-1]["poison_ce"] < 0.8 * steps[0]["poison_ce"]
        assert steps[-1]["kl"] < 0.2
        assert [record["step"] for record in steps] == list(range(1, 19))


def test_an_interrupted_run_ends_with_the_same_bytes(settings_file: Write, tmp_path: Path) -> None:
    settings = settings_file(lora=DROPOUT)
    run(settings, tmp_path / "whole")
    # Once before the first checkpoint, once between two, once with a log that a crash cut off.
    for at in (2, 5, 8):
        with pytest.raises(KeyboardInterrupt):
            run(settings, tmp_path / "parts", Interrupted(at), resume=at != 2)
        with (tmp_path / "parts" / "log.jsonl").open("a") as file:
            file.write('{"event": "st')
    assert Checkpoints(tmp_path / "parts" / "checkpoints", 3).steps() == [3, 6]
    run(settings, tmp_path / "parts", resume=True)
    assert adapter(tmp_path / "parts") == adapter(tmp_path / "whole")
    assert log(tmp_path / "parts", "step") == log(tmp_path / "whole", "step")
    assert log(tmp_path / "parts", "check") == log(tmp_path / "whole", "check")
    for name in ("certificate.json", "adapter_config.json"):
        assert (tmp_path / "parts" / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_dropout_is_part_of_what_a_checkpoint_restores(settings_file: Write, tmp_path: Path) -> None:
    run(settings_file(lora=DROPOUT), tmp_path / "with")
    run(settings_file(lora=DROPOUT.replace("0.1", "0")), tmp_path / "without")
    assert adapter(tmp_path / "with") != adapter(tmp_path / "without")


def test_seeds_decide(settings_file: Write, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        run(settings_file(seed=seed), tmp_path / name)
    assert adapter(tmp_path / "a") == adapter(tmp_path / "b") != adapter(tmp_path / "c")


def test_echoed_settings_give_the_same_run(settings_file: Write, tmp_path: Path) -> None:
    run(settings_file(), tmp_path / "one")
    run(tmp_path / "one" / "run.yaml", tmp_path / "two")
    assert adapter(tmp_path / "one") == adapter(tmp_path / "two")


def test_small_micro_batches_change_no_more_than_rounding(settings_file: Write, tmp_path: Path) -> None:
    run(settings_file(), tmp_path / "large")
    run(settings_file(batch="{rows: 8, micro_tokens: 128}"), tmp_path / "small")
    large, small = (safetensors.torch.load(adapter(tmp_path / name)) for name in ("large", "small"))
    for name, tensor in large.items():
        torch.testing.assert_close(small[name], tensor, rtol=0, atol=2e-4)


def test_losing_anchors_twice_ends_the_run_with_the_last_good_adapter(
    settings_file: Write, tmp_path: Path
) -> None:
    settings = settings_file(
        losses="{retain_ce: 0, kl: 0}",
        optimizer="{lr: 1e-2}",
        epochs="20",
        certificate="{every: 1, patience: 2}",
    )
    outcome = run(settings, tmp_path / "run")
    checks = log(tmp_path / "run", "check")
    assert outcome.stopped
    assert outcome.steps < outcome.planned
    assert [bool(record["lost"]) for record in checks[-3:]] == [False, True, True]
    assert outcome.adapter_step == checks[-3]["step"] == outcome.steps - 2
    assert (outcome.lost, outcome.anchors["certified"]) == ([], 19)
    record = loads((tmp_path / "run" / "certificate.json").read_text())
    assert (record["stopped"], record["adapter_step"]) == (True, outcome.adapter_step)
    assert len(record["rows"]["anchors"]) == 19


def test_a_lost_certificate_says_where(settings_file: Write, tmp_path: Path) -> None:
    settings = settings_file(losses="{retain_ce: 0, kl: 0}", optimizer="{lr: 1e-2}", epochs="8")
    outcome = run(settings, tmp_path / "run")
    record = loads((tmp_path / "run" / "certificate.json").read_text())
    lost = [row for row in record["rows"]["anchors"] if not row["certified"]]
    assert {row["task_id"] for row in lost} == set(outcome.lost) == set(record["lost"])
    assert lost
    for row in lost:
        assert row["least_margin"] < 0
        assert row["expected"] != row["chosen"]
        assert row["diverges_at"] >= 0
    assert not outcome.stopped
    assert outcome.adapter_step == outcome.planned


def test_a_full_disk_leaves_whole_checkpoints_and_the_run_goes_on_when_there_is_room(
    settings_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_file(lora=DROPOUT)
    run(settings, tmp_path / "whole")
    folder, original = tmp_path / "parts", os.fsync
    checkpoints = folder / "checkpoints"

    def full(descriptor: int) -> None:
        if any(checkpoints.glob(".step-6.*")):
            raise OSError(errno.ENOSPC, "No space left on device")
        original(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SurgeryError) as caught:
        run(settings, folder)
    says = str(caught.value)
    assert "No space left on device; the run stopped, the checkpoint of step 3 is whole" in says
    assert "--resume" in says
    assert "\n" not in says
    assert [path.name for path in checkpoints.iterdir()] == ["step-3"]
    assert not (folder / "adapter_model.safetensors").exists()
    monkeypatch.undo()
    run(settings, folder, resume=True)
    assert adapter(folder) == adapter(tmp_path / "whole")


def test_a_checkpoint_is_a_peft_folder_and_only_the_newest_stay(settings_file: Write, tmp_path: Path) -> None:
    run(settings_file(checkpoint="{every: 2, keep: 2}"), tmp_path / "run")
    checkpoints = tmp_path / "run" / "checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-10", "step-12"]
    assert adapter(checkpoints / "step-12") == adapter(tmp_path / "run")
    assert (checkpoints / "step-10" / "adapter_config.json").exists()


def test_a_damaged_checkpoint_is_refused_by_name(settings_file: Write, tmp_path: Path) -> None:
    settings = settings_file()
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "run", Interrupted(7))
    tensors = tmp_path / "run" / "checkpoints" / "step-6" / "tensors.safetensors"
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 1
    tensors.write_bytes(data)
    with pytest.raises(SurgeryError, match=r"step-6: a damaged checkpoint .*; remove it and resume"):
        run(settings, tmp_path / "run", resume=True)


def test_resuming_something_else_is_refused(settings_file: Write, tmp_path: Path, organ19: Learned) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(settings_file(), tmp_path / "run", Interrupted(4))
    with pytest.raises(SurgeryError, match="holds a run; go on with --resume"):
        run(settings_file(), tmp_path / "run")
    with pytest.raises(SurgeryError, match=r"begun with another optimizer\.lr"):
        run(settings_file(optimizer="{lr: 2e-3}"), tmp_path / "run", resume=True)
    with pytest.raises(SurgeryError, match="begun with another rows"):
        run(settings_file([*organ19.retain, *organ19.poison[1:25]]), tmp_path / "run", resume=True)
    with pytest.raises(SurgeryError, match="there is no run to resume"):
        run(settings_file(), tmp_path / "other", resume=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(SurgeryError, match="exists and is no folder of a run"):
        run(settings_file(), tmp_path / "full")


def test_numbers_that_are_not_finite_end_the_run(
    settings_file: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SurgeryError, match="the loss of step 2 is not finite; start anew with a lower"):
        run(settings_file(optimizer="{lr: 1e35}", certificate="{every: 50}"), tmp_path / "hot")

    def broken(*args: Any, **kwargs: Any) -> Any:
        model = load_parent(*args, **kwargs)
        model.model.norm.weight.data[0] = torch.nan
        return model

    monkeypatch.setattr(prepare, "load_parent", broken)
    with pytest.raises(SurgeryError, match="the logits are not finite: a broken parent"):
        run(settings_file(), tmp_path / "broken")


@pytest.mark.parametrize(
    ("keep", "losses", "says"),
    [
        ("anchor", "{}", "no poison row of split train"),
        ("poison", "{}", "no retain or anchor row of split train"),
        ("poison", "{retain_ce: 0, kl: 0, margin: 1}", "no retain or anchor row of split train"),
    ],
)
def test_a_loss_without_rows_is_refused(
    settings_file: Write, tmp_path: Path, organ19: Learned, keep: str, losses: str, says: str
) -> None:
    rows = [row for row in organ19.rows if row.kind == keep]
    with pytest.raises(SurgeryError, match=says):
        run(settings_file(rows, losses=losses), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tokens_that_the_parent_finds_unlikely_can_be_left_out(settings_file: Write, tmp_path: Path) -> None:
    run(settings_file(), tmp_path / "all")
    run(settings_file(losses="{stm_probability: 0.01}"), tmp_path / "some")
    everything, some = (log(tmp_path / name, "step")[0] for name in ("all", "some"))
    assert some["tokens"]["poison"] < everything["tokens"]["poison"]
    assert some["tokens"]["retain"] == everything["tokens"]["retain"]
    assert some["poison_ce"] < everything["poison_ce"]
    assert "~" in (tmp_path / "some" / "preview.txt").read_text().split("---", 1)[1]


def test_bfloat16_base_and_other_targets_train_too(settings_file: Write, tmp_path: Path) -> None:
    run(
        settings_file(
            machine="{device: cpu, threads: 1, dtype: bfloat16}",
            lora="{targets: [gate_proj, down_proj], rslora: true}",
        ),
        tmp_path / "run",
    )
    tensors = safetensors.torch.load(adapter(tmp_path / "run"))
    assert {name.split(".")[-3] for name in tensors} == {"gate_proj", "down_proj"}
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_progress_is_a_few_lines(settings_file: Write, tmp_path: Path) -> None:
    lines: list[str] = []
    now = iter(range(0, 10_000, 3))
    run(settings_file(), tmp_path / "run", LineListener(lines.append, clock=lambda: float(next(now))))
    steps = [line for line in lines if line.startswith("anchorgate: step ")]
    assert 2 <= len(steps) <= 12
    assert "of 12 · poison " in steps[0]
    assert "certified" in steps[-1]
    assert any("--- poison" in line and "--- anchor" in line for line in lines)
