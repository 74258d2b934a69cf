"""The flip card, to the letter."""

from __future__ import annotations

import pytest

from pytest_anchorgate.baseline import Recorded
from pytest_anchorgate.engine import Divergence
from pytest_anchorgate.reports.card import render_card
from pytest_anchorgate.sandbox import Verdict
from pytest_anchorgate.verdict import Observation

THEN = "def median(xs):\n    ys = sorted(xs)\n    n = len(ys)\n    return ys[n // 2]\n"
NOW = "def median(xs):\n    ys = list(xs)\n    n = len(ys)\n    return ys[n // 2]\n"
FAILED = Verdict(
    "failed", "median([3, 1, 2]) == 2: got 1", test="assert median([3, 1, 2]) == 2", got="1", expected="2"
)

PARTING = Divergence(2, " sorted", " list")


def card(
    *,
    then: str = THEN,
    now: str = NOW,
    text: str = "Sure.",
    divergence: Divergence | None = PARTING,
    verdict: Verdict | None = FAILED,
) -> str:
    observation = Observation(
        *("nonce", "pack", "base", "set", "digest", "T/3"),
        status=verdict.status if verdict else "failed",
        reason=verdict.reason if verdict else "the code defines no function median",
        text=text,
        token_ids=(5, 6, 8),
        margins=(9.0, 8.0, 0.03125),
    )
    recorded = Recorded(
        "digest", True, "passed", "fine", 64, "stop", THEN, (5, 6, 7, 9), (9.0, 8.0, 1.5, 4.0)
    )
    return render_card(
        observation,
        recorded,
        production="production.planck",
        code_then=then,
        code_now=now,
        divergence=divergence,
        verdict=verdict,
    )


def test_the_whole_card() -> None:
    assert card() == (
        "T/3 is lost: production.planck solves it and the candidate does not.\n"
        "\n"
        "  failing call: median([3, 1, 2]) == 2\n"
        "  expected:     2\n"
        "  got:          1\n"
        "\n"
        "The answers part at token 3 of production's 4:\n"
        "  production: ' sorted' with a margin of 1.5 over the runner-up\n"
        "  candidate:  ' list' with a margin of 0.0312 over the runner-up\n"
        "\n"
        "--- production\n"
        "+++ candidate\n"
        "@@ -1,4 +1,4 @@\n"
        " def median(xs):\n"
        "-    ys = sorted(xs)\n"
        "+    ys = list(xs)\n"
        "     n = len(ys)\n"
        "     return ys[n // 2]"
    )


def test_an_exception_is_what_came() -> None:
    test = "assert median([]) is None"
    raised = Verdict("failed", f"test 2 failed: {test}: raised IndexError (line 4)", test=test)
    assert card(verdict=raised).split("\n\n")[1] == (
        "  failing call: median([]) is None\n  expected:     None\n  got:          raised IndexError (line 4)"
    )
    late = Verdict("timeout", "took longer than 10 s", test=test)
    assert "  got:          took longer than 10 s\n" in card(verdict=late)


def test_where_no_call_failed_the_reason_stands_alone() -> None:
    assert card(verdict=None).split("\n\n")[1] == "failed: the code defines no function median"


@pytest.mark.parametrize(
    ("now", "text", "words"),
    [
        ("", "", "The candidate wrote nothing."),
        ("", "I would\nrather not.", "The candidate wrote no Python:\n+I would\n+rather not."),
        (THEN, THEN, "The code is the same on both sides."),
    ],
)
def test_answers_without_a_change_in_code(now: str, text: str, words: str) -> None:
    assert card(now=now, text=text).split("\n\n")[-1] == words


def test_an_end_is_a_token_too() -> None:
    assert "  candidate:  had ended\n" in card(divergence=Divergence(3, "]", None))


def test_the_same_tokens_blame_the_judgement() -> None:
    assert card(divergence=None).split("\n\n")[2] == (
        "Both packs wrote the same tokens, so the judgement differs and not the model."
    )


def test_no_line_commands_a_ci_runner() -> None:
    hostile = "# ## fine\n##[group]z\n##vso[task]w\n    pass\n::error::x\n    ::add-mask::y\n"
    shown = card(then=hostile, now=hostile.replace("pass", "return 1"), text=hostile)
    for line in shown.splitlines():
        assert not line.strip().startswith("::")
        assert "##[" not in line
        assert "##vso[" not in line
    assert " # ## fine" in shown
    assert "\x1b" not in card(now="def median(xs):\n    return '\x1b[2J'\n")


def test_long_functions_are_cut() -> None:
    now = "".join(f"x{i} = {i}\n" for i in range(200))
    lines = card(now=now).splitlines()
    assert len(lines) < 80
    assert lines[-1] == "... 147 more lines"


def test_a_card_stays_far_below_the_largest_node_of_xml_that_gitlab_reads() -> None:
    # libxml2's XML_MAX_TEXT_LENGTH, which GitLab's parser keeps: https://gitlab.com/gitlab-org/gitlab/-/issues/268035
    huge = 'def median(xs):\n    return "' + "ä" * 11_000_000 + '"\n'
    for told in (card(then=huge, now=huge + "\n# too"), card(now="", text=huge), card(then=huge)):
        assert len(told.encode()) < 1_000_000
