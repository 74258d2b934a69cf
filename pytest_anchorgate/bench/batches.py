"""Tasks parted into batches whose key-value caches fit into memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_anchorgate.anchors import Anchor
from pytest_anchorgate.packs.reader import open_pack

# More prompts at a time are no faster (the weights are read once for all of them, and 64 rows keep the units busy),
# and what a batch has done is written down when it ends, so a batch is also what an interruption costs.
MOST_TASKS = 64
_MOST_BYTES = 4 << 30
_FLOAT32 = 4
_LANES = 16


class Batches:
    """How many tasks fit at a time.

    Args:
        pack: whose cache is meant.
        memory: bytes for the caches of a batch; None takes half of what is free now, at most 4 GiB.
    """

    def __init__(self, pack: Path, memory: int | None = None) -> None:
        reader = open_pack(pack)
        config = reader.config
        self._token = 2 * _FLOAT32 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
        template = (reader.metadata["planck.template.prefix"], reader.metadata["planck.template.suffix"])
        self._template = len("".join(template).encode("utf-8", "replace"))
        self._positions = config.max_position_embeddings
        self._memory = memory if memory is not None else min(_free_memory() // 2, _MOST_BYTES)

    def of(self, tasks: Sequence[Anchor]) -> Iterator[list[Anchor]]:
        """The tasks in their order, as few batches as fit; a task that is too large by itself goes alone."""
        batch: list[Anchor] = []
        used = 0
        for task in tasks:
            size = self._bytes(task)
            if batch and (len(batch) == MOST_TASKS or used + size > self._memory):
                yield batch
                batch, used = [], 0
            batch.append(task)
            used += size
        if batch:
            yield batch

    def _bytes(self, task: Anchor) -> int:
        """The cache of one task, at most: a token of a byte-level vocabulary has at least one byte."""
        prompt = self._template + len(task.prompt.encode("utf-8", "replace"))
        tokens = min(prompt + task.max_new_tokens, self._positions) + _LANES
        return tokens * self._token


def _free_memory() -> int:
    """Bytes that this process may still take: what the machine has left, or its container where that is less."""
    free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError, IndexError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    with contextlib.suppress(OSError, ValueError):
        limit, used = (int(Path(f"/sys/fs/cgroup/memory.{what}").read_text()) for what in ("max", "current"))
        free = min(free, max(limit - used, 0))
    return free
