"""Progress and summaries as text."""

from __future__ import annotations

import pytest

from pytest_anchorgate.engine import EngineProgress
from pytest_anchorgate.progress import LineProgress, describe, describe_engine, duration
from pytest_anchorgate.reports.terminal import Run, render_summary, render_verdict
from pytest_anchorgate.verdict import Decision, Incident, Judgement, Outcome, Standing

RUN = Run(seconds=83.0, generation_seconds=20.0, tokens=5000, pack="c.planck", production="p.planck")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.044, "0.04 s"), (4.21, "4.2 s"), (41.3, "42 s"), (60, "1 min 0 s"), (200.5, "3 min 21 s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_line_of_progress() -> None:
    at = EngineProgress(finished=3, total=19, prompt_tokens=900, generated_tokens=1200, seconds=10.0)
    assert describe(at, 2400) == "3 of 19 anchors · 1,200 tokens · 120 tokens/s · about 10 s left"
    assert (
        describe(at, 9600, "at most")
        == "3 of 19 anchors · 1,200 tokens · 120 tokens/s · at most 1 min 10 s left"
    )
    assert describe(at, 1000) == "3 of 19 anchors · 1,200 tokens · 120 tokens/s"
    assert describe(at, 100_000) == "3 of 19 anchors · 1,200 tokens · 120 tokens/s"
    assert describe(EngineProgress(0, 19, 5, 0, 0.0), 100) == "0 of 19 anchors · 0 tokens"


def test_the_engine_in_words() -> None:
    assert describe_engine({"isa": "avx2", "threads": 1, "pack_sha256": "0" * 64}) == (
        "avx2, 1 thread, pack sha256 000000000000"
    )
    assert describe_engine({}) == "unknown"


def test_a_log_gets_a_line_now_and_then() -> None:
    now = [0.0]
    lines: list[str] = []
    progress = LineProgress(lines.append, expected_tokens=100, clock=lambda: now[0])
    progress.loaded({"isa": "avx2"})
    for second in range(12):
        now[0] = float(second)
        progress.progress(EngineProgress(0, 2, 9, second, float(second)))
    progress.close()
    assert [line.split(" · ")[1] for line in lines[1:]] == ["5 tokens", "10 tokens"]
    assert lines[0] == "anchorgate: engine avx2"


def test_a_terminal_gets_one_line_that_changes() -> None:
    lines: list[str] = []
    shown: list[str] = []
    progress = LineProgress(lines.append, expected_tokens=10, in_place=shown.append)
    progress.progress(EngineProgress(1, 2, 9, 5, 1.0))
    progress.progress(EngineProgress(2, 2, 9, 9, 2.0))
    progress.close()
    progress.close()
    assert lines == [""]
    assert len(shown) == 3


def decision(outcome: Outcome, *judgements: Judgement, incidents: tuple[Incident, ...] = ()) -> Decision:
    protected = sum(j.standing in (Standing.HELD, Standing.LOST) for j in judgements)
    return Decision(outcome, judgements, incidents, protected)


def test_anchors_that_share_a_reason_share_a_line() -> None:
    many = [Judgement(f"T/{i}", Standing.UNDECIDED, "the engine died") for i in range(19)]
    other = Judgement("T/99", Standing.UNDECIDED, "skipped")
    incidents = (
        Incident("the engine died", fatal=True),
        Incident("worker gw0 went down", fatal=True),
        Incident("hm"),
    )
    lines = render_summary(decision(Outcome.UNDECIDED, *many, other, incidents=incidents), RUN)
    assert lines == [
        "0 held, 0 lost, 0 gained, 0 still failing, 20 undecided",
        "undecided: T/0, T/1, T/2, T/3, T/4, T/5 and 13 more: the engine died",
        "undecided: T/99: skipped",
        "note: worker gw0 went down",
        "1 min 23 s in all; 5,000 tokens generated in 20 s, 250 tokens/s",
        "nothing is protected: p.planck held none of the anchors when the baseline was recorded",
    ]


def test_nineteen_anchors_prove_what_they_can() -> None:
    held = [Judgement(f"T/{i}", Standing.HELD, "fine") for i in range(19)]
    lines = render_summary(decision(Outcome.PASS, *held), RUN)
    assert lines[-1] == (
        "19 protected anchors and 0 flips: the true flip rate can still be up to 14.6 % (one-sided 95 %): "
        "a tripwire, not a quality estimate"
    )


def test_verdicts() -> None:
    held, lost = Judgement("T/1", Standing.HELD, ""), Judgement("T/2", Standing.LOST, "")
    undecided = Judgement("T/3", Standing.UNDECIDED, "")
    unsound = decision(Outcome.UNDECIDED, held)
    assert render_verdict(decision(Outcome.PASS, held), 0) == (
        "PASS: the one anchor that production holds is held (exit status 0)"
    )
    assert render_verdict(decision(Outcome.BLOCKED, lost, lost), 1) == (
        "BLOCKED: 2 anchors that production holds are lost (exit status 1)"
    )
    assert render_verdict(decision(Outcome.UNDECIDED, held, undecided), 11) == (
        "UNDECIDED: 1 of 2 anchors undecided (exit status 11)"
    )
    assert render_verdict(unsound, 11).startswith(
        "UNDECIDED: the evidence looks complete, but the session was not sound"
    )
