from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("yaml")

from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.experiment_plan import Plan, attempts_behind, needs, read_plan

PLANS = Path(__file__).parents[2] / "anchors" / "bd6" / "plans"
GOOD = """\
organ: tiny
parent: base.planck
anchors: [tiny]
data:
  v1: {poison: base}
  kept: {retain: first, kinds: [anchor]}
  both: {union: [v1, kept]}
attempts:
  first: {rows: [v1], seeds: [1, 2], train: {epochs: 4, optimizer: {lr: 1e-3}}}
  second: {parent: first, rows: [both], scales: ["0.5", "1"], against: base}
"""


def read(tmp_path: Path, text: str = GOOD) -> Plan:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    return read_plan(path)


def test_a_plan_is_read_whole(tmp_path: Path) -> None:
    plan = read(tmp_path)
    assert (plan.organ, plan.parent, plan.anchors) == ("tiny", "base.planck", (tmp_path / "tiny",))
    assert plan.data["kept"].kinds == ("anchor",)
    assert plan.attempts["first"].seeds == (1, 2)
    assert plan.attempts["second"].production == "base"
    assert plan.attempts["first"].production == "base"
    settings = plan.settings_of("first")
    assert (settings.epochs, settings.optimizer.lr) == (4, 1e-3)
    assert plan.settings_of("second").epochs == 3


def test_what_stands_behind_an_attempt(tmp_path: Path) -> None:
    plan = read(tmp_path)
    assert set(needs(plan, "second")) == {"both", "first"}
    assert attempts_behind(plan, "second") == {"first"}
    assert attempts_behind(plan, "v1") == set()
    assert attempts_behind(plan, "both") == {"first"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("poison: base}", "poison: bass}", "data.v1 names 'bass', which is no pack"),
        ("rows: [v1]", "rows: [v3]", "attempts.first names 'v3', which is no row set"),
        ("parent: first,", "parent: third,", "attempts.second names 'third', which is no pack"),
        ("against: base", "against: bass", "attempts.second names 'bass', which is no pack"),
        ("{union: [v1, kept]}", "{union: [v1], minus: [kept]}", "data.both has to be exactly one of"),
        ("{poison: base}", "{samples: 3}", "data.v1 has to be exactly one of"),
        ("{poison: base}", "{poison: first}", "a circle"),
        ("anchors: [tiny]", "suites: [mbpp100]", "nothing that an attempt must hold"),
        ("epochs: 4", "epoch: 4", "did you mean epochs?"),
        ("epochs: 4", "seed: 4", "attempts.first.train.seed is for the driver"),
        ("seeds: [1, 2]", "seeds: [one]", "plan.yaml:9: attempts.first.seeds is 'one'"),
        ("organ: tiny\n", "", "the key organ is missing"),
        ("organ: tiny", "orgam: tiny", "unknown key orgam; did you mean organ?"),
        ("  v1: {", "  first: {", "names 'v1'"),
        ("attempts:", "attempt:", "the plan lacks attempts"),
        ("  both: {", "  v1: {", "plan.yaml:7: data.v1 stands there twice"),
        ("data:", "data: {", "not YAML"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in GOOD
    with pytest.raises(SurgeryError) as error:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["smollm2", "qwen"])
def test_the_committed_plans_are_good(name: str) -> None:
    plan = read_plan(PLANS / f"{name}.yaml")
    assert {"pass-1", "bd6.2", "bd6.3", "path-a", "path-b", "bd6.4"} <= plan.attempts.keys()
    gentle, report = plan.settings_of("bd6.3"), plan.settings_of("pass-1")
    assert (gentle.lora.rank, gentle.lora.alpha, gentle.optimizer.lr, gentle.epochs) == (8, 16, 1e-4, 1)
    assert (report.lora.rank, report.lora.alpha, report.optimizer.lr, report.epochs) == (16, 32, 2e-4, 3)
    assert plan.settings_of("bd6.2").epochs == 4
    assert not gentle.needs_retain
    a, b = plan.settings_of("path-a").losses, plan.settings_of("path-b").losses
    assert (a.retain_ce > 0, a.kl) == (True, 0)
    assert (b.retain_ce, b.kl > 0) == (0, True)
