"""Which rows a step trains on: half poison, half retain; a pure function of seed and step, so resuming is exact."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Order = npt.NDArray[np.int64]
# Rows of similar length go into one step, as far as this many steps' rows reach: less padding, still random.
_WINDOW_STEPS = 8
_POISON, _RETAIN = 1, 2


class StepOrder:
    """The order of a run.

    An epoch is one pass over the poison rows (over the retain rows where there are no poison rows). The retain half
    goes round and round through its own rows meanwhile.

    Args:
        poison: length in tokens of each poison row; may be empty.
        retain: likewise of each retain row; a row that counts k times stands there k times. May be empty.
        rows: rows of a step; halved where both kinds are there.
        epochs: passes.
        seed: decides the order.
    """

    def __init__(
        self, poison: Sequence[int], retain: Sequence[int], *, rows: int, epochs: int, seed: int
    ) -> None:
        self._lengths = {_POISON: np.asarray(poison), _RETAIN: np.asarray(retain)}
        both = bool(len(poison)) and bool(len(retain))
        self._main = _POISON if len(poison) else _RETAIN
        half = max(1, rows // 2)
        self._sizes = {_POISON: half, _RETAIN: half} if both else {self._main: rows}
        self._seed = seed
        self.steps_per_epoch = -(-len(self._lengths[self._main]) // self._sizes[self._main])
        self.steps = self.steps_per_epoch * epochs
        self._epoch = lru_cache(maxsize=2)(self._shuffled)

    def at(self, step: int) -> tuple[Order, Order]:
        """The indices of the poison rows and of the retain rows of a step, counted from 0."""
        chosen = {_POISON: np.empty(0, np.int64), _RETAIN: np.empty(0, np.int64)}
        epoch, within = divmod(step, self.steps_per_epoch)
        for kind, size in self._sizes.items():
            if kind == self._main:
                batches = self._epoch(kind, epoch)
                chosen[kind] = batches[within * size : (within + 1) * size]
            else:
                chosen[kind] = self._round_and_round(kind, step * size, size)
        return chosen[_POISON], chosen[_RETAIN]

    def _round_and_round(self, kind: int, start: int, count: int) -> Order:
        pool = len(self._lengths[kind])
        parts = []
        while count:
            turn, at = divmod(start, pool)
            part = self._epoch(kind, turn)[at : at + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts)

    def _shuffled(self, kind: int, turn: int) -> Order:
        """All rows of a kind once, in steps of similar length, the steps themselves in random order."""
        random = np.random.default_rng([self._seed, kind, turn])
        lengths, size = self._lengths[kind], self._sizes[kind]
        order = random.permutation(len(lengths))
        window = size * _WINDOW_STEPS
        sorted_windows = [
            part[np.argsort(lengths[part], kind="stable")]
            for part in np.split(order, range(window, len(order), window))
        ]
        rows = np.concatenate(sorted_windows)
        whole = len(rows) // size
        steps = rows[: whole * size].reshape(whole, size)[random.permutation(whole)]
        return np.concatenate([steps.reshape(-1), rows[whole * size :]])
