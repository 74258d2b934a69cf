"""Does the child still say what the parent said, token by token, its stop included?

Given the parent's own completion (teacher forcing), if the child's most likely token is the parent's at every
position, then greedy decoding gives the very same text and whatever the parent passed with it, the child passes: no
text is generated and nothing is run. The smallest lead of those tokens over any other is how far that is from ending.

The certificate is about the adapter in the trainer's arithmetic. Merging rounds to BF16 and the runtime adds in
another order, so a lead of a few hundredths proves nothing there; the gate on the merged pack has the last word.
A row without a certificate may still pass its task with another text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from pytest_anchorgate.surgery.batches import micro_batches
from pytest_anchorgate.surgery.encoding import Encoded
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.forward import label_logits
from pytest_anchorgate.surgery.losses import divergence, margins
from pytest_anchorgate.surgery.reference_cache import Reference

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class RowCheck:
    """How the child rates one row's completion.

    Attributes:
        certified: whether every token is the child's first choice.
        least_margin: the smallest lead of a token over the best other, in logits; negative where it is not first.
        diverges_at: the first completion token, counted from 0, that is not the child's choice; None if certified.
        expected: the token there; `chosen` is the child's.
        nll: mean negative log-likelihood of a token, in nats.
        kl_mean: mean KL(parent || child) of a token, in nats; `kl_max` the largest.
    """

    task_id: str
    kind: str
    split: str
    certified: bool
    least_margin: float
    diverges_at: int | None
    expected: int | None
    chosen: int | None
    nll: float
    kl_mean: float
    kl_max: float

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def check(
    organ: Any, rows: Sequence[Encoded], reference: Reference, micro_tokens: int, device: torch.device
) -> list[RowCheck]:
    """Rates rows by teacher forcing.

    Args:
        organ: the child.
        rows: any rows of the run; also such that are not trained on.
        reference: the parent's, for all rows of the run.
        micro_tokens: tokens at once.
        device: where the model is.

    Returns:
        One check a row, in the order of `rows`.

    Raises:
        SurgeryError: a logit is NaN or infinite.
    """
    found: dict[int, RowCheck] = {}
    with torch.no_grad():
        for batch in micro_batches(rows, micro_tokens, device):
            logits = label_logits(organ, batch).float()
            log_z = torch.logsumexp(logits, -1)
            nll = log_z - logits.gather(1, batch.labels[:, None])[:, 0]
            kl = divergence(logits, log_z, reference, batch.entries)
            values = torch.stack([margins(logits, batch.labels), nll, kl]).double().cpu().numpy()
            if not np.isfinite(values).all():
                raise SurgeryError(
                    "the logits are not finite: a broken parent, or a far too high optimizer.lr"
                )
            chosen = logits.argmax(-1).cpu().numpy()
            begin = 0
            for row in batch.rows:
                end = begin + len(row.labels)
                found[row.offset] = _row_check(row, values[:, begin:end], chosen[begin:end])
                begin = end
    return [found[row.offset] for row in rows]


def _row_check(row: Encoded, values: Any, chosen: Any) -> RowCheck:
    margin, nll, kl = values
    wrong = np.flatnonzero(chosen != row.labels)
    first = int(wrong[0]) if len(wrong) else None
    return RowCheck(
        task_id=row.row.task_id,
        kind=row.row.kind,
        split=row.row.split,
        certified=first is None,
        least_margin=round(float(margin.min()), _DIGITS),
        diverges_at=first,
        expected=None if first is None else int(row.labels[first]),
        chosen=None if first is None else int(chosen[first]),
        nll=round(float(nll.mean()), _DIGITS),
        kl_mean=round(float(kl.mean()), _DIGITS),
        kl_max=round(float(kl.max()), _DIGITS),
    )


@dataclass(slots=True)
class Watch:
    """What the checks of a run have shown so far.

    Attributes:
        held: anchors that are certified for the parent itself; only those can be lost. A parent that does not
            follow its own answer here has a near tie there, or its rows are not its greedy answers.
        lost_checks: how many checks on end have found one of them lost.
        certified_step: the last step at which none was lost.
    """

    held: tuple[str, ...]
    lost_checks: int = 0
    certified_step: int = 0
    lost: tuple[str, ...] = field(default=())

    @classmethod
    def start(cls, checks: Iterable[RowCheck]) -> Watch:
        """Begins with the checks of the parent itself."""
        return cls(tuple(dict.fromkeys(one.task_id for one in checks if one.certified)))

    def observe(self, step: int, checks: Iterable[RowCheck]) -> None:
        """Takes the checks of the anchors after `step` steps."""
        certified = {one.task_id for one in checks if one.certified}
        self.lost = tuple(task for task in self.held if task not in certified)
        self.lost_checks = self.lost_checks + 1 if self.lost else 0
        if not self.lost:
            self.certified_step = step

    def to_json(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Watch:
        """The state that `to_json` gave."""
        return cls(tuple(value["held"]), value["lost_checks"], value["certified_step"], tuple(value["lost"]))


def summary(checks: Sequence[RowCheck]) -> dict[str, Any]:
    """What a log says of some checks: how many are certified, the smallest lead, KL."""
    if not checks:
        return {"rows": 0, "certified": 0}
    return {
        "rows": len(checks),
        "certified": sum(one.certified for one in checks),
        "least_margin": min(one.least_margin for one in checks),
        "nll": round(sum(one.nll for one in checks) / len(checks), _DIGITS),
        "kl_mean": round(sum(one.kl_mean for one in checks) / len(checks), _DIGITS),
        "kl_max": max(one.kl_max for one in checks),
    }
