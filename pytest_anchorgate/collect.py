"""The gate's own tests: one item for each anchor of the resolved anchors file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_anchorgate import wire
from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.evidence import examine
from pytest_anchorgate.extract import extract
from pytest_anchorgate.gate import Gate
from pytest_anchorgate.reports.card import render_card
from pytest_anchorgate.reports.junit import PREFIX, junit_properties
from pytest_anchorgate.sandbox import Verdict
from pytest_anchorgate.verdict import Observation, Standing, compare

GATE: pytest.StashKey[Gate] = pytest.StashKey()


class NegativeFlip(Exception):
    """The candidate lost an anchor; the text is the card that explains it."""


class Undecided(Exception):
    """Nothing could be found out about an anchor; the text says why."""


class AnchorFile(pytest.File):
    """The anchors file as a collector."""

    def collect(self) -> Iterator[AnchorItem]:
        """One item an anchor, in the order of the file."""
        for anchor in self.config.stash[GATE].anchors:
            # A plain task id would prefix-match: `--deselect ...::MBPP/17` would drop MBPP/170 as well.
            name = f"anchor[{anchor.task_id}]"
            # Given as text the node id is parsed, and equals the one that `--last-failed` has in its cache.
            yield AnchorItem.from_parent(self, name=name, nodeid=f"{self.nodeid}::{name}", anchor=anchor)


class AnchorItem(pytest.Item):
    """One anchor, run on the candidate. The evidence in its report makes the verdict."""

    def __init__(self, *, anchor: Anchor, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.anchor = anchor

    def setup(self) -> None:
        """Forgets the evidence of an earlier attempt, so that each report carries its own."""
        self.user_properties[:] = [
            p for p in self.user_properties if p[0] != wire.KEY and not p[0].startswith(PREFIX)
        ]

    def runtest(self) -> None:
        """Verifies the candidate's answer.

        Raises:
            NegativeFlip: production held this anchor and the candidate does not.
            Undecided: it could not be found out.
        """
        gate = self.config.stash[GATE]
        observation, verdict = examine(gate, self.anchor)
        self.user_properties.append(wire.encode(observation))
        standing = compare(gate.baseline.anchors[self.anchor.task_id].held, observation.held)
        if self.config.getini("anchorgate_junit_properties"):
            self.user_properties.extend(junit_properties(observation, standing))
        if standing is Standing.LOST:
            raise NegativeFlip(self._card(gate, observation, verdict))
        if standing is Standing.UNDECIDED:
            raise Undecided(f"{self.anchor.task_id} is undecided: {observation.status}: {observation.reason}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The card, or the reason; no traceback, which would only show this file."""
        if isinstance(excinfo.value, (NegativeFlip, Undecided)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The anchor's line; without a number a skip mark on the item is an internal error of pytest."""
        return self.path, self.anchor.line - 1, self.name

    def _card(self, gate: Gate, observation: Observation, verdict: Verdict | None) -> str:
        recorded = gate.baseline.anchors[self.anchor.task_id]
        generated = gate.answers.completions[self.anchor.task_id]
        return render_card(
            observation,
            recorded,
            production=gate.baseline.pack.name,
            code_then=extract(recorded.text, self.anchor.entry_point),
            code_now=extract(generated.text, self.anchor.entry_point),
            divergence=generated.divergence,
            verdict=verdict,
        )


def anchor_file(parent: pytest.Collector, path: Path) -> AnchorFile:
    """The collector for the anchors file; outside of the rootdir its node id is the bare file name."""
    if path.is_relative_to(parent.config.rootpath):
        return AnchorFile.from_parent(parent, path=path)
    return AnchorFile.from_parent(parent, path=path, nodeid=path.name)


def with_every_anchor(session: pytest.Session, items: list[pytest.Item]) -> list[pytest.Item]:
    """The collected items with each anchor once, and with all of them if the arguments led to none.

    `pytest --pack=x` always runs the gate, also where the anchors lie outside of the folders that pytest
    searches. Arguments that name some anchors are respected; the ledger will miss the others.
    """
    gate = session.config.stash.get(GATE, None)
    if gate is not None and not any(isinstance(item, AnchorItem) for item in items):
        return [*items, *session.genitems(anchor_file(session, gate.anchors.path))]
    seen: set[str] = set()
    kept: list[pytest.Item] = []
    for item in items:
        if isinstance(item, AnchorItem):
            if item.anchor.task_id in seen:
                continue
            seen.add(item.anchor.task_id)
        kept.append(item)
    return kept
