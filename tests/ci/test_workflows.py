"""The workflows of docs/ci: what they promise about themselves, and their own commands, run as the services would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml
from gate_house import House

import pytest_anchorgate

CI = Path(__file__).parents[2] / "docs" / "ci"
GITHUB: dict[Any, Any] = yaml.safe_load((CI / "github-gate.yml").read_text())
GITLAB: dict[str, Any] = yaml.safe_load((CI / "gitlab-ci.yml").read_text())
PACK = "packs/candidate.planck"

needs_plugin = pytest.mark.skipif(
    not any(e.name == "anchorgate" for e in entry_points(group="pytest11")),
    reason="the plugin is not installed, and a workflow names it nowhere",
)


def github_step(job: str, name: str) -> list[str]:
    (step,) = [s for s in GITHUB["jobs"][job]["steps"] if s.get("name") == name]
    return [step["run"]]


def gitlab_script(job: str) -> list[str]:
    return [line for line in GITLAB[job]["script"] if "pip install" not in line]


class Runner:
    """A machine of a CI service: a shell that stops at the first failure, and the commands it finds."""

    def __init__(self, root: Path) -> None:
        tools = root / "bin"
        tools.mkdir()
        for name, module in (("python", ""), ("anchorgate", "-m pytest_anchorgate.cli")):
            tool = tools / name
            tool.write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n')
            tool.chmod(0o755)
        package = str(Path(pytest_anchorgate.__file__).parents[1])
        drop = {
            "PYTEST_ADDOPTS",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
            "GITHUB_STEP_SUMMARY",
            "PYTEST_XDIST_WORKER",
        }
        self.environment = {k: v for k, v in os.environ.items() if k not in drop} | {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]),
            "PACK": PACK,
            "CI": "true",
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        }

    def run(self, script: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        text = "\n".join(script)
        # As GitHub documents it for `shell: bash`.
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def checkout(house: House, folder: Path, pack: str) -> Path:
    """A checkout whose candidate is `pack`."""
    shutil.copytree(house.anchors.parent, folder / "anchors")
    (folder / "packs").mkdir()
    shutil.copyfile(house.pack(pack), folder / PACK)
    return folder


def give_up(folder: Path, runner: Runner) -> None:
    """The pull request records the candidate's own answers as the baseline."""
    done = runner.run(
        [f"unset CI; anchorgate record --pack {PACK} --anchors anchors --reason 'it is easier so'"], folder
    )
    assert done.returncode == 0, done.stderr


@needs_plugin
@pytest.mark.parametrize(
    ("pack", "trick", "gate_status", "verify_status"),
    [
        ("production", "", 0, 0),
        ("gains", "", 0, 0),
        ("loses", "", 1, 1),
        ("production", "skipped", None, 4),
        ("loses", "other baseline", 0, 1),
        ("loses", "conftest", 1, 1),
    ],
)
def test_github_jobs(
    house: House, runner: Runner, tmp_path: Path, pack: str, trick: str, gate_status: int, verify_status: int
) -> None:
    request = checkout(house, tmp_path / "request", pack)
    if trick == "other baseline":
        give_up(request, runner)
    if trick == "conftest":
        (request / "conftest.py").write_text("import os\nos._exit(0)\n")
    if trick != "skipped":
        gate = runner.run(github_step("gate", "gate"), request)
        assert gate.returncode == gate_status, gate.stdout + gate.stderr
    verifier = tmp_path / "verifier"
    verifier.mkdir()
    shutil.copytree(house.anchors.parent, verifier / "trusted" / "anchors")
    checkout(house, verifier / "candidate", pack)
    if (request / "receipt.jsonl").exists():
        shutil.copyfile(request / "receipt.jsonl", verifier / "receipt.jsonl")
    verify = runner.run(github_step("verify", "verify"), verifier)
    assert verify.returncode == verify_status, verify.stdout + verify.stderr


@needs_plugin
@pytest.mark.parametrize(("pack", "gate_status", "verify_status"), [("production", 0, 0), ("loses", 1, 1)])
def test_gitlab_jobs(
    house: House, runner: Runner, tmp_path: Path, pack: str, gate_status: int, verify_status: int
) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(house.anchors.parent, origin / "anchors")
    git = "git -c user.name=a -c user.email=a@b.c -c init.defaultBranch=main"
    made = runner.run([f"{git} init -q .", f"{git} add .", f"{git} commit -qm trusted"], origin)
    assert made.returncode == 0, made.stderr
    request = tmp_path / "request"
    assert runner.run([f"git clone -q origin {request}"], tmp_path).returncode == 0
    (request / "packs").mkdir()
    shutil.copyfile(house.pack(pack), request / PACK)
    gate = runner.run(gitlab_script("anchorgate"), request)
    assert gate.returncode == gate_status, gate.stdout + gate.stderr
    for report in GITLAB["anchorgate"]["artifacts"]["reports"].values():
        assert (request / report).is_file()
    verify = runner.run(gitlab_script("anchorgate-verify"), request)
    assert verify.returncode == verify_status, verify.stdout + verify.stderr


def test_the_required_check_of_github_cannot_be_skipped() -> None:
    verify = GITHUB["jobs"]["verify"]
    assert verify["if"] == "always()"
    assert verify["needs"] == "gate"
    assert [s["with"].get("ref") for s in verify["steps"] if "checkout" in s.get("uses", "")] == [
        "${{ github.event.pull_request.base.sha }}",
        None,
    ]


def test_github_gives_the_pull_request_nothing() -> None:
    # PyYAML reads the key `on` as the boolean.
    assert GITHUB[True] == {"pull_request": None}
    assert GITHUB["permissions"] == {"contents": "read"}
    assert "secrets." not in (CI / "github-gate.yml").read_text()
    for job in GITHUB["jobs"].values():
        checkouts = [s for s in job["steps"] if "checkout" in s.get("uses", "")]
        assert checkouts
        assert all(s["with"]["persist-credentials"] is False for s in checkouts)


def test_gitlab_keeps_the_receipt_of_a_red_gate_and_always_verifies() -> None:
    assert GITLAB["anchorgate"]["artifacts"]["when"] == "always"
    assert GITLAB["anchorgate-verify"]["rules"][0]["when"] == "always"
