"""`anchorgate sandbox doctor`."""

import pytest
from broken import faulty
from click.testing import CliRunner
from levels_here import LEVELS_HERE

from pytest_anchorgate.cli import main


def doctor():
    return CliRunner().invoke(main, ["sandbox", "doctor"])


def test_it_tells_what_works_here():
    result = doctor()
    assert result.exit_code == 0, result.output
    for level in LEVELS_HERE:
        assert f"{level}: yes" in result.output
    assert f"verifications here run at: {LEVELS_HERE[0]}" in result.output
    assert "were told apart" in result.output


def test_it_says_what_is_missing_and_how_to_get_it(monkeypatch, tmp_path):
    fault = "namespaces._unshare = lambda: (_ for _ in ()).throw(OSError(1, 'Operation not permitted'))"
    with faulty(monkeypatch, tmp_path, fault):
        result = doctor()
    assert result.exit_code == 0, result.output
    assert "full: no" in result.output
    assert "namespaces: new namespaces: [Errno 1] Operation not permitted" in result.output
    assert "to change that: allow unprivileged user namespaces" in result.output


@pytest.mark.parametrize("fault", ["seccomp.build = broken", "syscalls.ARCHITECTURES = ()"])
def test_where_nothing_works_it_exits_11_and_names_the_layer(monkeypatch, tmp_path, fault):
    with faulty(monkeypatch, tmp_path, fault):
        result = doctor()
    assert result.exit_code == 11
    assert "no code can be verified here" in result.output
    assert ("system-call filter" if "seccomp" in fault else "architecture") in result.output
    assert "Traceback" not in result.output
