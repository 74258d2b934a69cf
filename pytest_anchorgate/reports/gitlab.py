"""For GitLab: the code quality report, which a merge request shows as a widget. Pure.

Format: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import json

from pytest_anchorgate.reports.findings import Outcomes, findings
from pytest_anchorgate.verdict import Standing

_SEVERITY = {Standing.LOST: "blocker", Standing.UNDECIDED: "critical"}


def code_quality(outcomes: Outcomes) -> str:
    """A JSON array, empty where nothing is lost or undecided; GitLab compares it with the target branch's."""
    entries = [
        {
            "description": finding.message,
            "check_name": f"anchorgate/{finding.rule}",
            "fingerprint": finding.fingerprint,
            "severity": _SEVERITY[finding.standing],
            "location": {"path": finding.place.path, "lines": {"begin": finding.place.line}},
        }
        for finding in findings(outcomes)
    ]
    return json.dumps(entries, indent=1) + "\n"
