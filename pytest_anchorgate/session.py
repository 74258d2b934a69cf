"""What the plugin's hooks do once a pack is named: open the gate, run the engine in time, keep the ledger."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from pytest_anchorgate.announce import ANNOUNCER, Announcer, wishes
from pytest_anchorgate.collect import GATE, AnchorFile, anchor_file
from pytest_anchorgate.distributed import (
    CONTROLLER,
    Controller,
    Worker,
    hand_out,
    receive_answers,
    worker_gate,
)
from pytest_anchorgate.engine import EngineRefused
from pytest_anchorgate.gate import Gate, open_gate, user_errors
from pytest_anchorgate.head_start import ENGINE, OFFER
from pytest_anchorgate.ledger import LEDGER, Ledger
from pytest_anchorgate.options import leaves_out, read_settings, runs_nothing
from pytest_anchorgate.parametrize import wanted_by
from pytest_anchorgate.progress import LineProgress, Quiet
from pytest_anchorgate.receipt import session as receipt
from pytest_anchorgate.reports.terminal import render_header, render_no_session
from pytest_anchorgate.verdict import Outcome


def configure(config: pytest.Config) -> None:
    """Opens the gate on the controller, or takes over the controller's on a worker.

    Raises:
        pytest.UsageError: whatever is wrong with pack, anchors, baseline or options, in one line.
    """
    if hasattr(config, "workerinput"):
        gate = worker_gate(config)
        if gate is not None:
            config.stash[GATE] = gate
            xdist_config: Any = config
            config.pluginmanager.register(Worker(xdist_config.workeroutput), "anchorgate-worker")
        return
    receipt.prepare(config)
    settings = read_settings(config)
    if settings is None or config.option.help:
        return
    try:
        wanted = wishes(settings)
        gate = open_gate(
            settings,
            progress=_wants_progress(config),
            engine=config.stash.get(ENGINE, None),
            offer=config.stash.get(OFFER, None),
        )
    except user_errors() as error:
        raise pytest.UsageError(" ".join(str(error).splitlines())) from None
    ledger = Ledger(config, gate)
    config.stash[GATE] = gate
    config.stash[LEDGER] = ledger
    config.pluginmanager.register(ledger, "anchorgate-ledger")
    config.stash[ANNOUNCER] = Announcer(config, ledger, wanted)
    config.pluginmanager.register(config.stash[ANNOUNCER], "anchorgate-announcer")
    if config.pluginmanager.has_plugin("xdist"):
        config.pluginmanager.register(Controller(gate, ledger), CONTROLLER)
    if not leaves_out(config.option):
        gate.ask([anchor.task_id for anchor in gate.anchors])


def header(config: pytest.Config) -> list[str]:
    """Lines for pytest's header."""
    gate = config.stash.get(GATE, None)
    return render_header(gate) if gate is not None else []


def collect_file(file_path: Path, parent: pytest.Collector) -> AnchorFile | None:
    """The collector if this is the anchors file of the gate."""
    gate = parent.config.stash.get(GATE, None)
    if gate is None or file_path.name != gate.anchors.path.name:
        return None
    return anchor_file(parent, file_path) if file_path.samefile(gate.anchors.path) else None


def before_tests(session: pytest.Session) -> None:
    """Gets the answers that the selected tests need, in one batch; with xdist all, for the workers to verify."""
    config = session.config
    gate = config.stash.get(GATE, None)
    if gate is None or runs_nothing(config.option):
        return
    if gate.worker:
        receive_answers(config, gate)
        return
    if config.pluginmanager.has_plugin("dsession"):
        try:
            _run_engine(config, [anchor.task_id for anchor in gate.anchors])
        finally:
            hand_out(config, gate)
        return
    if session.testsfailed and not config.option.continue_on_collection_errors:
        return  # pytest is about to stop because a module could not be imported
    _run_engine(config, {task_id for item in session.items if (task_id := wanted_by(item)) is not None})


def status_words(report: pytest.TestReport, config: pytest.Config) -> Any:
    """Category, letter and word for a report of the gate's own tests."""
    ledger = config.stash.get(LEDGER, None)
    return (
        ledger.status_words(report) if ledger is not None and isinstance(report, pytest.TestReport) else None
    )


def last_word(config: pytest.Config, status: Any) -> Any:
    """The exit status of the process."""
    if hasattr(config, "workerinput"):
        return status
    ledger = config.stash.get(LEDGER, None)
    if ledger is not None:
        final = ledger.last_word(int(status))
        if receipt.RECEIPT in config.stash:
            final = config.stash[receipt.RECEIPT].settle(ledger, final)
        config.stash[ANNOUNCER].announce(final)
        return final
    if int(status) % 256 == 0:  # of which a process shows the last eight bits
        final = int(Outcome.UNDECIDED)
        print(f"anchorgate: {render_no_session(runs_nothing(config.option), final)}", file=sys.stderr)
        return final
    return status


def _run_engine(config: pytest.Config, task_ids: Collection[str]) -> None:
    gate: Gate = config.stash[GATE]
    if not task_ids:
        return
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    listener: LineProgress | Quiet = Quiet()
    if reporter is not None and _wants_progress(config):
        expected = sum(len(gate.baseline.anchors[task_id].token_ids) for task_id in task_ids)
        in_place = (lambda line: reporter.rewrite(line, erase=True)) if reporter.isatty else None
        reporter.ensure_newline()
        listener = LineProgress(reporter.write_line, expected_tokens=expected, in_place=in_place)
    try:
        gate.run_engine(task_ids, listener)
    except EngineRefused as error:
        raise pytest.UsageError(f"{gate.pack.path}: {error}") from None
    finally:
        listener.close()
    config.stash[LEDGER].engine_ran()


def _wants_progress(config: pytest.Config) -> bool:
    # The option belongs to the terminal plugin, which may be switched off.
    return config.pluginmanager.has_plugin("terminalreporter") and getattr(config.option, "verbose", 0) >= 0
