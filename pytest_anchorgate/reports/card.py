"""The flip card: what production answered, what the candidate answers, and where the two part."""

from __future__ import annotations

from pytest_anchorgate.baseline import Recorded
from pytest_anchorgate.engine import Divergence
from pytest_anchorgate.verdict import Observation
from pytest_anchorgate.wire import MAX_DETAIL, MAX_TEXT, printable

_LINES = 60
_TOKEN = 40


def render_card(
    observation: Observation,
    recorded: Recorded,
    *,
    production: str,
    code_then: str,
    code_now: str,
    divergence: Divergence | None,
) -> str:
    """A lost anchor, explained.

    Args:
        observation: what the candidate did.
        recorded: what production did.
        production: name of the pack that the baseline was recorded on.
        code_then: the Python source in production's answer.
        code_now: the Python source in the candidate's answer.
        divergence: where their tokens part, None if they are the same.
    """
    parts = [
        f"{observation.task_id} is lost: production solves it and the candidate does not.",
        f"{observation.status}: {observation.reason}",
        _parting(observation, recorded, divergence),
        f"production ({printable(production, 200)}) answered:\n{_quoted(code_then, recorded.text)}",
        f"the candidate answers:\n{_quoted(code_now, observation.text)}",
    ]
    if observation.detail:
        parts.append(f"the verifier says:\n{_block(printable(observation.detail, MAX_DETAIL, lines=True))}")
    return "\n\n".join(parts)


def _parting(observation: Observation, recorded: Recorded, divergence: Divergence | None) -> str:
    if divergence is None:
        return "both wrote the same tokens, so the judgement differs and not the model"
    at = divergence.index
    then = _side(divergence.expected, recorded.margins, at)
    now = _side(divergence.actual, observation.margins, at)
    return f"first different token: number {at + 1}: production {then}, candidate {now}"


def _side(token: str | None, margins: tuple[float, ...], at: int) -> str:
    """One side's token with its lead over the runner-up: small is a near tie, large a change of mind."""
    if token is None or at >= len(margins):
        return "had ended"
    return f"'{printable(token, _TOKEN)}' (margin {margins[at]:.3g})"


def _quoted(code: str, text: str) -> str:
    if code.strip():
        return _block(printable(code, MAX_TEXT, lines=True))
    if text.strip():
        return "(no Python in it)\n" + _block(printable(text, MAX_TEXT, lines=True))
    return "(nothing)"


def _block(text: str) -> str:
    """Lines behind a bar, so that none can begin with a command to a CI runner, such as `::error`."""
    lines = text.rstrip("\n").split("\n")
    more = [f"| ... {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
    return "\n".join([f"| {line}".rstrip() for line in lines[:_LINES]] + more)
