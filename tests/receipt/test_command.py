"""`anchorgate verify` and `anchorgate key new` as a user sees them."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from receipt_house import Office

from pytest_anchorgate.cli import main
from pytest_anchorgate.receipt.canonical import sha256_hex


@pytest.fixture
def path(office: Office, tmp_path: Path) -> Path:
    path = tmp_path / "r.jsonl"
    path.write_bytes(office.receipt(signer=office.key))
    return path


def verify(office: Office, path: Path, *more: str, pack: str = "gains") -> Result:
    fixed = ["--pack", str(office.house.pack(pack)), "--anchors", str(office.house.anchors)]
    return CliRunner().invoke(main, ["verify", str(path), *fixed, *more])


def test_what_follows_is_told(office: Office, path: Path) -> None:
    result = verify(office, path, "--key", str(office.public), "--require-signature")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{path} follows: gains.planck passed the gate on 20")
    assert f"  pack       sha256 {sha256_hex(office.house.pack('gains').read_bytes())}" in lines
    assert "  evidence   2 held, 0 lost, 1 gained, 1 still failing, 0 undecided; 2 generated twice" in lines
    assert f"  signature  by key {office.key.key_id}, as required" in lines
    assert lines[-1] == "  follows    no earlier receipt"


def test_signatures_are_told_apart(office: Office, path: Path) -> None:
    assert "which was not compared with one that you trust (--key)" in verify(office, path).stdout
    path.write_bytes(office.receipt(previous="0" * 64))
    result = verify(office, path)
    assert result.exit_code == 0
    assert "signature  none: whoever could write the file could make it up" in result.stdout
    assert f"follows    receipt sha256 {'0' * 64}" in result.stdout


def test_json(office: Office, path: Path) -> None:
    told: dict[str, Any] = json.loads(verify(office, path, "--json").stdout)
    assert told["verified"] is True
    assert told["receipt"]["sha256"] == sha256_hex(path.read_bytes())
    assert told["signature"] == {"keyid": office.key.key_id, "trusted": False}
    assert told["counts"]["held"] == 2
    failed = verify(office, path, "--json", pack="production")
    assert failed.exit_code == 1
    told = json.loads(failed.stdout)
    assert told["verified"] is False
    assert "it is for another pack" in told["problem"]


def test_what_does_not_follow_is_one_line_and_status_1(office: Office, path: Path) -> None:
    for arguments, pack, words in (
        ((), "production", "it is for another pack"),
        (("--key", str(office.stranger_public)), "gains", "it is signed by another key"),
        (("--previous", str(path)), "gains", "it follows another receipt"),
    ):
        result = verify(office, path, *arguments, pack=pack)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr.startswith(f"Error: {path}: {words}")
        assert result.stderr.count("\n") == 1
    path.write_bytes(path.read_bytes()[:-1])
    assert verify(office, path).exit_code == 1


def test_what_cannot_be_checked_is_status_4(office: Office, path: Path, tmp_path: Path) -> None:
    none = str(tmp_path / "none")
    for arguments in (
        ("--key", none),
        ("--key", ""),
        ("--baseline", ""),
        ("--baseline", none),
        ("--require-signature",),
        ("--previous", none),
        ("--there-is-no-such-option",),
    ):
        result = verify(office, path, *arguments)
        assert (arguments, result.exit_code) == (arguments, 4)
        assert "Traceback" not in result.output
    assert verify(office, tmp_path / "none").exit_code == 4
    assert CliRunner().invoke(main, ["verify", str(path)]).exit_code == 4
    nowhere = ["verify", str(path), "--pack", none, "--anchors", str(office.house.anchors)]
    assert CliRunner().invoke(main, nowhere).exit_code == 4


def test_a_recipe_means_its_file_in_the_cache(
    office: Office, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    result = CliRunner().invoke(
        main, ["verify", str(path), "--pack", "smollm2-135m", "--anchors", str(office.house.anchors)]
    )
    assert result.exit_code == 4
    assert "the pack cannot be read: No such file or directory" in result.stderr
    assert str(tmp_path / "cache") in result.stderr
    assert not (tmp_path / "cache").exists()  # nothing was fetched or built


def test_key_new(tmp_path: Path) -> None:
    made = CliRunner().invoke(main, ["key", "new", "-o", str(tmp_path / "gate.pem")])
    assert made.exit_code == 0
    assert stat.S_IMODE((tmp_path / "gate.pem").stat().st_mode) == 0o600
    assert str(tmp_path / "gate.pem.pub") in made.stdout
    again = CliRunner().invoke(main, ["key", "new", "-o", str(tmp_path / "gate.pem")])
    assert again.exit_code == 4
    assert again.stderr.count("\n") == 1
    assert CliRunner().invoke(main, ["key", "new"]).exit_code == 4


def test_verifying_loads_neither_the_runtime_nor_pytests_session(office: Office, path: Path) -> None:
    program = (
        "import sys\n"
        "from pytest_anchorgate.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end.code\n"
        "for name in ('pytest_anchorgate._organ', 'pytest_anchorgate.ledger', 'xdist'):\n"
        "    assert name not in sys.modules, name\n"
    )
    fixed = ["--pack", str(office.house.pack("gains")), "--anchors", str(office.house.anchors)]
    done = subprocess.run(
        [sys.executable, "-c", program, "verify", str(path), *fixed], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
