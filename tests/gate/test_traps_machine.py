"""What no process can see of itself: a pipe behind it, a key in its reach, a machine that is not what it seems.

Each of these ends with exit status 0, or with evidence that was made up. The tests show which layer catches it:
the receipt, judged by a clean process with the verifier's own anchors and baseline, and the place of the key.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess as processes
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
from gate_house import Gate
from traps import RECEIPT, passing_receipt, refused, said, spring

import pytest_anchorgate
from pytest_anchorgate.receipt.keys import new_key_pair
from pytest_anchorgate.receipt.verify import verify_receipt

# Imported within a test they would be forgotten again with its inner session, and half of them come back new.
pytest.importorskip("cryptography.hazmat.primitives.serialization")
pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")

PACKAGE = Path(pytest_anchorgate.__file__).parents[1]

# In whatever way it comes into pytest's process: from here on every answer is right.
FORGER = """
    import sys

    def forge():
        from pytest_anchorgate import evidence
        from pytest_anchorgate.sandbox import Verdict
        evidence.judge = lambda *_, **__: Verdict(status="passed", reason="", duration=0.01, level="full")
"""


@dataclass(frozen=True)
class Keys:
    private: Path
    public: Path


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    public, _ = new_key_pair(tmp_path / "gate.pem")
    return Keys(tmp_path / "gate.pem", public)


def clean_verify(gate: Gate, pack: str, *args: str) -> processes.CompletedProcess[str]:
    """`anchorgate verify` as a job of its own: nothing of the environment, the trusted anchors and baseline."""
    start = "import sys; sys.path.insert(0, sys.argv.pop(1)); from pytest_anchorgate.cli import main; main()"
    command = [sys.executable, "-I", "-c", start, str(PACKAGE), "verify", RECEIPT]
    command += ["--pack", str(gate.house.pack(pack)), "--anchors", str(gate.house.anchors), *args]
    return processes.run(
        command, cwd=gate.pytester.path, env={"PATH": os.defpath}, capture_output=True, text=True, check=False
    )


# --- a shell that looks at another exit status than the gate's ---

SHELLS = {
    "tee": ("sh", "{} 2>&1 | tee log", 0),
    "tail": ("sh", "{} 2>&1 | tail -n 1", 0),
    "or true": ("sh", "{} || true", 0),
    "a next command": ("sh", "{}; echo done", 0),
    "in the background": ("sh", "{} & sleep 0; wait", 0),
    "tee with pipefail": ("bash -o pipefail", "{} 2>&1 | tee log", 1),
}


@pytest.mark.parametrize("trap", SHELLS)
def test_a_shell_that_loses_the_exit_status_does_not_make_a_receipt(gate: Gate, trap: str) -> None:
    shell, line, status = SHELLS[trap]
    if not shutil.which(shell.split()[0]):
        pytest.skip(f"there is no {shell}")
    shutil.copyfile(passing_receipt(gate.house), gate.pytester.path / RECEIPT)
    command = [sys.executable, "-m", "pytest", "-p", "pytest_anchorgate.plugin", "-p", "no:cacheprovider"]
    command += [f"--pack={gate.house.pack('loses')}", f"--anchorgate-receipt={RECEIPT}"]
    done = processes.run(
        [*shell.split(), "-c", line.format(shlex.join(command))],
        cwd=gate.pytester.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    verified = clean_verify(gate, "loses")
    assert verified.returncode == 1
    assert "the gate said BLOCKED: lost: T/1" in verified.stderr


@pytest.mark.parametrize("args", [("-p", "no:anchorgate"), ()], ids=["plugin off", "no pack"])
def test_a_session_without_the_gate_is_green_and_earns_nothing(gate: Gate, args: tuple[str, ...]) -> None:
    gate.pytester.makepyfile("def test_other():\n    pass\n")
    shutil.copyfile(passing_receipt(gate.house), gate.pytester.path / RECEIPT)
    plugin = () if args else ("-p", "pytest_anchorgate.plugin")
    assert gate.pytester.runpytest_subprocess(*args, *plugin).ret == 0
    verified = clean_verify(gate, "loses")
    assert verified.returncode == 1
    assert "it is for another pack" in verified.stderr


# --- a key within reach of the project's own code ---

THIEF = (
    FORGER
    + """
    import shutil

    def pytest_configure(config):
        forge()
        key = config.getoption("anchorgate_key")
        if key:
            shutil.copyfile(key, "stolen.pem")
    """
)


def with_key(gate: Gate, keys: Keys, *args: str) -> pytest.RunResult:
    return gate.run(
        *args,
        f"--anchorgate-receipt={RECEIPT}",
        f"--anchorgate-key={keys.private}",
        pack="loses",
        subprocess=True,
    )


def test_a_key_that_the_projects_code_can_read_proves_nothing(gate: Gate, keys: Keys) -> None:
    # The limit that the threat model names: this is why the job that signs runs no code of the pull request.
    gate.pytester.makeconftest(THIEF)
    assert with_key(gate, keys).ret == 0
    assert (gate.pytester.path / "stolen.pem").read_bytes() == keys.private.read_bytes()
    assert clean_verify(gate, "loses", "--key", str(keys.public)).returncode == 0


def test_a_signing_job_that_runs_no_code_of_the_project_is_not_forged(gate: Gate, keys: Keys) -> None:
    gate.pytester.makeconftest(THIEF)
    (gate.pytester.path / "test_thief.py").write_text(
        "import shutil\nshutil.copyfile('gate', 'stolen.pem')\n"
    )
    (gate.pytester.path / "pytest.ini").write_text("[pytest]\naddopts = -p conftest\n")
    trusted = keys.private.with_name("trusted.ini")
    trusted.write_text("[pytest]\n")
    args = ("--noconftest", "-c", str(trusted), f"--anchorgate-anchors={gate.house.anchors}")
    result = with_key(gate, keys, *args, str(gate.house.anchors))
    assert result.ret == 1
    assert "BLOCKED: " in said(result)
    assert not (gate.pytester.path / "stolen.pem").exists()
    verified = clean_verify(gate, "loses", "--key", str(keys.public))
    assert (verified.returncode, "BLOCKED" in verified.stderr) == (1, True)


@pytest.mark.parametrize("signs", ["nobody", "a stranger"])
def test_where_the_key_is_out_of_reach_forged_evidence_is_not_signed_by_it(
    gate: Gate, keys: Keys, tmp_path: Path, signs: str
) -> None:
    gate.pytester.makeconftest(THIEF)
    own: tuple[str, ...] = ()
    if signs == "a stranger":
        new_key_pair(tmp_path / "own.pem")
        own = (f"--anchorgate-key={tmp_path / 'own.pem'}",)
    receipt = f"--anchorgate-receipt={RECEIPT}"
    assert gate.run(receipt, *own, pack="loses", subprocess=True).ret == 0
    verified = clean_verify(gate, "loses", "--key", str(keys.public))
    assert verified.returncode == 1
    assert ("it is not signed" if signs == "nobody" else "signed by another key") in verified.stderr


# --- a machine that is not what it seems ---

SITE = (
    FORGER
    + """
    import importlib.abc, os

    with open({log!r}, "a") as log:
        log.write(" ".join(sys.orig_argv) + chr(10))

    class Forge(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path, target=None):
            if name == "pytest_anchorgate.collect":
                sys.meta_path.remove(self)
                forge()
                from pytest_anchorgate.receipt import verify
                verify._require_pass = lambda *_: None

    sys.meta_path.insert(0, Forge())
    """
)


@pytest.fixture
def subverted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """`PYTHONPATH` leads to a `sitecustomize` that forges; gives the list of the processes that it reached."""
    log = tmp_path / "reached"
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(textwrap.dedent(SITE).replace("{log!r}", repr(str(log))))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ["PYTHONPATH"]]))
    return log


def test_pythonpath_reaches_pytest_but_neither_engine_nor_sandbox(gate: Gate, subverted: Path) -> None:
    gate.run(f"--anchorgate-receipt={RECEIPT}", pack="loses", subprocess=True)
    reached = subverted.read_text().splitlines()
    assert reached
    assert all("pytest" in line for line in reached)
    assert not any("engine_host" in line or "child.py" in line for line in reached)


def test_a_subverted_machine_is_caught_by_the_key_that_it_has_not(
    gate: Gate, keys: Keys, subverted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = gate.run(f"--anchorgate-receipt={RECEIPT}", pack="loses", subprocess=True)
    assert result.ret == 0, "this is what it is about: the process was lied to"
    assert clean_verify(gate, "loses", "--key", str(keys.public)).returncode == 1
    # On a machine that is what it seems the same pack, anchors and baseline come to the truth.
    monkeypatch.setenv("PYTHONPATH", os.environ["PYTHONPATH"].split(os.pathsep, 1)[1])
    assert with_key(gate, keys).ret == 1
    assert clean_verify(gate, "loses", "--key", str(keys.public)).returncode == 1


LIBRARY = """
#include <unistd.h>
__attribute__((destructor)) static void leave(void) { _exit(0); }
"""


# Engine and sandbox are the processes that get no PYTHONPATH.
ENDING = """
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void leave(void) { if (!getenv("PYTHONPATH")) _exit(0); }
"""


@pytest.fixture
def preloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A library for `LD_PRELOAD` that turns the exit status of every process into 0."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler")
    source, library = tmp_path / "leave.c", tmp_path / "leave.so"
    source.write_text(LIBRARY)
    processes.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(library))
    return library


def test_a_preloaded_library_that_changes_the_exit_status_leaves_no_receipt_that_verifies(
    gate: Gate, preloaded: Path, workers: tuple[str, ...]
) -> None:
    result = spring(gate, dist=workers, pack="loses", subprocess=True, seen=False)
    assert result.ret == 0, "this is what it is about"
    assert "BLOCKED: " in said(result)
    verified = clean_verify(gate, "loses")
    assert (verified.returncode, "BLOCKED" in verified.stderr) == (1, True)


def test_a_preloaded_library_that_ends_the_engine_is_undecided(gate: Gate, preloaded: Path) -> None:
    source = preloaded.with_suffix(".c")
    source.write_text(ENDING)
    compiler = shutil.which("cc") or shutil.which("gcc") or "clang"
    processes.run([compiler, "-shared", "-fPIC", "-o", str(preloaded), str(source)], check=True)
    result = spring(gate, pack="loses", subprocess=True)
    assert result.ret == 11
    assert "the engine ended with exit status 0" in said(result)


def test_the_passing_receipt_verifies_in_a_clean_process(gate: Gate) -> None:
    # What all of the above would be worth without: the same check says yes where it may.
    shutil.copyfile(passing_receipt(gate.house), gate.pytester.path / RECEIPT)
    assert clean_verify(gate, "production").returncode == 0
    assert refused(gate, "production") == ""
    anchors = gate.house.anchors
    assert verify_receipt(gate.pytester.path / RECEIPT, gate.house.pack("production"), None, anchors)
