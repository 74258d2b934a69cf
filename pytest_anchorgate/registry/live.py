"""Gating what `production` leads to, and putting down what was seen in a receipt of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from pytest_anchorgate.anchors import AnchorSet
from pytest_anchorgate.baseline import Baseline
from pytest_anchorgate.engine import Listener
from pytest_anchorgate.packs.errors import PackFormatError
from pytest_anchorgate.receipt.errors import ReceiptError
from pytest_anchorgate.receipt.from_gate import now, receipt_of
from pytest_anchorgate.receipt.harness import harness
from pytest_anchorgate.receipt.keys import PrivateKey
from pytest_anchorgate.regate import Limits, Question, Regated, regate
from pytest_anchorgate.registry.aliases import PRODUCTION
from pytest_anchorgate.registry.journal import Change
from pytest_anchorgate.registry.store import Store
from pytest_anchorgate.registry.switch import Proof
from pytest_anchorgate.reports.terminal import render_verdict
from pytest_anchorgate.verdict import Outcome
from pytest_anchorgate.wire import MAX_LINE, printable

Progress = Callable[[int], AbstractContextManager[Listener]]


class LiveGate:
    """One gating of the live place; `regated` is what it saw, in `seconds`.

    Args:
        limits: how engine and sandbox may work.
        progress: gives whom to tell how far the engine is, given how many tokens there can be.
        signer: signs the receipt; None for an unsigned one.
    """

    def __init__(self, limits: Limits, progress: Progress, signer: PrivateKey | None) -> None:
        self._limits, self._progress, self._signer = limits, progress, signer
        self.regated: Regated | None = None
        self.seconds = 0.0

    def prove(
        self,
        store: Store,
        change: Change,
        anchors: AnchorSet,
        baseline: Baseline,
        *,
        tokens: Mapping[str, str],
        previous: str | None,
    ) -> Proof:
        """Gates the pack that the change brought in.

        Args:
            store: where it is.
            change: what came in; `anchors` and `baseline` are those that it names.
            anchors: what is asked.
            baseline: what has to be held.
            tokens: see `regate.Question`.
            previous: digest of the receipt that this one follows.
        """
        started = now()
        question = Question(
            place=store.root / PRODUCTION,
            organ=PRODUCTION,
            name=change.name,
            pack_sha256=str(change.after.production),
            anchors=anchors,
            baseline=baseline,
            tokens=tokens,
        )
        begun = time.monotonic()
        with self._progress(sum(anchor.max_new_tokens for anchor in anchors)) as listener:
            self.regated = seen = regate(question, self._limits, listener)
        self.seconds = time.monotonic() - begun
        passed = seen.decision.outcome is Outcome.PASS
        why = "" if passed else render_verdict(seen.decision, int(seen.decision.outcome))
        try:
            receipt = receipt_of_regated(seen, started, Path.cwd(), previous=previous, signer=self._signer)
        except (ReceiptError, PackFormatError, OSError) as error:
            return Proof(False, why or printable(f"no receipt can be written: {error}", MAX_LINE), None)
        return Proof(passed, why, receipt)


def receipt_of_regated(
    seen: Regated,
    started_on: str,
    folder: Path,
    *,
    previous: str | None = None,
    signer: PrivateKey | None = None,
) -> bytes | None:
    """The receipt of a gate without pytest, whose exit status is its verdict's; see `receipt_of`."""
    return receipt_of(
        seen.gate,
        seen.evidence,
        seen.incidents,
        seen.decision,
        repeats=seen.repeats,
        exit_status=int(seen.decision.outcome),
        started_on=started_on,
        harness=harness(folder),
        previous=previous,
        signer=signer,
    )
