"""`anchorgate verify-staged`, the pre-commit hook."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from receipt_house import Office

from pytest_anchorgate.cli import main

HOOKS = Path(__file__).parents[2] / ".pre-commit-hooks.yaml"


def staged(office: Office, folder: Path, pack: str, receipt: bytes | None) -> Path:
    target = folder / "organ.planck"
    shutil.copyfile(office.house.pack(pack), target)
    if receipt is not None:
        (folder / "organ.planck.receipt.jsonl").write_bytes(receipt)
    return target


def run(office: Office, *packs: Path) -> tuple[int, str]:
    names = [str(pack) for pack in packs]
    result = CliRunner().invoke(main, ["verify-staged", "--anchors", str(office.house.anchors), *names])
    return result.exit_code, result.output


def test_a_receipt_beside_its_pack_follows(office: Office, tmp_path: Path) -> None:
    pack = staged(office, tmp_path, "gains", office.receipt("gains"))
    assert run(office, pack) == (0, f"{pack}: the receipt follows\n")


def test_a_pack_without_a_receipt_is_told_how_to_get_one(office: Office, tmp_path: Path) -> None:
    pack = staged(office, tmp_path, "gains", None)
    status, output = run(office, pack)
    assert status == 1
    assert output == (
        f"{pack}: no receipt: run `pytest --pack={pack} --anchorgate-receipt={pack}.receipt.jsonl`\n"
    )


@pytest.mark.parametrize("pack", ["production", "loses"])
def test_the_receipt_of_another_pack_or_a_lost_anchor_does_not_follow(
    office: Office, tmp_path: Path, pack: str
) -> None:
    other = "gains" if pack == "production" else "loses"
    target = staged(office, tmp_path, pack, office.receipt(other))
    status, output = run(office, target)
    assert status == 1
    assert output.startswith(f"{target}: ")
    assert "follows" not in output


def test_the_hook_is_the_command_on_packs() -> None:
    (hook,) = yaml.safe_load(HOOKS.read_text())
    command, name = hook["entry"].split()
    assert command == "anchorgate"
    assert name in main.list_commands(
        main.make_context("anchorgate", ["verify-staged"], resilient_parsing=True)
    )
    assert hook["files"] == r"\.planck$"
