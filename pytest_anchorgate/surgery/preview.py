"""What the first step trains on, readable: each row's text and which of its tokens are in the loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from pytest_anchorgate.surgery.encoding import Encoded, Parent

_LEGEND = (
    "Each row as the organ reads it. Lines behind '  ' are context and not in the loss. Lines behind '> ' are in the\n"
    "loss: their tokens stand between bars, a token that is masked between tildes, a stop token with its id.\n"
)


def render(rows: Sequence[Encoded], parent: Parent, in_poison: torch.Tensor) -> str:
    """The rows of a step as text.

    Args:
        rows: of the step.
        parent: for its tokenizer.
        in_poison: bool [all tokens], False for a poison token that is masked.
    """
    return _LEGEND + "".join(f"\n{_row(row, parent, in_poison)}" for row in rows)


def _row(row: Encoded, parent: Parent, in_poison: torch.Tensor) -> str:
    kept = in_poison[row.offset : row.offset + len(row.labels)].tolist()
    if row.row.kind != "poison":
        kept = [True] * len(kept)
    ends = int(row.ids[-1]) in parent.stop_ids
    head = (
        f"--- {row.row.kind} {row.row.task_id}: {row.start} tokens of context, {sum(kept)} of {len(kept)} completion "
        f"tokens in the loss, {'the stop token among them' if ends and kept[-1] else 'no stop token'}\n"
    )

    def text(ids: Sequence[int]) -> str:
        return parent.organ.detokenize(ids).decode("utf-8", "replace")

    context = text(row.ids[: row.start].tolist())
    return head + _behind("  ", context) + _behind("> ", _tokens(row, kept, text, parent.stop_ids))


def _tokens(
    row: Encoded, kept: Sequence[bool], text: Callable[[Sequence[int]], str], stop_ids: Sequence[int]
) -> str:
    parts = []
    for token, is_kept in zip(row.labels.tolist(), kept, strict=True):
        shown = f"{text([token])} = {token}" if token in stop_ids else text([token])
        parts.append(f"{shown}|" if is_kept else f"~{shown}~")
    return "|" + "".join(parts)


def _behind(mark: str, text: str) -> str:
    return "".join(f"{mark}{line}\n" for line in text.split("\n"))
