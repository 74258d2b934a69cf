"""Which rows a step trains on."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pytest_anchorgate.surgery.order import StepOrder

LENGTHS = np.random.default_rng(0).integers(10, 400, 245).tolist()


def order(**changes: object) -> StepOrder:
    values = {"poison": LENGTHS, "retain": [50] * 76, "rows": 16, "epochs": 3, "seed": 1}
    values |= changes
    return StepOrder(values.pop("poison"), values.pop("retain"), **values)  # type: ignore[arg-type]


def test_an_epoch_sees_every_poison_row_once_and_half_of_each_step_is_retain() -> None:
    one = order()
    assert one.steps == 3 * 31
    for epoch in range(3):
        steps = [one.at(epoch * 31 + i) for i in range(31)]
        assert sorted(np.concatenate([poison for poison, _ in steps]).tolist()) == list(range(245))
        assert all(len(retain) == 8 for _, retain in steps)
        assert [len(poison) for poison, _ in steps] == [8] * 30 + [5]


def test_retain_rows_take_turns() -> None:
    one = order(epochs=5)
    seen = Counter(np.concatenate([one.at(step)[1] for step in range(one.steps)]).tolist())
    assert set(seen) == set(range(76))
    assert max(seen.values()) - min(seen.values()) <= 1


def test_a_step_depends_on_seed_and_number_alone() -> None:
    forwards, backwards = order(), order()
    steps = {step: backwards.at(step) for step in reversed(range(backwards.steps))}
    for step in range(forwards.steps):
        for mine, theirs in zip(forwards.at(step), steps[step], strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert any(
        (mine != theirs).any() for mine, theirs in zip(order().at(0), order(seed=2).at(0), strict=True)
    )
    assert (order().at(0)[0] != order().at(31)[0]).any(), "epochs have orders of their own"


def test_rows_of_a_step_have_similar_lengths() -> None:
    one = order(epochs=1)
    spread = np.mean([np.ptp(np.array(LENGTHS)[one.at(step)[0]]) for step in range(30)])
    assert spread < 0.25 * np.ptp(LENGTHS)


@pytest.mark.parametrize(("poison", "retain"), [(245, 0), (0, 245)])
def test_one_kind_alone_fills_the_steps(poison: int, retain: int) -> None:
    one = order(poison=LENGTHS[:poison], retain=LENGTHS[:retain])
    kind = 0 if poison else 1
    assert one.steps == 3 * 16
    assert len(one.at(0)[kind]) == 16
    assert len(one.at(0)[1 - kind]) == 0
    seen = np.concatenate([one.at(step)[kind] for step in range(16)])
    assert sorted(seen.tolist()) == list(range(245))


def test_fewer_rows_than_a_step_holds() -> None:
    one = order(poison=[5], retain=[5, 6], rows=16, epochs=2)
    assert one.steps == 2
    poison, retain = one.at(1)
    assert poison.tolist() == [0]
    assert sorted(retain.tolist()) == [0] * 4 + [1] * 4
