"""SARIF 2.1.0, for services and editors that show results of analysers. Pure.

Format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from pytest_anchorgate.reports.findings import RULES, Finding, Outcomes, findings
from pytest_anchorgate.verdict import Outcome, Standing

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVEL = {Standing.LOST: "error", Standing.UNDECIDED: "warning"}


def sarif(outcomes: Outcomes) -> str:
    """One run with one result for each anchor that is lost or undecided."""
    run = {
        "tool": {
            "driver": {
                "name": "anchorgate",
                "version": version("pytest-anchorgate"),
                "rules": [
                    {
                        "id": rule,
                        "shortDescription": {"text": text},
                        "defaultConfiguration": {"level": _LEVEL[standing]},
                    }
                    for standing, (rule, text) in RULES.items()
                ],
            }
        },
        "invocations": [
            {
                "exitCode": outcomes.exit_status,
                # The tool did its work, whatever it found: undecided is the case where it could not.
                "executionSuccessful": outcomes.decision.outcome is not Outcome.UNDECIDED,
            }
        ],
        "results": [_result(finding) for finding in findings(outcomes)],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _result(finding: Finding) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": quote(finding.place.path)},
        "region": {"startLine": finding.place.line},
    }
    return {
        "ruleId": finding.rule,
        "level": _LEVEL[finding.standing],
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"anchorgate/v1": finding.fingerprint},
    }
