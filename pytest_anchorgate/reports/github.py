"""For GitHub Actions: workflow commands that become annotations, and the step summary. Pure.

Limits, from the documentation of GitHub Actions: a step shows at most ten annotations of a type
(https://docs.github.com/en/actions/reference/limits), and a step summary of more than 1 MiB is not shown at all
(https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#adding-a-job-summary).
So losses come first, and both are cut on our side, saying so.
"""

from __future__ import annotations

import html
import re

from pytest_anchorgate.reports.findings import Finding, Outcomes, findings
from pytest_anchorgate.verdict import Judgement, Standing
from pytest_anchorgate.wire import MAX_LINE, printable

ANNOTATIONS = 10
SUMMARY_BYTES = 1 << 20
# Left free for what other commands of the same step write into the file after us.
_RESERVE = 1 << 16
_ORDER = (Standing.LOST, Standing.UNDECIDED, Standing.GAINED, Standing.STILL_FAILING, Standing.HELD)


def workflow_commands(outcomes: Outcomes) -> list[str]:
    """Workflow commands, one a line: an `error` each, and in place of the tenth how many more there are."""
    found = findings(outcomes)
    shown = found if len(found) <= ANNOTATIONS else found[: ANNOTATIONS - 1]
    lines = [_command(finding) for finding in shown]
    if len(shown) < len(found):
        rest = f"{len(found) - len(shown)} more anchors are lost or undecided; the log and the step summary have all"
        lines.append(f"::error title=anchorgate::{_data(rest)}")
    return lines


def step_summary(outcomes: Outcomes, already: int = 0) -> str:
    """Markdown to append to the file that GITHUB_STEP_SUMMARY names.

    Args:
        outcomes: what to tell.
        already: bytes that the file has.
    """
    room = SUMMARY_BYTES - _RESERVE - already
    parts = [
        f"## anchorgate: {_text(outcomes.headline)}\n\n",
        f"Candidate `{_code(outcomes.run.pack)}`, production `{_code(outcomes.run.production)}`.\n\n",
        _table(outcomes),
    ]
    left_out = 0
    for judgement in outcomes.decision.of(Standing.LOST):
        card = _card(judgement, outcomes.cards.get(judgement.task_id, ""))
        if sum(map(_size, parts)) + _size(card) > room:
            left_out += 1
        elif card:
            parts.append(card)
    if left_out:
        parts.append(
            f"\n{left_out} more explanations are in the log: a step summary has 1 MiB at the most.\n"
        )
    text = "".join(parts)
    return text if _size(text) <= room else ""


def _command(finding: Finding) -> str:
    place = finding.place
    title = f"anchorgate: {finding.task_id} {finding.standing.value}"
    properties = f"file={_property(place.path)},line={place.line},title={_property(title)}"
    return f"::error {properties}::{_data(finding.message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _table(outcomes: Outcomes) -> str:
    rows = ["| anchor | | why |\n", "|---|---|---|\n"]
    for standing in _ORDER:
        rows += [_row(judgement) for judgement in outcomes.decision.of(standing)]
    return "".join(rows)


def _row(judgement: Judgement) -> str:
    word = judgement.standing.value
    shown = f"**{word}**" if judgement.standing in (Standing.LOST, Standing.UNDECIDED) else word
    # "passed" says nothing that "held" does not.
    why = "" if judgement.standing in (Standing.HELD, Standing.GAINED) else judgement.reason
    return f"| {_text(judgement.task_id)} | {shown} | {_text(why)} |\n"


def _card(judgement: Judgement, card: str) -> str:
    if not card:
        return ""
    longest = max((len(run) for run in re.findall(r"`+", card)), default=0)
    fence = "`" * max(3, longest + 1)
    title = f"{judgement.task_id}: {printable(judgement.reason, MAX_LINE)}"
    return f"\n<details><summary>{_text(title)}</summary>\n\n{fence}diff\n{card}\n{fence}\n\n</details>\n"


def _text(text: str) -> str:
    """Words of strangers inside of Markdown: no HTML, no markup, no end of the table's cell."""
    escaped = html.escape(printable(text, MAX_LINE), quote=False)
    return re.sub(r"([\\`*_{}\[\]()#+!|~@])", r"\\\1", escaped)


def _code(text: str) -> str:
    return printable(text, MAX_LINE).replace("`", "'")


def _size(text: str) -> int:
    return len(text.encode())
