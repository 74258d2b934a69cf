"""The flip card: what a lost anchor needs to be understood, on one screen.

The failing call with what was expected and what came; the first token where the two packs part, with how sure
each was there; production's function and the candidate's as a diff.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from pytest_anchorgate.baseline import Recorded
from pytest_anchorgate.engine import Divergence
from pytest_anchorgate.reports.expected import expected_by
from pytest_anchorgate.sandbox import Verdict
from pytest_anchorgate.verdict import Observation
from pytest_anchorgate.wire import MAX_TEXT, printable

_LINES = 60
_CONTEXT = 3
_TOKEN = 40
_VALUE = 300
# What CI runners take for a command, at the beginning of a line or, in their older form, anywhere in it.
_COMMAND = re.compile(r"^\s*::|##(?=\w*\[)")


def render_card(
    observation: Observation,
    recorded: Recorded,
    *,
    production: str,
    code_then: str,
    code_now: str,
    divergence: Divergence | None,
    verdict: Verdict | None = None,
) -> str:
    """A lost anchor, explained.

    Args:
        observation: what the candidate did.
        recorded: what production did.
        production: name of the pack that the baseline was recorded on.
        code_then: the Python source in production's answer.
        code_now: the Python source in the candidate's answer.
        divergence: where their tokens part, None if they are the same.
        verdict: the sandbox's own, which has the failing call apart from the reason.
    """
    parts = [
        f"{observation.task_id} is lost: {printable(production, 200)} solves it and the candidate does not.",
        _failure(observation, verdict),
        _parting(observation, recorded, divergence),
        _change(code_then, code_now, observation.text),
    ]
    return "\n\n".join(parts)


def _failure(observation: Observation, verdict: Verdict | None) -> str:
    if verdict is None or not verdict.test:
        return f"{observation.status}: {observation.reason}"
    rows = [
        ("failing call", verdict.test.removeprefix("assert ")),
        ("expected", verdict.expected or expected_by(verdict.test)),
        ("got", verdict.got),
    ]
    if not verdict.got:
        # An exception or a deadline is no value; the reason says which, behind the call.
        rows[-1] = ("got", observation.reason.rpartition(f"{verdict.test}: ")[2])
    return _rows((label, printable(value, _VALUE)) for label, value in rows if value)


def _parting(observation: Observation, recorded: Recorded, divergence: Divergence | None) -> str:
    if divergence is None:
        return "Both packs wrote the same tokens, so the judgement differs and not the model."
    at = divergence.index
    sides = (
        ("production", _side(divergence.expected, recorded.margins, at)),
        ("candidate", _side(divergence.actual, observation.margins, at)),
    )
    return f"The answers part at token {at + 1} of production's {len(recorded.token_ids)}:\n{_rows(sides)}"


def _side(token: str | None, margins: tuple[float, ...], at: int) -> str:
    """One side's token with its lead over the runner-up: small is a near tie, large a change of mind."""
    if token is None or at >= len(margins):
        return "had ended"
    return f"{_spelled(token)} with a margin of {margins[at]:.3g} over the runner-up"


def _spelled(token: str) -> str:
    return f"'{printable(token, _TOKEN)}'"


def _change(code_then: str, code_now: str, text: str) -> str:
    if not code_now.strip():
        if not text.strip():
            return "The candidate wrote nothing."
        return "The candidate wrote no Python:\n" + "\n".join(_cut(f"+{line}" for line in _lines(text)))
    lines = list(
        difflib.unified_diff(
            _lines(code_then), _lines(code_now), "production", "candidate", n=_CONTEXT, lineterm=""
        )
    )
    if not lines:
        return "The code is the same on both sides."
    return "\n".join(_cut(lines))


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in printable(text, MAX_TEXT, lines=True).strip("\n").split("\n")]


def _cut(lines: Iterable[str]) -> list[str]:
    shown = [_harmless(line) for line in lines]
    more = [f"... {len(shown) - _LINES} more lines"] if len(shown) > _LINES else []
    return shown[:_LINES] + more


def _harmless(line: str) -> str:
    """A line that no CI runner takes for a command, such as `::error`."""
    return _COMMAND.sub(lambda found: found.group().replace("::", ": :").replace("##", "# #"), line)


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    width = max(len(label) for label, _ in rows) + 1
    return "\n".join(f"  {label + ':':{width}} {_harmless(value)}" for label, value in rows)
