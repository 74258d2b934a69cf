"""Policies of the user's own: a test function that takes `anchor` runs once for each anchor.

    def test_no_imports(anchor, completion):
        assert "import" not in completion.code

The verdict of the gate does not depend on such tests; their failures make the session fail like any other
test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_anchorgate.anchors import Anchor

NEEDS_PACK = "needs --pack"


@dataclass(frozen=True, slots=True)
class AnchorCompletion:
    """The candidate's answer to one anchor.

    Attributes:
        text: what the model wrote.
        code: the Python source taken out of it, "" if it holds none.
        token_ids: the tokens of the text.
        margins: top-1 minus top-2 logit of each token: small where the model was close to another answer.
        finish_reason: "stop", "length" or "code_end".
    """

    text: str
    code: str
    token_ids: tuple[int, ...]
    margins: tuple[float, ...]
    finish_reason: str


@pytest.fixture
def anchor() -> Anchor:
    """One anchor of the gate after the other: .task_id .prompt .entry_point .tests .check (needs --pack)."""
    pytest.skip(NEEDS_PACK)


@pytest.fixture
def completion(request: pytest.FixtureRequest, anchor: Anchor) -> AnchorCompletion:
    """The candidate's answer to `anchor`: .text .code .token_ids .margins .finish_reason (needs --pack)."""
    from pytest_anchorgate.collect import GATE
    from pytest_anchorgate.extract import extract

    answers = request.config.stash[GATE].answers
    generated = answers.completions.get(anchor.task_id)
    if generated is None:
        # Not a failure: the gate itself is undecided for the same reason, and says so by its exit status.
        pytest.skip(f"no completion: {answers.failure or 'the engine did not run'}")
    return AnchorCompletion(
        text=generated.text,
        code=extract(generated.text, anchor.entry_point),
        token_ids=generated.token_ids,
        margins=generated.margins,
        finish_reason=generated.finish_reason,
    )


def parametrize_anchors(metafunc: pytest.Metafunc) -> None:
    """Gives a test function one call an anchor, unless `anchor` is the user's own fixture or parameter."""
    from pytest_anchorgate.collect import GATE

    gate = metafunc.config.stash.get(GATE, None)
    if gate is None or not _asks_for_ours(metafunc):
        return
    anchors = list(gate.anchors)
    metafunc.parametrize("anchor", anchors, ids=[entry.task_id for entry in anchors])


def wanted_by(item: pytest.Item) -> str | None:
    """The task id of the anchor whose completion this item needs, None if it needs none."""
    from pytest_anchorgate.collect import AnchorItem

    if isinstance(item, AnchorItem):
        return item.anchor.task_id
    from pytest_anchorgate.anchors import Anchor

    callspec: Any = getattr(item, "callspec", None)
    value = callspec.params.get("anchor") if callspec is not None else None
    return value.task_id if isinstance(value, Anchor) else None


def _asks_for_ours(metafunc: pytest.Metafunc) -> bool:
    if "anchor" not in metafunc.fixturenames:
        return False
    for mark in metafunc.definition.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
        if "anchor" in ([name.strip() for name in names.split(",")] if isinstance(names, str) else names):
            return False
    # A fixture of the same name in a test module or conftest hides the plugin's.
    fixtures: Any = getattr(metafunc, "_arg2fixturedefs", {}).get("anchor")
    return bool(fixtures) and fixtures[-1].func.__module__ == __name__
