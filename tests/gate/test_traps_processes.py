"""Processes that end early, and plugins that are switched off: what the gate sees, and what only a receipt can."""

from __future__ import annotations

import pytest
from gate_house import Gate
from traps import refused, said, spring

EXITS = {
    "in a test": "def pytest_runtest_teardown(item):\n    pytest.exit('enough', returncode=0)\n",
    "before the first": "def pytest_runtestloop():\n    pytest.exit('enough', returncode=0)\n",
    "in collection": "def pytest_collection_modifyitems():\n    pytest.exit('enough', returncode=0)\n",
    "at the end": "def pytest_sessionfinish():\n    pytest.exit('enough', returncode=0)\n",
    "as 256": "def pytest_runtest_teardown(item):\n    pytest.exit('enough', returncode=256)\n",
    "SystemExit": "def pytest_runtestloop():\n    raise SystemExit(0)\n",
}


@pytest.mark.parametrize("trap", EXITS)
def test_an_early_exit_is_no_pass(gate: Gate, trap: str) -> None:
    gate.pytester.makeconftest(f"import pytest\n{EXITS[trap]}")
    for pack in ("production", "loses"):
        result = spring(gate, pack=pack, subprocess=trap == "SystemExit")
        assert result.ret in ((3,) if trap == "SystemExit" else (1, 11))
        assert "UNDECIDED: " in said(result) or "BLOCKED: " in said(result)


def test_an_early_exit_of_a_worker_is_no_pass(gate: Gate) -> None:
    gate.pytester.makeconftest(f"import pytest\n{EXITS['in a test']}")
    assert spring(gate, "-n1", subprocess=True).ret in (2, 3, 11)


DEATHS = {
    "exit 0": "os._exit(0)",
    "SIGKILL": "os.kill(os.getpid(), 9)",
    "SIGSEGV": "os.kill(os.getpid(), 11)",
}
DYING = """
    import os

    def pytest_runtest_{phase}(item):
        if "T/17]" in item.nodeid and hasattr(item.config, "workerinput"):
            {death}

    def pytest_handlecrashitem(crashitem, report, sched):
        report.outcome = "passed"
"""


@pytest.mark.parametrize(("death", "restart"), [("exit 0", "0"), ("SIGKILL", "2"), ("SIGSEGV", "2")])
def test_a_worker_that_dies_is_no_pass(gate: Gate, death: str, restart: str) -> None:
    gate.pytester.makeconftest(DYING.format(phase="setup", death=DEATHS[death]))
    result = spring(gate, "-n1", f"--max-worker-restart={restart}")
    assert result.ret == 11
    assert "UNDECIDED: " in said(result)


def test_a_worker_that_dies_after_its_evidence_is_no_pass(gate: Gate) -> None:
    # Everything was proven, but a session in which a node went down is not sound.
    gate.pytester.makeconftest(
        """
        import os

        def pytest_sessionfinish(session):
            if hasattr(session.config, "workerinput"):
                os._exit(0)
        """
    )
    result = spring(gate, "-n1")
    assert result.ret == 11
    assert "UNDECIDED: the evidence looks complete, but the session was not sound (exit status 11)" in said(
        result
    )
    assert "note: worker gw0 went down: Not properly terminated" in result.outlines


def test_workers_that_all_die_before_they_collect_are_no_pass(gate: Gate) -> None:
    gate.pytester.makeconftest(
        "import os\n\ndef pytest_collection(session):\n"
        "    if hasattr(session.config, 'workerinput'):\n        os._exit(0)\n"
    )
    assert spring(gate, "-n2", "--max-worker-restart=0").ret in (1, 3, 11)


@pytest.mark.parametrize("mode", ["each", "load", "loadgroup", "worksteal"])
def test_no_way_to_distribute_hides_a_loss(gate: Gate, mode: str) -> None:
    assert spring(gate, "-n2", f"--dist={mode}", pack="loses").ret == 1


def test_workers_that_see_different_things_are_no_pass(gate: Gate) -> None:
    # With --dist=each every worker runs every anchor; one of the two is lied to.
    gate.pytester.makeconftest(
        """
        import dataclasses
        from pytest_anchorgate import collect
        from pytest_anchorgate.evidence import examine

        def other(gate, anchor):
            seen, verdict = examine(gate, anchor)
            if gate.worker == "gw1" and anchor.task_id == "T/1":
                seen = dataclasses.replace(seen, token_ids=(1,), margins=(1.0,))
            return seen, verdict

        collect.examine = other
        """
    )
    result = spring(gate, "-n2", "--dist=each", subprocess=True)
    assert result.ret == 11
    assert "undecided: T/1: repeated runs gave different tokens" in result.outlines


def test_workers_that_collect_different_tests_are_no_pass(gate: Gate) -> None:
    gate.pytester.makeconftest(
        """
        def pytest_collection_modifyitems(config, items):
            if getattr(config, "workerinput", {}).get("workerid") == "gw1":
                items.reverse()
        """
    )
    assert spring(gate, "-n2").ret in (1, 11)


SWITCHED_OFF = {
    "the ledger": ("no:anchorgate-ledger", 11),
    "the controller": ("no:anchorgate-controller", 11),
    "the terminal": ("no:terminal", 1),
    "the skipping of marks": ("no:skipping", 1),
}


@pytest.mark.parametrize("trap", SWITCHED_OFF)
def test_a_plugin_that_is_switched_off_does_not_open_the_gate(gate: Gate, trap: str) -> None:
    name, status = SWITCHED_OFF[trap]
    workers = ("-n1",) if trap == "the controller" else ()
    assert spring(gate, "-p", name, *workers, pack="loses", subprocess=True).ret == status


def test_without_the_plugin_a_pack_is_an_unknown_argument(gate: Gate) -> None:
    # PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 is set for all of these tests.
    for args in ((), ("-p", "no:anchorgate")):
        result = gate.pytester.runpytest_subprocess(*args, f"--pack={gate.house.pack('loses')}")
        assert result.ret == 4
        assert "unrecognized arguments: --pack" in said(result)


# Nothing within pytest's process can see these, so they end green in the shell; the verify job needs a receipt,
# and there is none (docs/threat-model.md).
GONE = "receipt.json: the receipt cannot be read: No such file or directory"
UNSEEN = {
    "os._exit in a conftest": ("import os\nos._exit(0)\n", (), GONE),
    "os._exit in a test": ("", ("test_exit.py",), GONE),
    "a conftest around the main function": (
        "import pytest\n@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
        "def pytest_cmdline_main():\n    yield\n    return 0\n",
        (),
        "the gate said BLOCKED: lost: T/1: ",
    ),
    # It never loads a plugin, so what lies there stays there; it is still about the pack that it was about.
    "--version": ("", ("--version",), "it is for another pack"),
}


@pytest.mark.parametrize("trap", UNSEEN)
def test_what_the_process_cannot_see_leaves_no_receipt_that_verifies(gate: Gate, trap: str) -> None:
    source, args, words = UNSEEN[trap]
    gate.pytester.makeconftest(source)
    if "test_exit.py" in args:
        gate.pytester.makepyfile(test_exit="import os\n\ndef test_it():\n    os._exit(0)\n")
    assert spring(gate, *args, pack="loses", subprocess=True, seen=False).ret == 0
    assert words in refused(gate, "loses")
