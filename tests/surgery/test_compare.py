from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pytest

from pytest_anchorgate.surgery.compare import compare, loss_bound, mcnemar_exact, partings


@dataclass(frozen=True)
class Result:
    held: bool | None
    token_ids: tuple[int, ...] = (1,)
    margins: tuple[float, ...] = (0.5,)


PARENT = {
    "keeps": Result(True),
    "rewrites": Result(True),
    "loses": Result(True),
    "wins": Result(False),
    "stays wrong": Result(False),
    "wrong otherwise": Result(False),
    "unknown": Result(None),
}
CHILD = {
    "keeps": Result(True),
    "rewrites": Result(True, (2,)),
    "loses": Result(False, (2,)),
    "wins": Result(True, (2,)),
    "stays wrong": Result(False),
    "wrong otherwise": Result(False, (2,)),
    "unknown": Result(True),
}


def test_every_task_is_in_one_place() -> None:
    found = compare(PARENT, CHILD)
    assert (found.tasks, found.before, found.after) == (6, 3, 3)
    assert (found.lost, found.won) == (("loses",), ("wins",))
    assert (found.both_wrong_changed, found.both_right_changed) == (1, 1)
    assert found.undecided == ("unknown",)


def test_rates_are_of_all_tasks_and_of_those_that_the_parent_holds() -> None:
    record = compare(PARENT, CHILD).to_json()
    assert (record["nfr"], record["nfr_of_held"], record["mcnemar_p"]) == ("0.167", "0.333", "1")
    nothing = compare(PARENT, CHILD, ["wins"]).to_json()
    assert nothing["nfr_of_held"] is None


def test_a_task_that_was_not_run_is_undecided() -> None:
    found = compare(PARENT, {}, ["keeps"])
    assert (found.tasks, found.undecided) == (0, ("keeps",))


@pytest.mark.parametrize(
    ("lost", "won", "p"),
    [(0, 0, 1), (0, 1, 1), (0, 5, Fraction(1, 16)), (0, 6, Fraction(1, 32)), (6, 0, Fraction(1, 32))],
)
def test_mcnemar(lost: int, won: int, p: Fraction) -> None:
    assert mcnemar_exact(lost, won) == p


def test_mcnemar_is_twice_the_smaller_tail() -> None:
    # (1 + 10 + 45) / 1024, twice
    assert mcnemar_exact(2, 8) == Fraction(112, 1024)
    assert mcnemar_exact(5, 5) == 1


@pytest.mark.parametrize(("held", "percent"), [(19, "14.6"), (59, "5.0"), (299, "1.0")])
def test_what_no_loss_rules_out(held: int, percent: str) -> None:
    assert f"{100 * loss_bound(held):.1f}" == percent
    assert loss_bound(0) == 1


def test_the_first_divergence_and_the_parents_lead_there() -> None:
    parent = {
        "same": Result(True, (1, 2), (1.0, 2.0)),
        "differs": Result(True, (1, 2, 3), (1.0, 0.25, 2.0)),
        "shorter": Result(True, (1, 2, 3), (1.0, 2.0, 3.0)),
        "longer": Result(True, (1,), (1.0,)),
    }
    child = {
        "same": Result(True, (1, 2)),
        "differs": Result(True, (1, 9, 3)),
        "shorter": Result(True, (1, 2)),
        "longer": Result(True, (1, 2)),
    }
    found = partings(parent, child, [*parent, "absent"])
    assert [(one.task_id, one.index, one.margin) for one in found] == [
        ("differs", 1, 0.25),
        ("shorter", 2, 3.0),
        ("longer", 1, None),
    ]
