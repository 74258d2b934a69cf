"""Tells CI services how the session ended: the controller's link between pytest and reports/."""

from __future__ import annotations

import os
import sys

import pytest

from pytest_anchorgate.ledger import Ledger
from pytest_anchorgate.options import Settings
from pytest_anchorgate.reports.findings import Outcomes, place_of
from pytest_anchorgate.reports.publish import Wishes, publish, remove_stale, wishes_of
from pytest_anchorgate.verdict import Standing

ANNOUNCER: pytest.StashKey[Announcer] = pytest.StashKey()


class Announcer:
    """Keeps the explanations of lost anchors while tests run, and writes the reports once all is decided."""

    def __init__(self, config: pytest.Config, ledger: Ledger, wishes: Wishes) -> None:
        self._root = config.rootpath
        self._ledger = ledger
        self._wishes = wishes
        self._cards: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps a lost anchor's card."""
        task_id = self._ledger.task_of(report.nodeid)
        if task_id is not None and self._ledger.standing_of(report) is Standing.LOST:
            self._cards[task_id] = report.longreprtext

    def announce(self, exit_status: int) -> None:
        """Writes every report that is wished for; what cannot be written is told on stderr."""
        anchors = self._ledger.gate.anchors
        outcomes = Outcomes(
            decision=self._ledger.decision(),
            exit_status=exit_status,
            run=self._ledger.run,
            places={a.task_id: place_of(anchors.path, a.line, self._root) for a in anchors},
            cards=self._cards,
        )
        for line in publish(outcomes, self._wishes, print):
            print(f"anchorgate: {line}", file=sys.stderr)


def wishes(settings: Settings) -> Wishes:
    """Which reports the session has to write; those of an earlier run are removed at once.

    Raises:
        OSError: an old report cannot be removed.
    """
    wanted = wishes_of(settings.github, settings.code_quality, settings.sarif, os.environ)
    remove_stale(wanted)
    return wanted
