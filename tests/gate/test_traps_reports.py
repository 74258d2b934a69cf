"""Marks, repetitions and hooks of a conftest or plugin that make a report say something else than the evidence."""

from __future__ import annotations

import pytest
from gate_house import Gate
from traps import both, said, spring

MARK = """
    import pytest

    def pytest_collection_modifyitems(items):
        for item in items:
            item.add_marker(pytest.mark.{mark})
"""
MARKS = {
    "skip": 'skip(reason="not today")',
    "skipif": 'skipif(True, reason="not today")',
    "xfail": 'xfail(reason="known")',
    "xfail strict": 'xfail(reason="known", strict=True)',
    "xfail without running": 'xfail(reason="known", run=False)',
}


@both(MARKS, "skip", "xfail")
def test_a_mark_takes_the_proof_away(gate: Gate, trap: str, workers: tuple[str, ...]) -> None:
    gate.pytester.makeconftest(MARK.format(mark=MARKS[trap]))
    result = spring(gate, *workers)
    assert result.ret == 11
    assert "undecided: T/1, T/17, T/170, T/19: " in said(result)
    # A loss that ran is a loss, whatever the mark made of it; what did not run is undecided.
    expected = 1 if trap in ("xfail", "xfail strict") else 11
    assert spring(gate, *workers, pack="loses").ret == expected


def test_runxfail_does_not_hide_a_loss(gate: Gate) -> None:
    gate.pytester.makeconftest(MARK.format(mark=MARKS["xfail"]))
    assert spring(gate, "--runxfail", pack="loses").ret == 1


# What pytest-rerunfailures does: failing attempts are shown as "rerun", the last one stands.
RERUNS = """
    import pytest
    from _pytest.runner import runtestprotocol
    {before}

    def pytest_runtest_protocol(item, nextitem):
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for attempt in range(3):
            item.attempt = attempt
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            failed = any(report.failed for report in reports)
            for report in reports:
                if report.failed and attempt < 2:
                    report.outcome = "rerun"
                item.ihook.pytest_runtest_logreport(report=report)
            if not failed:
                break
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
"""
# An answer that is right only the third time: first the sandbox is told something else, then the engine's answer.
FLAKY_VERDICT = """
    from pytest_anchorgate import anchor_verdict
    from pytest_anchorgate.sandbox import Verdict, verify

    def wavering(code, *, entry_point, calls=[], **limits):
        calls.append(entry_point)
        if entry_point == "add" and calls.count("add") < 3:
            return Verdict("failed", "by chance", level="standard")
        return verify(code, entry_point=entry_point, **limits)

    anchor_verdict.verify = wavering
"""
FLAKY_SANDBOX = FLAKY_VERDICT.replace('"failed"', '"error"')
FLAKY_TOKENS = """
    import dataclasses
    from pytest_anchorgate import collect
    from pytest_anchorgate.evidence import examine

    def wavering(gate, anchor, calls=[]):
        seen, verdict = examine(gate, anchor)
        calls.append(anchor.task_id)
        if anchor.task_id == "T/1" and calls.count("T/1") < 3:
            seen = dataclasses.replace(seen, status="failed", token_ids=(7,), margins=(1.0,))
        return seen, verdict

    collect.examine = wavering
"""


FLAKY = {
    "verdict": (FLAKY_VERDICT, "repeated runs were judged differently (failed, then passed)"),
    "sandbox": (FLAKY_SANDBOX, "repeated runs were judged differently (error, then passed)"),
    "tokens": (FLAKY_TOKENS, "repeated runs gave different tokens"),
}


@both(FLAKY, "verdict")
def test_a_repetition_is_no_second_chance(gate: Gate, trap: str, workers: tuple[str, ...]) -> None:
    before, words = FLAKY[trap]
    gate.pytester.makeconftest(RERUNS.format(before=before))
    result = spring(gate, *workers, subprocess=True)
    assert result.ret == 11
    assert f"undecided: T/1: {words}" in result.outlines


def test_repeating_a_loss_does_not_wear_it_down(gate: Gate, workers: tuple[str, ...]) -> None:
    gate.pytester.makeconftest(RERUNS.format(before=""))
    result = spring(gate, *workers, pack="loses")
    assert result.ret == 1
    assert "BLOCKED: 1 anchor that production holds is lost (exit status 1)" in result.outlines


def test_rerunfailures_itself_does_not_wear_a_loss_down(gate: Gate, workers: tuple[str, ...]) -> None:
    pytest.importorskip("pytest_rerunfailures")
    assert spring(gate, "-p", "pytest_rerunfailures", "--reruns=2", *workers, pack="loses").ret == 1


MAKEREPORT = """
    import pytest

    @pytest.hookimpl(wrapper=True, {order}=True)
    def pytest_runtest_makereport(item, call):
        report = yield
        {do}
        return report
"""
REPORTS = {
    "passed": 'report.outcome = "passed"',
    "skipped": 'report.outcome = "skipped"; report.longrepr = ("f", 1, "skipped: not today")',
    "rerun": 'report.outcome = "rerun"',
    "no properties": "report.user_properties = []",
    "another phase": 'report.when = "setup"; report.outcome = "passed"',
    "another node": 'report.nodeid = "test_other.py::test_it"; report.outcome = "passed"',
}


@pytest.mark.parametrize("order", ["tryfirst", "trylast"])
@pytest.mark.parametrize("trap", REPORTS)
def test_a_report_that_was_rewritten_is_no_proof(gate: Gate, trap: str, order: str) -> None:
    gate.pytester.makeconftest(MAKEREPORT.format(order=order, do=REPORTS[trap]))
    result = spring(gate, pack="loses")
    assert result.ret in (1, 11)
    if trap != "passed":
        assert spring(gate).ret == 11


def test_a_report_that_was_rewritten_by_a_worker_is_no_proof(gate: Gate) -> None:
    gate.pytester.makeconftest(MAKEREPORT.format(order="tryfirst", do=REPORTS["passed"]))
    result = spring(gate, "-n1", pack="loses")
    assert result.ret == 1
    assert "BLOCKED: 1 anchor that production holds is lost (exit status 1)" in result.outlines


FORGED = """
    import json
    import pytest

    CHANGES = {changes!r}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(item, call):
        report = yield
        for index, (key, value) in enumerate(report.user_properties):
            if key != "anchorgate":
                continue
            forged = dict(json.loads(value), **CHANGES, status="passed", level="full")
            report.user_properties[index] = (key, json.dumps(forged))
        report.outcome = "passed"
        return report
"""


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"session": "0" * 32}, "session"),
        ({"pack_sha256": "0" * 64}, "pack"),
        ({"baseline_digest": "0" * 64}, "baseline"),
        ({"anchors_digest": "0" * 64}, "anchor set"),
        ({"anchor_digest": "0" * 64}, "anchor"),
    ],
    ids=["session", "pack", "baseline", "anchor set", "anchor"],
)
def test_evidence_from_elsewhere_does_not_count(gate: Gate, changes: dict[str, str], what: str) -> None:
    gate.pytester.makeconftest(FORGED.format(changes=changes))
    result = spring(gate, pack="loses")
    assert result.ret == 11
    assert f"the evidence belongs to another {what} (" in said(result)


ITEMS = {
    "none": "items.clear()",
    "some": "items[:] = items[1:2]",
    "others": "items[:] = [item for item in items if 'anchor' not in item.name]",
    "twice the same": "items[:] = [items[1]] * len(items)",
    "another runtest": "[setattr(item, 'runtest', lambda: None) for item in items]",
}


@pytest.mark.parametrize("order", ["tryfirst", "trylast"])
@pytest.mark.parametrize("trap", ITEMS)
def test_items_that_were_rewritten_prove_nothing(gate: Gate, trap: str, order: str) -> None:
    gate.pytester.makepyfile(test_other="def test_it():\n    pass\n")
    gate.pytester.makeconftest(
        f"""
        import pytest

        @pytest.hookimpl({order}=True)
        def pytest_collection_modifyitems(items):
            {ITEMS[trap]}
        """
    )
    if order == "tryfirst" and trap in ("none", "others"):
        # The gate comes after it, finds no anchor and puts all of them back.
        assert gate.run().ret == 0
        assert spring(gate, pack="loses").ret == 1
    else:
        assert spring(gate).ret == 11
        assert spring(gate, pack="loses").ret in (1, 11)


def test_items_that_a_worker_rewrote_prove_nothing(gate: Gate) -> None:
    gate.pytester.makeconftest("def pytest_collection_modifyitems(items):\n    del items[1:]\n")
    assert spring(gate, "-n1").ret == 11


STATUS = {
    "sessionfinish": """
        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_sessionfinish(session):
            yield
            session.exitstatus = {status}
        """,
    "sessionfinish trylast": """
        @pytest.hookimpl(trylast=True)
        def pytest_sessionfinish(session):
            session.exitstatus = {status}
            session.testsfailed = 0
        """,
    "terminal summary": """
        def pytest_terminal_summary(terminalreporter):
            terminalreporter._session.exitstatus = {status}
        """,
    "unconfigure": """
        def pytest_unconfigure(config):
            config.pluginmanager.get_plugin("session").exitstatus = {status}
        """,
    "session object": """
        def pytest_sessionstart(session):
            type(session).exitstatus = property(lambda self: {status}, lambda self, value: None)
        """,
}


# A process ends with the last eight bits of its status, so 256 would be green as well.
@pytest.mark.parametrize("status", [0, 256])
@pytest.mark.parametrize("trap", STATUS)
def test_an_exit_status_that_was_rewritten_is_set_right(gate: Gate, trap: str, status: int) -> None:
    gate.pytester.makeconftest("import pytest\n" + _dedent(STATUS[trap].format(status=status)))
    subprocess = trap == "session object"
    assert spring(gate, pack="loses", subprocess=subprocess).ret % 256 != 0
    assert spring(gate, "-k", "T/17", subprocess=subprocess).ret % 256 != 0


def test_an_exit_status_that_was_rewritten_is_set_right_with_workers(gate: Gate) -> None:
    gate.pytester.makeconftest("import pytest\n" + _dedent(STATUS["sessionfinish"].format(status=0)))
    assert spring(gate, "-n1", pack="loses").ret == 1


def test_a_conftest_that_is_the_main_function_runs_no_gate(gate: Gate) -> None:
    gate.pytester.makeconftest(
        "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_cmdline_main():\n    return 0\n"
    )
    result = spring(gate)
    assert result.ret == 11
    assert "UNDECIDED: the gate did not run (exit status 11)" in said(result)


def _dedent(source: str) -> str:
    import textwrap

    return textwrap.dedent(source)
