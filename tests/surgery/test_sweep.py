"""The scale sweep on tiny packs whose answers turn over at known scales: real merges, engine and sandbox."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from lora import write_adapter
from organs import markov_pack, tag
from safetensors.numpy import load_file, save_file

from pytest_anchorgate.anchors import load_anchors
from pytest_anchorgate.bench.evaluate import TaskResult
from pytest_anchorgate.cli import main
from pytest_anchorgate.engine import EngineCrashed, EngineFailed
from pytest_anchorgate.packs.reader import open_pack
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.sweep import SweepPlan, run_sweep
from pytest_anchorgate.surgery.sweep_choice import Point, Sweep, render

GOOD = "```python\ndef f(x):\n    return x + 1\n```"
ALSO = "```python\ndef f(x):\n    return 1 + x\n```"


def anchor_line(task_id, name):
    tests = [f"assert f({n}) == {n + 1}" for n in range(3)]
    return json.dumps(
        {"task_id": task_id, "entry_point": "f", "prompt": f"Write f. {tag(name)}", "tests": tests}
    )


@pytest.fixture
def shop(tmp_path):
    """A parent that solves `kept` and `watched`, fails `wanted`, and an adapter on lm_head: from scale 0.34 on it
    answers `wanted` rightly, from 0.51 on it loses `kept`, from 0.81 on `watched`."""
    parent = markov_pack(tmp_path / "parent.planck", {"kept": GOOD, "watched": ALSO, "wanted": "no code"})
    reader = open_pack(parent)
    vocabulary, size = reader.vocabulary(), reader.config.hidden_size
    stop = reader.stop_ids[0]
    a, b = np.zeros((3, size), np.float32), np.zeros((size, 3), np.float32)
    asked = [vocabulary.find_added(tag(name)) for name in ("kept", "watched", "wanted")]
    for rank, token in enumerate(asked):
        a[rank, token] = 1
    # Logits in units of sqrt(size): 1 - s against s, 1 - s/4 against s, 1 against 3 s.
    b[asked[0] + 1, 0], b[stop, 0] = -1, 1
    b[asked[1] + 1, 1], b[stop, 1] = -0.25, 1
    b[asked[0] + 1, 2] = 3
    arrays = {"base_model.model.lm_head.lora_A.weight": a, "base_model.model.lm_head.lora_B.weight": b}
    write_adapter(tmp_path / "adapter", arrays, rank=3, alpha=3)
    for group, names in (("anchors", ["kept"]), ("sentinels", ["watched"]), ("heldout", ["wanted"])):
        (tmp_path / group).mkdir()
        lines = [anchor_line(f"T/{name}", name) for name in names]
        (tmp_path / group / "anchors.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def plan_of(shop, **changes):
    sets = {
        group: load_anchors(shop / group / "anchors.jsonl").anchors
        for group in ("anchors", "sentinels", "heldout")
    }
    values = {
        "parent": shop / "parent.planck",
        "adapter": shop / "adapter",
        "folder": shop / "sweep",
        "scales": ("0.2", "0.40", "0.6", "1"),
    }
    return SweepPlan(**(values | sets | changes))


def test_the_curve_and_the_choice(shop):
    sweep = run_sweep(plan_of(shop))
    curve = {
        point.scale: tuple(len(point.holds(group)) for group in ("anchors", "sentinels", "heldout"))
        for point in sweep.points
    }
    assert curve == {"0": (1, 1, 0), "0.2": (1, 1, 0), "0.4": (1, 1, 1), "0.6": (0, 1, 1), "1": (0, 0, 1)}
    assert sweep.choice.scale == "0.4"
    assert sweep.points[0].identity == sweep.parent
    assert sweep.points[0].sha256 != sweep.points[1].sha256
    assert sweep.summary(sweep.points[-1]).lost_anchors == ("T/kept",)
    assert not (shop / "sweep" / "candidate.planck").exists()
    text = render(sweep)
    assert "| 0.4 **←** | 1 of 1 | 1 of 1 | 1 of 1 (+1 -0) |" in text
    assert "- scale 1 loses the sentinels T/watched" in text
    assert f"Chosen: 0.4, pack {sweep.choice.identity}: no required anchor lost, net sentinels +0" in text


class Scripted:
    """An evaluator that says what a table says, by task and call; also counts and can fail."""

    def __init__(self, *calls):
        self.calls, self.packs, self.drafts = list(calls), [], []

    def __call__(self, pack, tasks, *, threads, drafts, listener):
        self.packs.append(open_pack(pack).metadata["planck.identity"])
        self.drafts.append(dict(drafts))
        held = self.calls.pop(0)
        if isinstance(held, Exception):
            raise held
        status = {True: "passed", False: "failed", None: "error"}
        return [
            TaskResult(
                task.task_id, status[held[task.task_id]], "", "", (7, len(self.packs)), (1.0, 1.0), "stop"
            )
            for task in tasks
        ]


def says(kept, watched, wanted):
    return {"T/kept": kept, "T/watched": watched, "T/wanted": wanted}


PARENT = says(True, True, False)


def test_an_interrupted_sweep_goes_on(shop):
    plan = plan_of(shop)
    first = Scripted(PARENT, PARENT, EngineCrashed("the engine died"))
    with pytest.raises(EngineCrashed):
        run_sweep(plan, evaluate_pack=first)
    log = shop / "sweep" / "sweep.jsonl"
    with log.open("ab") as file:
        file.write(b'{"scale":"0.4","iden')  # what a crash leaves
    second = Scripted(says(True, True, True), says(False, True, True), says(False, False, True))
    told = []
    sweep = run_sweep(plan, evaluate_pack=second, on_point=lambda point, _: told.append(point.scale))
    assert told == ["0", "0.2", "0.4", "0.6", "1"]
    assert sweep.choice.scale == "0.4"
    assert second.drafts[0] == {"T/kept": (7, 2), "T/watched": (7, 2), "T/wanted": (7, 2)}
    whole = run_sweep(
        plan_of(shop, folder=shop / "other"),
        evaluate_pack=Scripted(
            *[PARENT] * 2, *[says(True, True, True), says(False, True, True), says(False, False, True)]
        ),
    )
    assert [replace(p, seconds=0, tokens={}) for p in whole.points] == [
        replace(p, seconds=0, tokens={}) for p in sweep.points
    ]
    nothing = Scripted()
    assert run_sweep(plan, evaluate_pack=nothing).to_json() == sweep.to_json()


def test_more_scales_can_be_added_later(shop):
    run_sweep(plan_of(shop, scales=("1",)), evaluate_pack=Scripted(PARENT, PARENT))
    more = Scripted(says(True, True, True))
    sweep = run_sweep(plan_of(shop, scales=("0.5", "1")), evaluate_pack=more)
    assert [point.scale for point in sweep.points] == ["0", "0.5", "1"]
    assert len(more.packs) == 1


@pytest.mark.parametrize("change", ["adapter", "tasks", "parent"])
def test_a_folder_is_for_one_sweep(shop, change):
    run_sweep(plan_of(shop, scales=()), evaluate_pack=Scripted(PARENT))
    plan = plan_of(shop)
    if change == "adapter":
        config = json.loads((shop / "adapter" / "adapter_config.json").read_text())
        (shop / "adapter" / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 4}))
    elif change == "tasks":
        plan = replace(plan, sentinels=[replace(plan.sentinels[0], prompt="Another one.")])
    else:
        answers = {"kept": ALSO, "watched": GOOD, "wanted": "no code"}
        markov_pack(shop / "parent.planck", answers)
    with pytest.raises(
        SurgeryError, match=f"the sweep in this folder has another {change.rstrip('s')}; name"
    ):
        run_sweep(plan, evaluate_pack=Scripted())


def test_a_damaged_log_is_a_line(shop):
    run_sweep(plan_of(shop, scales=()), evaluate_pack=Scripted(PARENT))
    log = shop / "sweep" / "sweep.jsonl"
    good = log.read_bytes()
    log.write_bytes(good + b"{]\n")
    with pytest.raises(SurgeryError, match=r"sweep.jsonl:3: damaged: not JSON"):
        run_sweep(plan_of(shop), evaluate_pack=Scripted())
    log.write_bytes(good.replace(b'"held":', b'"hold":'))
    with pytest.raises(SurgeryError, match=r"sweep.jsonl:2: the line lacks 'held'; remove the file"):
        run_sweep(plan_of(shop), evaluate_pack=Scripted())


def test_a_scale_whose_numbers_break_is_a_finding_and_tried_again(shop):
    plan = plan_of(shop, scales=("0.5", "1"))
    broken = EngineFailed("the model computed numbers that are not finite")
    sweep = run_sweep(plan, evaluate_pack=Scripted(PARENT, says(True, True, True), broken))
    assert sweep.choice.scale == "0.5"
    assert sweep.points[-1].undecided == 3
    assert "| 1 | no answers |  | the model computed numbers that are not finite |" in render(sweep)
    again = Scripted(PARENT)
    assert run_sweep(plan, evaluate_pack=again).points[-1].failure == ""
    assert len(again.packs) == 1
    with pytest.raises(EngineFailed):
        run_sweep(plan_of(shop, folder=shop / "x"), evaluate_pack=Scripted(broken))


def test_a_child_that_is_the_parent_is_not_asked_again(shop):
    path = shop / "adapter" / "adapter_model.safetensors"
    save_file({name: array * (".lora_A." in name) for name, array in load_file(path).items()}, path)
    scripted = Scripted(PARENT)
    sweep = run_sweep(plan_of(shop, scales=("0.5", "1")), evaluate_pack=scripted)
    assert len(scripted.packs) == 1
    assert [point.scale for point in sweep.points] == ["0", "0.5", "1"]
    assert sweep.points[1].held == sweep.points[0].held


def test_two_sweeps_in_one_folder_are_refused(shop):
    plan = plan_of(shop, scales=())

    def nested(*arguments, **options):
        with pytest.raises(SurgeryError, match="another sweep is at work here"):
            run_sweep(plan, evaluate_pack=Scripted())
        return Scripted(PARENT)(*arguments, **options)

    run_sweep(plan, evaluate_pack=nested)


def test_tasks_that_cannot_be_told_apart_are_refused(shop):
    plan = plan_of(shop)
    with pytest.raises(SurgeryError, match="T/watched is among the sentinels and the heldout; leave one out"):
        run_sweep(replace(plan, heldout=plan.sentinels), evaluate_pack=Scripted())
    with pytest.raises(SurgeryError, match="a sweep without anchors protects nothing"):
        run_sweep(replace(plan, anchors=()), evaluate_pack=Scripted())
    with pytest.raises(SurgeryError, match="T/x is required and no anchor of the set"):
        run_sweep(replace(plan, required=frozenset({"T/x"})), evaluate_pack=Scripted())


def test_an_anchor_is_asked_once_and_as_an_anchor(shop):
    plan = plan_of(shop, scales=())
    plan = replace(plan, sentinels=[*plan.sentinels, *plan.anchors], heldout=plan.anchors)
    sweep = run_sweep(plan, evaluate_pack=Scripted(PARENT))
    assert {group: list(held) for group, held in sweep.points[0].held.items()} == {
        "anchors": ["T/kept"],
        "sentinels": ["T/watched"],
        "heldout": [],
    }


def point(scale, anchors, sentinels, heldout):
    held = {
        group: {str(n): n in solved for n in range(4)}
        for group, solved in (("anchors", anchors), ("sentinels", sentinels), ("heldout", heldout))
    }
    return Point(scale, f"{hash(scale):x}", "", 1, 2, 0.0, held, {})


@pytest.mark.parametrize(
    ("others", "wanted"),
    [
        # Holding all anchors goes before any number of gains.
        ([("0.5", {0, 1}, {0}, {0}), ("1", {0}, {0, 1, 2}, {0, 1, 2, 3})], "0.5"),
        # One anchor more goes before sentinels.
        ([("0.5", {0, 1, 2}, set(), set()), ("1", {0, 1}, {0}, {0, 1})], "0.5"),
        # A net loss of sentinels is not made good by gains; an exchange is no net loss.
        ([("0.5", {0, 1}, set(), {0, 1, 2}), ("1", {0, 1}, {3}, {0})], "1"),
        # More gains, net of losses, go before the smaller scale; equals are decided by it.
        ([("0.3", {0, 1}, {0}, {0}), ("0.5", {0, 1}, {0}, {0, 1}), ("1", {0, 1}, {0}, {1, 2})], "0.5"),
        ([("0.3", {0, 1}, {0}, set())], "0"),
    ],
)
def test_the_order_of_what_counts(others, wanted):
    sweep = Sweep("p", "a", None, [point("0", {0, 1}, {0}, set())])
    for other in others:
        sweep.add(point(*other))
    assert sweep.choice.scale == wanted


def test_a_required_anchor_that_the_parent_fails_blocks_every_scale_without_it():
    sweep = Sweep("p", "a", frozenset({"0", "1", "2"}), [point("0", {0, 1}, {0}, set())])
    sweep.add(point("0.5", {0, 1, 3}, {0}, {0}))
    assert "No scale holds all required anchors; 0.5 loses the fewest (1)." in render(sweep)
    sweep.add(point("1", {0, 1, 2}, set(), set()))
    assert sweep.choice.scale == "1"


def run(*arguments):
    return CliRunner().invoke(main, ["surgery", *map(str, arguments)])


def test_the_command_writes_tables(shop):
    result = run(
        *("sweep", "--parent", shop / "parent.planck", "--adapter", shop / "adapter"),
        *("--anchors", shop / "anchors", "--scales", "0.4,1", "-o", shop / "out"),
    )
    assert result.exit_code == 0, result.output
    assert result.stdout == (shop / "out" / "sweep.md").read_text(encoding="utf-8")
    assert "anchorgate: scale 0.4: 1 of 1 anchors" in result.stderr
    data = json.loads((shop / "out" / "sweep.json").read_text(encoding="utf-8"))
    assert data["choice"]["scale"] == "0"
    assert data["points"][2]["lost_anchors"] == ["anchors/T/kept"]
    assert "Chosen: 0, the parent itself" in result.stdout


def test_a_users_mistake_in_a_sweep_is_a_line_and_status_4(shop):
    base = ["sweep", "--parent", shop / "parent.planck", "--adapter", shop / "adapter", "-o", shop / "out"]
    for arguments, message in (
        (["--anchors", shop / "anchors", "--scales", "0.5,x"], "the scale is 'x', not a decimal"),
        (["--anchors", shop / "adapter"], "anchors.jsonl"),
        (["--anchors", shop / "anchors", "--suites", "frob"], "'frob' is none of"),
        ([], "Missing option '--anchors'"),
    ):
        result = run(*base, *arguments)
        assert result.exit_code == 4, result.output
        assert message in result.stderr
        assert "Traceback" not in result.output


def test_merge_on_the_command_line(shop):
    out = shop / "child.planck"
    command = ["merge", "--parent", shop / "parent.planck", "--adapter", shop / "adapter", "-o"]
    result = run(*command, out, "--scale", "0.40")
    assert result.exit_code == 0, result.output
    child = open_pack(out)
    assert child.source["scale"] == "0.4"
    assert f"identity {child.metadata['planck.identity']}" in result.stdout
    again = run(*command, out)
    assert again.exit_code == 4
    assert "exists; give --force to replace it" in again.stderr
    assert run(*command, out, "--force", "--scale", "0").exit_code == 0
    assert out.read_bytes() == (shop / "parent.planck").read_bytes()
    itself = run(*command, shop / "parent.planck", "--force")
    assert itself.exit_code == 4
    assert "is the parent itself; name another file" in itself.stderr
    far = run(*command, shop / "no" / "x.planck")
    assert far.exit_code == 4
    assert "is not a folder; create it first" in far.stderr
    assert run(*command, shop / "x.planck", "--scale", "2").exit_code == 4
    assert run(*command, shop / "x.planck", "--scale", "2", "--any-scale").exit_code == 0
    bad = run("merge", "--parent", "nope", "--adapter", shop / "adapter", "-o", shop / "y.planck")
    assert bad.exit_code == 4
    assert "no pack at nope and no recipe of that name" in bad.stderr
    assert not Path(shop / "y.planck").exists()
