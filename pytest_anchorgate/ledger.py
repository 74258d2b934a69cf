"""What the controller has seen, and the last word on the exit status.

Three places can see a session end: `pytest_terminal_summary` shows the verdict, `pytest_sessionfinish` sets
the exit status behind every other plugin, and a wrapper around `pytest_cmdline_main` computes it again from
the same evidence, because a conftest can still change the second and some modes of pytest never reach it.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Generator

import pytest

from pytest_anchorgate import wire
from pytest_anchorgate.collect import AnchorItem
from pytest_anchorgate.gate import Gate
from pytest_anchorgate.options import runs_nothing
from pytest_anchorgate.recheck import Recheck
from pytest_anchorgate.reports.terminal import (
    Run,
    render_no_session,
    render_summary,
    render_verdict,
    render_waiting,
)
from pytest_anchorgate.verdict import (
    Decision,
    Evidence,
    Incident,
    Observation,
    Standing,
    compare,
    decide,
    exit_status,
)

LEDGER: pytest.StashKey[Ledger] = pytest.StashKey()
_WORDS = {
    Standing.HELD: ("passed", ".", "HELD"),
    Standing.LOST: ("failed", "F", "LOST"),
    Standing.GAINED: ("gained", "G", "GAINED"),
    Standing.STILL_FAILING: ("still failing", "x", "STILL FAILING"),
    Standing.UNDECIDED: ("undecided", "U", "UNDECIDED"),
}
_MARKUP = {
    Standing.HELD: {"green": True},
    Standing.LOST: {"red": True},
    Standing.GAINED: {"green": True, "bold": True},
    Standing.STILL_FAILING: {"yellow": True},
    Standing.UNDECIDED: {"yellow": True, "bold": True},
}


class Ledger:
    """Gathers evidence and incidents of one session; registered on the controller only."""

    def __init__(self, config: pytest.Config, gate: Gate) -> None:
        self.gate = gate
        self._config = config
        self._evidence: list[Evidence] = []
        self._incidents: list[Incident] = []
        self._others_failed = False
        self._decision: Decision | None = None
        self._shown = False
        self._started = time.monotonic()
        self.recheck = Recheck(gate)
        self._cut_short = False
        name = re.escape(gate.anchors.path.name)
        # xdist's --dist=loadgroup puts "@group" behind a node id.
        self._node_id = re.compile(rf"(?:.*/)?{name}::anchor\[([^]]*)\](?:@.*)?", re.DOTALL)

    def note(self, text: str, task_id: str | None = None, *, fatal: bool = False) -> None:
        """Writes down an incident."""
        self._incidents.append(Incident(wire.printable(text, wire.MAX_LINE), task_id, fatal))

    def engine_ran(self) -> None:
        """Writes down that the engine gave no answers, if it gave none."""
        if self.gate.answers.failure:
            self.note(self.gate.answers.failure, fatal=True)
        else:
            self.recheck.start()

    def task_of(self, node_id: str) -> str | None:
        """The task id if this is one of the gate's own tests."""
        match = self._node_id.fullmatch(node_id)
        return match.group(1) if match and match.group(1) in self.gate.baseline.anchors else None

    def status(self, of_pytest: int) -> int:
        """The exit status by the evidence; `of_pytest` is what the session has come to without it."""
        return exit_status(of_pytest, self.decision(), others_failed=self._others_failed)

    def decision(self) -> Decision:
        """The verdict; settled once the session has finished."""
        if self._decision is not None:
            return self._decision
        return decide(
            self.gate.manifest,
            self.gate.baseline.held,
            self._evidence,
            self.incidents,
            partial=self.gate.partial,
            repeats=self.recheck.result.repeats,
        )

    @property
    def run(self) -> Run:
        """What reports tell about the run besides the decision, as of now."""
        return Run(
            seconds=time.monotonic() - self._started,
            generation_seconds=self.gate.answers.seconds,
            tokens=self.gate.answers.tokens,
            pack=self.gate.pack.name,
            production=self.gate.baseline.pack.name,
            repeated=len(self.recheck.result.repeats),
            repeat_seconds=self.recheck.result.seconds,
        )

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """Every observation so far, in the order in which they came."""
        return tuple(self._evidence)

    @property
    def incidents(self) -> list[Incident]:
        """What went wrong so far, and what the command line leaves out."""
        return [*self._asked_for_less(), *self._incidents]

    def standing_of(self, report: pytest.TestReport) -> Standing | None:
        """How this report's anchor stands by its own evidence, None if pytest shows something else."""
        if report.when != "call" or self.task_of(report.nodeid) is None or hasattr(report, "wasxfail"):
            return None
        try:
            seen = wire.decode(report.user_properties)
        except wire.WireError:
            return None
        if seen is None or report.outcome not in ("passed", "failed"):
            return None
        recorded = self.gate.baseline.anchors.get(seen.task_id)
        standing = compare(recorded.held, seen.held) if recorded is not None else Standing.UNDECIDED
        agreed = report.failed == (standing in (Standing.LOST, Standing.UNDECIDED))
        return standing if agreed else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes the evidence of an anchor's call; everything else about an anchor is an incident."""
        task_id = self.task_of(report.nodeid)
        if task_id is None:
            self._others_failed |= report.failed
        elif report.when == "call":
            self._take(report, task_id)
        elif report.when == "teardown":
            self._others_failed |= report.failed
        elif report.skipped:
            self.note(f"skipped: {_skip_reason(report)}", task_id)
        elif report.failed:
            where = "its setup failed" if report.when == "setup" else "the worker that ran it crashed"
            self.note(where, task_id)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that cannot be imported is a failure of its own."""
        self._others_failed |= report.failed

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Keeps the reason why evidence will be missing; only the words depend on it."""
        for item in items:
            if isinstance(item, AnchorItem):
                self.note(self.deselected_by(), item.anchor.task_id)

    def deselected_by(self) -> str:
        """Which flags take tests out of a session."""
        option = self._config.option
        flags = [f"-k {option.keyword!r}"] if option.keyword else []
        flags += [f"-m {option.markexpr!r}"] if option.markexpr else []
        flags += ["--deselect"] if option.deselect else []
        return f"deselected by {' and '.join(flags)}" if flags else "deselected"

    def pytest_internalerror(self) -> None:
        """An internal error leaves nothing proven."""
        self._cut_short = True
        self.note("pytest had an internal error", fatal=True)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """An interrupt, or pytest.exit: tests are missing and the words should say why."""
        self._cut_short = True
        self.note(f"the session was interrupted: {excinfo.exconly(tryshort=True)}", fatal=True)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Sets the exit status after every other plugin had its turn."""
        stopped = session.shouldfail or session.shouldstop
        if stopped:
            self.note(f"the session stopped early: {stopped}")
        if not self._cut_short:
            self._check_determinism()
        try:
            result = yield
        except BaseException as error:
            # It may be pytest.exit(returncode=0): what the plugins behind it would have done is missing.
            self.note(f"the end of the session was cut short: {type(error).__name__}: {error}", fatal=True)
            raise
        finally:
            self._decision = self.decision()
        session.exitstatus = self.status(int(session.exitstatus))
        if not self._shown:
            # Without a terminal plugin, or after an internal error, pytest shows no summary.
            print(f"anchorgate: {render_verdict(self._decision, int(session.exitstatus))}", file=sys.stderr)
        return result

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        """Shows the section "anchorgate"."""
        self._shown = True
        decision, final = self.decision(), self.status(int(exitstatus))
        terminalreporter.ensure_newline()
        terminalreporter.section("anchorgate")
        for line in render_summary(decision, self.run):
            terminalreporter.write_line(line)
        colour = {"green": True} if final == 0 else {"red": True}
        terminalreporter.write_line(render_verdict(decision, final), bold=True, **colour)

    def last_word(self, of_pytest: int) -> int:
        """The exit status of the process, whatever a plugin made of the session's."""
        final = self.status(of_pytest)
        if self._decision is None:
            print(
                f"anchorgate: {render_no_session(runs_nothing(self._config.option), final)}", file=sys.stderr
            )
        elif final != of_pytest:
            print(f"anchorgate: {render_verdict(self._decision, final)}", file=sys.stderr)
        return final

    def status_words(self, report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Category, letter and word of a report for `pytest_report_teststatus`."""
        standing = self.standing_of(report)
        if standing is None:
            return None
        category, letter, word = _WORDS[standing]
        return category, letter, (word, _MARKUP[standing])

    def _check_determinism(self) -> None:
        """Has the lost anchors generated again, and waits for those of the sample."""
        lost = [e.observation.task_id for e in self._evidence if self._is_lost(e.observation)]
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")

        def waiting(answers: int) -> None:
            if reporter is not None and self._config.get_verbosity() >= 0:
                reporter.ensure_newline()
                reporter.write_line(render_waiting(answers))

        for task_id, why in self.recheck.finish(list(dict.fromkeys(lost)), waiting).failures.items():
            self.note(why, task_id)

    def _is_lost(self, seen: Observation) -> bool:
        recorded = self.gate.baseline.anchors.get(seen.task_id)
        return recorded is not None and compare(recorded.held, seen.held) is Standing.LOST

    def _asked_for_less(self) -> list[Incident]:
        """What on the command line leaves tests out before anything can be deselected."""
        flag = runs_nothing(self._config.option)
        if flag:
            return [Incident(f"{flag} runs no tests")]
        if getattr(self._config.option, "lf", False):
            return [Incident("--last-failed leaves out what did not fail")]
        return (
            [Incident("the arguments name other tests")] if any("::" in a for a in self._config.args) else []
        )

    def _take(self, report: pytest.TestReport, task_id: str) -> None:
        try:
            seen = wire.decode(report.user_properties)
        except wire.WireError as error:
            self.note(f"evidence that cannot be read: {error}", task_id)
            return
        if seen is None:
            self.note("its test ended without evidence", task_id)
        elif seen.task_id != task_id:
            self.note(f"evidence for {seen.task_id} in the report of {task_id}", task_id, fatal=True)
        else:
            self._evidence.append(Evidence(seen, "xfail" if hasattr(report, "wasxfail") else report.outcome))


def _skip_reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    return str(longrepr[2]) if isinstance(longrepr, tuple) else "no reason given"
