"""Everything that could make a gate green without proof: by accident, by a lazy edit, by a plugin."""

from __future__ import annotations

import pytest
from gate_house import Gate

NOT_ALL_RAN = [
    (("-k", "T/17"), "deselected by -k 'T/17'"),
    (("-k", "[T/17]"), "deselected by -k '[T/17]'"),
    (("--deselect", "anchors/anchors.jsonl::anchor[T/17]"), "deselected by --deselect"),
    (("anchors/anchors.jsonl::anchor[T/17]",), "not run: the arguments name other tests"),
    (("-m", "nothing"), "deselected by -m 'nothing'"),
]


@pytest.mark.parametrize(("args", "words"), NOT_ALL_RAN)
def test_a_part_of_the_anchors_proves_nothing(gate: Gate, args: tuple[str, ...], words: str) -> None:
    result = gate.run(*args)
    assert result.ret == 11
    result.stdout.fnmatch_lines(["UNDECIDED: * (exit status 11)"])
    assert words in result.stdout.str()


def test_workers_tell_what_was_deselected(gate: Gate) -> None:
    result = gate.run("-n2", "-k", "T/17")
    assert result.ret == 11
    result.stdout.fnmatch_lines(["undecided: T/1, T/19: not run: deselected by -k 'T/17'"])


def test_deselecting_one_anchor_leaves_those_that_begin_alike(gate: Gate) -> None:
    result = gate.run("--deselect", "anchors/anchors.jsonl::anchor[T/17]")
    result.stdout.fnmatch_lines(
        ["1 held, 0 lost, 0 gained, 2 still failing, 1 undecided", "undecided: T/17: not run*"]
    )


def test_a_partial_run_says_so_and_exits_11_even_if_it_is_complete(gate: Gate) -> None:
    for pack in ("production", "loses"):
        result = gate.run("--anchorgate-partial", pack=pack)
        assert result.ret == 11
        assert "UNDECIDED: partial: proves nothing (exit status 11)" in result.outlines


def test_stopping_at_the_first_loss_is_no_pass(gate: Gate, dist: tuple[str, ...]) -> None:
    result = gate.run("-x", *dist, pack="loses")
    assert result.ret == (2 if dist else 1)
    result.stdout.fnmatch_lines(["BLOCKED: 1 anchor that production holds is lost *"])


def test_the_last_failed_alone_prove_nothing(gate: Gate) -> None:
    gate.run(pack="loses")
    result = gate.run("--lf")
    assert result.ret == 11
    words = "undecided: T/17, T/170, T/19: not run: --last-failed leaves out what did not fail"
    assert words in result.outlines


NOTHING_RUNS = ["--collect-only", "--setup-plan", "--setup-only", "--fixtures", "--markers", "--help"]


@pytest.mark.parametrize(
    "args", [*((flag,) for flag in NOTHING_RUNS), ("--collect-only", "-n2"), ("--setup-plan", "-n2")]
)
def test_modes_that_run_nothing_are_no_pass(gate: Gate, args: tuple[str, ...]) -> None:
    result = gate.run(*args)
    assert result.ret == 11
    assert f"{args[0]} runs no tests" in result.stdout.str() + result.stderr.str()
    assert "engine fma" not in result.stdout.str()


def test_other_folders_or_ignored_ones_do_not_keep_the_gate_from_running(gate: Gate) -> None:
    gate.pytester.mkdir("elsewhere")
    for args in (("elsewhere",), ("--ignore=anchors",), (".", "anchors/anchors.jsonl")):
        result = gate.run(*args)
        assert result.ret == 0
        assert "2 held, 0 lost, 0 gained, 2 still failing, 0 undecided" in result.outlines


HOSTILE_CONFTESTS = {
    "report outcome": """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.outcome = "passed"
            return report
        """,
    "exit status": """
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_sessionfinish(session):
            yield
            session.exitstatus = 0
            session.testsfailed = 0
        """,
    "pytest.exit": """
        import pytest

        def pytest_runtest_teardown(item):
            pytest.exit("enough", returncode=0)
        """,
    "skip": """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker(pytest.mark.skip(reason="not today"))
        """,
    "xfail": """
        import pytest

        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker(pytest.mark.xfail(reason="known"))
        """,
    "items": """
        def pytest_collection_modifyitems(items):
            items[:] = items[1:2]
        """,
    "protocol": """
        def pytest_runtest_protocol(item):
            return True
        """,
    "no evidence": """
        def pytest_runtest_call(item):
            item.runtest = lambda: None
        """,
    "wrong evidence": """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.user_properties = [(k, v.replace("T/1", "T/17")) for k, v in report.user_properties]
            return report
        """,
    "broken evidence": """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.user_properties = [("anchorgate", "{}")]
            return report
        """,
}


@pytest.mark.parametrize("trick", HOSTILE_CONFTESTS)
def test_a_conftest_cannot_talk_the_gate_around(gate: Gate, trick: str) -> None:
    gate.pytester.makeconftest(HOSTILE_CONFTESTS[trick])
    result = gate.run(pack="loses")
    assert result.ret in (1, 11)
    assert "PASS" not in result.stdout.str()


@pytest.mark.parametrize("trick", ["skip", "xfail", "items", "protocol", "no evidence", "wrong evidence"])
def test_a_good_pack_needs_proof_too(gate: Gate, trick: str) -> None:
    gate.pytester.makeconftest(HOSTILE_CONFTESTS[trick])
    result = gate.run()
    assert result.ret == 11
    assert "PASS" not in result.stdout.str()


def test_many_tricks_under_workers(gate: Gate) -> None:
    gate.pytester.makeconftest(HOSTILE_CONFTESTS["report outcome"] + HOSTILE_CONFTESTS["exit status"])
    result = gate.run("-n2", pack="loses")
    assert result.ret == 1
    assert "BLOCKED: 1 anchor that production holds is lost (exit status 1)" in result.outlines


def test_skips_are_named(gate: Gate, dist: tuple[str, ...]) -> None:
    gate.pytester.makeconftest(HOSTILE_CONFTESTS["skip"])
    result = gate.run(*dist)
    assert result.ret == 11
    result.stdout.fnmatch_lines(["undecided: T/1, T/17, T/170, T/19: not run: skipped: *not today"])


def test_a_crashed_worker_is_no_pass_even_if_a_plugin_calls_it_passed(gate: Gate) -> None:
    gate.pytester.makeconftest(
        """
        import os

        def pytest_runtest_setup(item):
            if "T/17]" in item.nodeid and hasattr(item.config, "workerinput"):
                os._exit(0)

        def pytest_handlecrashitem(crashitem, report, sched):
            report.outcome = "passed"
        """
    )
    result = gate.run("-n2", "--max-worker-restart=1")
    assert result.ret == 11
    assert "UNDECIDED: 1 of 4 anchors undecided (exit status 11)" in result.outlines


def test_failures_of_other_tests_fail_the_session_as_ever(gate: Gate) -> None:
    gate.pytester.makepyfile("def test_other():\n    assert False\n")
    passing = gate.run()
    assert passing.ret == 1
    assert "PASS: all 2 anchors that production holds are held (exit status 1)" in passing.outlines


def test_a_module_that_cannot_be_imported_interrupts_as_ever(gate: Gate) -> None:
    gate.pytester.makepyfile("import there_is_no_such_module\n")
    result = gate.run()
    assert result.ret == 2
    assert "engine" not in result.stdout.str()
    assert any(line.startswith("UNDECIDED: ") for line in result.outlines)


# Before the host has its request it cannot be done, however slow the machine.
KILLER = """
    import os, signal
    from pytest_anchorgate.engine_process import HostProcess

    def request(self, frame, really=HostProcess.request):
        os.kill(self._process.pid, signal.SIGKILL)
        really(self, frame)

    HostProcess.request = request
"""


def test_a_killed_engine_is_undecided_and_says_so(gate: Gate, dist: tuple[str, ...]) -> None:
    gate.pytester.makeconftest(KILLER)
    result = gate.run(*dist, subprocess=True)  # what the conftest changes must end with its process
    assert result.ret == 11
    words = "the engine was killed by signal 9 (SIGKILL), which is what the kernel does when memory runs out"
    assert f"undecided: T/1, T/17, T/170, T/19: {words}" in result.outlines
    assert "UNDECIDED: no anchor was decided (exit status 11)" in result.outlines


def test_a_pack_of_nan_is_undecided(gate: Gate) -> None:
    pack = gate.house.pack("production").read_bytes()
    start = 8 + int.from_bytes(pack[:8], "little")
    broken = pack[:start] + pack[start:].replace(b"\x80\x3f", b"\xc0\x7f")
    path = gate.pytester.path / "nan.planck"
    path.write_bytes(broken)
    result = gate.run(f"--pack={path}", pack=None)
    assert result.ret == 11
    assert "the model computed numbers that are not finite" in result.stdout.str()


def test_an_engine_that_takes_too_long_is_undecided(gate: Gate) -> None:
    result = gate.run("--anchorgate-timeout=1e-9")
    assert result.ret == 11
    words = "the engine was not done within 1e-09 s and was killed"
    assert f"undecided: T/1, T/17, T/170, T/19: {words}" in result.outlines


def test_modules_beside_the_tests_cannot_take_the_place_of_the_engines(gate: Gate) -> None:
    for name in ("json", "numpy", "pytest_anchorgate"):
        (gate.pytester.path / f"{name}.py").write_text("raise SystemExit('not the real one')\n")
    gate.pytester.makepyfile(test_here="def test_path():\n    pass\n")
    assert gate.run().ret == 0
