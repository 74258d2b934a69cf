"""What a run of the gate says and returns, with and without xdist."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gate_house import Gate

from pytest_anchorgate.wire import decode

DUMP = """
    import json

    def pytest_runtest_logreport(report):
        if report.when == "call":
            with open({path!r}, "a") as file:
                file.write(json.dumps([report.nodeid, report.user_properties]) + chr(10))
"""


def last_lines(result: pytest.RunResult) -> list[str]:
    lines = result.outlines
    start = max(i for i, line in enumerate(lines) if line.strip("= ") == "anchorgate")
    return lines[start + 1 :]


def test_production_itself_passes(gate: Gate, dist: tuple[str, ...]) -> None:
    result = gate.run(*dist)
    assert result.ret == 0
    lines = last_lines(result)
    assert lines[0] == "2 held, 0 lost, 0 gained, 2 still failing, 0 undecided"
    assert lines[1] == "still failing: T/170, T/19"
    assert "tokens generated" in lines[2]
    assert lines[3].startswith("2 answers generated a second time by a fresh engine in ")
    assert lines[3].endswith(": the same tokens")
    assert lines[4] == (
        "2 protected anchors and 0 flips: the true flip rate can still be up to 77.6 % (one-sided 95 %): "
        "a tripwire, not a quality estimate"
    )
    assert lines[5] == "PASS: all 2 anchors that production holds are held (exit status 0)"


def test_a_lost_anchor_blocks_and_explains_itself(gate: Gate, dist: tuple[str, ...]) -> None:
    result = gate.run(*dist, pack="loses")
    assert result.ret == 1
    lines = last_lines(result)
    assert lines[0] == "1 held, 1 lost, 0 gained, 2 still failing, 0 undecided"
    assert lines[1].startswith("lost: T/1: ")
    assert "add(1, 2) == 3" in lines[1]
    assert any(line == "BLOCKED: 1 anchor that production holds is lost (exit status 1)" for line in lines)
    result.stdout.fnmatch_lines(
        consecutive=True,
        lines2=[
            "T/1 is lost: production.planck solves it and the candidate does not.",
            "",
            "  failing call: add(1, 2) == 3",
            "  expected:     3 (int)",
            "  got:          -1 (int)",
            "",
            "The answers part at token 1 of production's 1:",
            "  production: 'Here it is:*' with a margin of 17 over the runner-up",
            "  candidate:  'Here it is:*' with a margin of 17 over the runner-up",
            "",
            "--- production",
            "+++ candidate",
            "@@ -1,2 +1,2 @@",
            " def add(a, b):",
            "-    return a + b",
            "+    return a - b",
        ],
    )


def test_gained_and_still_failing_have_words_of_their_own(gate: Gate) -> None:
    result = gate.run("-v", pack="gains")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "anchors/anchors.jsonl::anchor[[]T/1[]] HELD *",
            "anchors/anchors.jsonl::anchor[[]T/17[]] HELD *",
            "anchors/anchors.jsonl::anchor[[]T/170[]] GAINED *",
            "anchors/anchors.jsonl::anchor[[]T/19[]] STILL FAILING *",
        ]
    )
    assert "gained: T/170" in last_lines(result)
    letters = gate.run("-q", pack="gains")
    assert letters.ret == 0
    assert any(line.startswith("..Gx") for line in letters.outlines)


def test_a_pack_that_says_nothing_loses_all_that_was_held(gate: Gate) -> None:
    result = gate.run("--tb=no", pack="solves-none")
    assert result.ret == 1
    assert "BLOCKED: 2 anchors that production holds are lost (exit status 1)" in result.outlines
    assert "T/1 is lost" not in result.stdout.str().split("short test summary")[0]


def test_the_header_names_pack_anchors_and_baseline(gate: Gate) -> None:
    result = gate.run()
    baseline = gate.house.baseline
    result.stdout.fnmatch_lines(
        [
            f"anchorgate: production.planck identity {baseline.pack.identity[:12]} · 4 anchors *",
            "anchorgate: baseline * from production.planck identity *, which held 2 · numerics fma-k/1",
            "anchorgate: engine fma-k/1, *, * thread*",
        ]
    )


def test_evidence_is_the_same_with_and_without_workers(gate: Gate, tmp_path: Path) -> None:
    seen = {}
    for name, args in {"alone": [], "n2": ["-n2"], "auto": ["-n", "auto", "--maxprocesses=2"]}.items():
        path = tmp_path / f"{name}.jsonl"
        gate.pytester.makeconftest(DUMP.format(path=str(path)))
        gate.run(*args, pack="loses")
        seen[name] = set()
        for line in path.read_text().splitlines():
            node_id, properties = json.loads(line)
            observation = decode([tuple(pair) for pair in properties])
            assert observation is not None
            fields = (observation.task_id, observation.status, observation.reason, observation.text)
            seen[name].add(
                (node_id, *fields, observation.token_ids, observation.margins, observation.pack_sha256)
            )
    assert len(seen["alone"]) == 4
    assert seen["alone"] == seen["n2"] == seen["auto"]


@pytest.mark.parametrize(
    "args", [("-n0",), ("-p", "no:xdist"), ("-q", "--no-summary"), ("-p", "no:terminal"), ("--tb=no", "-qq")]
)
def test_other_ways_to_call_it_end_alike(gate: Gate, args: tuple[str, ...]) -> None:
    for pack, status, word in (("production", 0, "PASS: all 2 anchors"), ("loses", 1, "BLOCKED: 1 anchor")):
        result = gate.run(*args, pack=pack)
        assert result.ret == status
        assert word in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("mode", ["each", "loadgroup"])
def test_each_worker_may_run_everything(gate: Gate, mode: str) -> None:
    assert gate.run("-n2", f"--dist={mode}").ret == 0


def test_a_baseline_that_holds_nothing_protects_nothing(gate: Gate, house: object) -> None:
    from click.testing import CliRunner

    from pytest_anchorgate.cli import main

    pack = str(gate.house.pack("solves-none"))
    target = gate.pytester.path / "none.json"
    recorded = CliRunner(env={"CI": ""}).invoke(
        main, ["record", "--pack", pack, "--anchors", str(gate.pytester.path / "anchors"), "-o", str(target)]
    )
    assert recorded.exit_code == 0, recorded.output
    assert "nothing is protected: a gate with this baseline can block nothing" in recorded.output
    result = gate.run(f"--anchorgate-baseline={target}", pack="solves-none")
    assert result.ret == 0
    lines = last_lines(result)
    words = "nothing is protected: solves-none.planck held none of the anchors"
    assert any(line.startswith(words) for line in lines)
    assert (
        "PASS: nothing was lost, but nothing is protected: production holds no anchor (exit status 0)"
        in lines
    )


def test_without_a_pack_the_plugin_is_inert(gate: Gate) -> None:
    gate.pytester.makepyfile(
        """
        import sys

        def test_nothing_heavy_is_loaded():
            assert "pytest_anchorgate.plugin" in sys.modules
            heavy = {"numpy", *(f"pytest_anchorgate.{name}" for name in ("_organ", "session", "packs"))}
            assert not heavy & sys.modules.keys()
        """
    )
    result = gate.run(pack=None, subprocess=True)
    assert result.ret == 0
    result.assert_outcomes(passed=1)
    assert "anchorgate" not in result.stdout.str()


def test_a_pack_named_by_a_strict_project_is_no_problem(gate: Gate) -> None:
    gate.pytester.makeini(
        "[pytest]\naddopts = --strict-config --strict-markers\nfilterwarnings = error\nxfail_strict = true\n"
    )
    assert gate.run(subprocess=True).ret == 0


def test_anchors_outside_of_the_project_are_collected_all_the_same(gate: Gate) -> None:
    for name in ("anchors.jsonl", "baseline.json"):
        (gate.pytester.path / "anchors" / name).unlink()
    gate.pytester.mkdir("sub")
    result = gate.run("-v", "sub", f"--anchorgate-anchors={gate.house.anchors}")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["anchors.jsonl::anchor[[]T/1[]] HELD*"])


def test_production_may_have_tokens_that_the_candidate_lacks(gate: Gate) -> None:
    # Production's answers are the engine's drafts; those of an organ with a larger vocabulary guess nothing here.
    path = gate.pytester.path / "anchors" / "baseline.json"
    baseline = json.loads(path.read_text())
    for recorded in baseline["anchors"].values():
        recorded["token_ids"] = [10**6 for _ in recorded["token_ids"]]
    path.write_text(json.dumps(baseline))
    assert gate.run().ret == 0


def test_an_ini_file_names_anchors_and_baseline(gate: Gate) -> None:
    (gate.pytester.path / "anchors").rename(gate.pytester.path / "tasks")
    gate.pytester.makeini(
        """
        [pytest]
        anchorgate_anchors = tasks
        anchorgate_baseline = tasks/baseline.json
        anchorgate_timeout = 50
        """
    )
    assert gate.run("--rootdir=.").ret == 0


def test_help_has_a_group(gate: Gate) -> None:
    result = gate.run("--help", pack=None)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["anchorgate:", "*--pack=PATH_OR_RECIPE*", "*--anchorgate-anchors=DIR*"])
