"""The receipt of a real session: there only once the session has earned it, and gone before the next begins."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gate_house import Gate
from receipt_house import Office, hide_cryptography, statements

from pytest_anchorgate.receipt.canonical import sha256_hex
from pytest_anchorgate.receipt.errors import ReceiptError
from pytest_anchorgate.receipt.verify import Verified, verify_receipt

NAME = "r.jsonl"
WANTED = f"--anchorgate-receipt={NAME}"


@pytest.fixture(autouse=True)
def controller(monkeypatch: pytest.MonkeyPatch) -> None:
    # The inner sessions are no workers, even if this one runs on a worker.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


def place(gate: Gate) -> Path:
    return gate.pytester.path / NAME


def verify(gate: Gate, pack: str = "production", **more: object) -> Verified:
    return verify_receipt(place(gate), gate.house.pack(pack), anchors=gate.pytester.path / "anchors", **more)


def leave_stale(gate: Gate, office: Office) -> bytes:
    """A receipt of an earlier session, which would verify."""
    stale = office.receipt("production")
    place(gate).write_bytes(stale)
    verify(gate)
    return stale


def fails(gate: Gate, pack: str) -> str:
    with pytest.raises(ReceiptError) as caught:
        verify(gate, pack)
    return str(caught.value)


def test_a_pass_leaves_a_receipt_that_verifies(gate: Gate, dist: tuple[str, ...]) -> None:
    result = gate.run(WANTED, *dist, pack="gains")
    assert result.ret == 0
    verified = verify(gate, "gains")
    words = f"anchorgate: receipt {place(gate)}: PASSED, unsigned, sha256 {verified.sha256[:12]}"
    assert words in result.errlines
    assert {piece.worker for piece in verified.facts.pieces} <= ({"gw0", "gw1"} if dist else {""})
    assert verified.facts.runtime["threads"] == 2 or os.cpu_count() != 2
    assert verified.facts.harness["pytest"] == pytest.__version__
    assert (verified.facts.previous, verified.facts.exit_status) == (None, 0)
    assert [p.name for p in gate.pytester.path.iterdir() if p.name.endswith(".part")] == []


def test_with_a_key_it_is_signed(gate: Gate, office: Office) -> None:
    result = gate.run(WANTED, f"--anchorgate-key={office.root / 'key'}")
    assert result.ret == 0
    assert verify(gate, key=office.public, require_signature=True).key_id == office.key.key_id
    assert f"signed by key {office.key.key_id[:12]}" in result.stderr.str()


def test_ini_keys(gate: Gate, office: Office) -> None:
    gate.pytester.makeini(f"[pytest]\nanchorgate_receipt = {NAME}\nanchorgate_key = {office.root / 'key'}\n")
    stale = leave_stale(gate, office)
    gate.pytester.makepyfile(test_other="def test_other():\n    pass\n")
    assert gate.run("test_other.py", pack=None).ret == 0  # no run of the gate
    assert place(gate).read_bytes() == stale
    assert gate.run().ret == 0
    assert verify(gate, key=office.public).facts.previous == sha256_hex(stale)


def test_receipts_form_a_chain(gate: Gate, tmp_path: Path) -> None:
    gate.run(WANTED, pack="loses")
    first = tmp_path / "first"
    first.write_bytes(place(gate).read_bytes())
    gate.run(WANTED)
    assert verify(gate, previous=first).facts.previous == sha256_hex(first.read_bytes())


def test_without_the_option_there_is_none(gate: Gate) -> None:
    gate.run()
    assert not place(gate).exists()


def test_a_block_leaves_one_that_fails(gate: Gate, dist: tuple[str, ...]) -> None:
    assert gate.run(WANTED, *dist, pack="loses").ret == 1
    assert statements(place(gate).read_bytes())[0]["predicate"]["result"] == "FAILED"
    assert "the gate said BLOCKED: lost: T/1" in fails(gate, "loses")


NOT_COMPLETE = {
    "partial": ("--anchorgate-partial",),
    "some": ("-k", "T/17"),
    "deselected": ("--deselect", "anchors/anchors.jsonl::anchor[T/17]"),
    "one": ("anchors/anchors.jsonl::anchor[T/17]",),
}


@pytest.mark.parametrize("args", NOT_COMPLETE.values(), ids=NOT_COMPLETE.keys())
def test_an_undecided_run_leaves_none_that_verifies(
    gate: Gate, office: Office, args: tuple[str, ...]
) -> None:
    leave_stale(gate, office)
    assert gate.run(WANTED, *args).ret == 11
    assert "the gate said UNDECIDED" in fails(gate, "production")


def test_other_tests_that_fail_make_it_fail(gate: Gate) -> None:
    gate.pytester.makepyfile("def test_other():\n    assert False\n")
    assert gate.run(WANTED).ret == 1
    assert "the session failed (exit status 1)" in fails(gate, "production")


def test_a_conftest_that_turns_reports_round_leaves_one_that_fails(gate: Gate) -> None:
    gate.pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.outcome = "passed"
            return report

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_cmdline_main(config):
            yield
            return 0
        """
    )
    assert gate.run(WANTED, pack="loses").ret == 0  # nothing in this process can help that
    assert "the gate said BLOCKED" in fails(gate, "loses")


NOTHING_RUNS = ["--collect-only", "--setup-plan", "--fixtures", "--markers", "--help"]
USAGE_ERRORS = {
    "unknown option": ("--there-is-no-such-option",),
    "another option's value": ("--anchorgate-threads=none",),
    "no baseline": ("--anchorgate-baseline=none.json",),
    "no key": ("--anchorgate-key=none.pem",),
    "no pack": ("--pack=none.planck",),
    "no such test": ("there/is/no/such/folder",),
}


@pytest.mark.parametrize("flag", NOTHING_RUNS)
def test_a_run_of_nothing_leaves_none(gate: Gate, office: Office, flag: str) -> None:
    leave_stale(gate, office)
    assert gate.run(WANTED, flag).ret == 11
    assert not place(gate).exists()


@pytest.mark.parametrize("args", USAGE_ERRORS.values(), ids=USAGE_ERRORS.keys())
def test_a_usage_error_leaves_none(gate: Gate, office: Office, args: tuple[str, ...]) -> None:
    leave_stale(gate, office)
    assert gate.run(WANTED, *args).ret == 4
    assert not place(gate).exists()


def test_a_broken_conftest_leaves_none(gate: Gate, office: Office) -> None:
    leave_stale(gate, office)
    gate.pytester.makeconftest("raise RuntimeError('broken')\n")
    assert gate.run(WANTED, subprocess=True).ret == 4
    assert not place(gate).exists()


def test_a_receipt_without_a_pack_is_a_mistake(gate: Gate, office: Office) -> None:
    leave_stale(gate, office)
    result = gate.run(WANTED, pack=None)
    assert result.ret == 4
    assert "ERROR: --anchorgate-receipt without --pack: there is nothing to gate" in result.errlines
    assert not place(gate).exists()


def test_an_environment_variable_does_not_keep_a_stale_one(
    gate: Gate, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    leave_stale(gate, office)
    assert gate.run(WANTED, "--anchorgate-threads=none").ret == 4
    assert not place(gate).exists()


MISTAKES = {
    "empty": (("--anchorgate-receipt=",), "--anchorgate-receipt is empty: name a path"),
    "empty key": ((WANTED, "--anchorgate-key="), "--anchorgate-key is empty: name a path"),
    "key alone": (("--anchorgate-key=k",), "--anchorgate-key signs a receipt: say where it goes*"),
    "folder": (
        ("--anchorgate-receipt=anchors",),
        "--anchorgate-receipt: *anchors: is there already and is no receipt; *",
    ),
    "nowhere": (("--anchorgate-receipt=no/r",), "--anchorgate-receipt: *no is not a folder: make it first"),
    "no receipt": (
        ("--anchorgate-receipt=anchors/baseline.json",),
        "--anchorgate-receipt: *baseline.json: is there already and is no receipt; name another file",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line(gate: Gate, case: str) -> None:
    args, words = MISTAKES[case]
    result = gate.run(*args)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: {words}"])
    assert (gate.pytester.path / "anchors" / "baseline.json").exists()


def test_without_cryptography_only_signing_is_refused(
    gate: Gate, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_cryptography(monkeypatch)
    assert gate.run(WANTED).ret == 0
    verify(gate)
    result = gate.run(WANTED, f"--anchorgate-key={office.root / 'key'}")
    assert result.ret == 4
    words = "signatures need the package cryptography: pip install 'pytest-anchorgate[sign]'"
    assert f"ERROR: {words}" in result.errlines


def test_what_cannot_be_written_makes_a_pass_undecided(gate: Gate, dist: tuple[str, ...]) -> None:
    folder = gate.pytester.mkdir("out")
    gate.pytester.makeconftest(
        """
        import pathlib

        def pytest_sessionfinish(session):
            if not hasattr(session.config, "workerinput"):
                pathlib.Path("out").rmdir()
        """
    )
    result = gate.run("--anchorgate-receipt=out/r.jsonl", *dist)
    assert result.ret == 11
    words = f"anchorgate: UNDECIDED: no receipt at {folder / 'r.jsonl'}: No such file or directory (exit status 11)"
    assert words in result.errlines
    folder.mkdir()
    assert gate.run("--anchorgate-receipt=out/r.jsonl", pack="loses").ret == 1


# What root may write everywhere by is taken from it for good: PR_CAPBSET_DROP of CAP_DAC_OVERRIDE.
WITHOUT_OVERRIDE = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[1:]])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_a_folder_that_is_read_only_makes_a_pass_undecided(gate: Gate) -> None:
    folder = gate.pytester.mkdir("out")
    folder.chmod(0o555)
    args = ["-p", "pytest_anchorgate.plugin", f"--pack={gate.house.pack('production')}"]
    command = [sys.executable, "-c", WITHOUT_OVERRIDE, *args, "--anchorgate-receipt=out/r.jsonl"]
    try:
        done = subprocess.run(command, cwd=gate.pytester.path, capture_output=True, text=True)
    finally:
        folder.chmod(0o755)
    assert done.returncode == 11
    assert "PASS: " in done.stdout
    assert f"no receipt at {folder / 'r.jsonl'}: Permission denied (exit status 11)" in done.stderr


def test_a_pack_that_was_replaced_meanwhile_is_undecided(gate: Gate) -> None:
    pack = gate.pytester.path / "candidate.planck"
    pack.write_bytes(gate.house.pack("production").read_bytes())
    other = gate.house.pack("loses")
    gate.pytester.makeconftest(
        f"""
        import pathlib

        def pytest_terminal_summary():
            pathlib.Path({str(pack)!r}).write_bytes(pathlib.Path({str(other)!r}).read_bytes())
        """
    )
    result = gate.run(f"--pack={pack}", WANTED, pack=None)
    assert result.ret == 11
    assert "was replaced while the session ran (exit status 11)" in result.stderr.str()
    assert not place(gate).exists()


def test_an_engine_that_dies_leaves_none(gate: Gate, office: Office) -> None:
    leave_stale(gate, office)
    assert gate.run(WANTED, "--anchorgate-timeout=1e-9").ret == 11
    assert not place(gate).exists()


SLOW = """
    import pathlib, time

    def pytest_runtest_teardown(item):
        pathlib.Path("begun").touch()
        time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_killed_leaves_none_that_verifies(gate: Gate, office: Office, number: int) -> None:
    leave_stale(gate, office)
    gate.pytester.makeconftest(SLOW)
    command = [sys.executable, "-m", "pytest", "-p", "pytest_anchorgate.plugin", WANTED]
    command.append(f"--pack={gate.house.pack('production')}")
    run = subprocess.Popen(
        command,
        cwd=gate.pytester.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Whatever starts these tests in the background has SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        begun = gate.pytester.path / "begun"
        deadline = time.monotonic() + 60
        while not begun.exists() and time.monotonic() < deadline and run.poll() is None:
            time.sleep(0.02)
        assert begun.exists()
        assert not place(gate).exists()
        run.send_signal(number)
        assert run.wait(60) != 0
    finally:
        run.kill()
        run.wait()
    if number == signal.SIGINT:  # pytest ends in order: a receipt that says so
        assert "the gate said UNDECIDED" in fails(gate, "production")
    else:
        assert not place(gate).exists()
