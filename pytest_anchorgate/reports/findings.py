"""What a CI service is told: one finding for each anchor that is not as it should be, worst first. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_anchorgate.reports.terminal import Run, render_verdict
from pytest_anchorgate.verdict import Decision, Judgement, Standing
from pytest_anchorgate.wire import MAX_LINE, printable

# In this order everywhere: services cut off what comes late.
BAD = (Standing.LOST, Standing.UNDECIDED)
RULES = {
    Standing.LOST: ("negative-flip", "Production solves this anchor and the candidate pack does not."),
    Standing.UNDECIDED: (
        "undecided",
        "Nothing could be proven about this anchor, so it does not count as held.",
    ),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an anchor stands.

    Attributes:
        path: of the anchors file with forward slashes, relative to the rootdir if it lies inside.
        line: from 1.
    """

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Outcomes:
    """All that a report for a CI service is made of.

    Attributes:
        places: of every anchor by task id.
        cards: the explanations of lost anchors by task id, as the terminal shows them.
    """

    decision: Decision
    exit_status: int
    run: Run
    places: Mapping[str, Place]
    cards: Mapping[str, str]

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        return render_verdict(self.decision, self.exit_status)


@dataclass(frozen=True, slots=True)
class Finding:
    """One anchor that blocks, or that was not decided.

    Attributes:
        rule: a stable name of the kind of finding.
        fingerprint: equal for the same finding in another run, so that a service can follow it.
    """

    task_id: str
    standing: Standing
    rule: str
    message: str
    place: Place
    fingerprint: str


def findings(outcomes: Outcomes) -> list[Finding]:
    """The lost anchors, then the undecided ones, each in the order of the manifest."""
    return [_finding(outcomes, judgement) for standing in BAD for judgement in outcomes.decision.of(standing)]


def place_of(path: Path, line: int, root: Path) -> Place:
    """An anchor's place as a service wants it: relative to the root of the checkout, or the file's bare name."""
    inside = path.is_relative_to(root)
    return Place(path.relative_to(root).as_posix() if inside else path.name, line)


def _finding(outcomes: Outcomes, judgement: Judgement) -> Finding:
    rule, _ = RULES[judgement.standing]
    word = "lost" if judgement.standing is Standing.LOST else "undecided"
    key = f"{rule}\0{judgement.task_id}".encode()
    return Finding(
        task_id=judgement.task_id,
        standing=judgement.standing,
        rule=rule,
        message=printable(f"{judgement.task_id} is {word}: {judgement.reason}", MAX_LINE),
        place=outcomes.places[judgement.task_id],
        fingerprint=hashlib.sha256(key).hexdigest(),
    )
