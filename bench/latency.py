"""How long a verification takes: cold, warm, and for a set of anchors from a cold start.

    python bench/latency.py [LEVEL] [COUNT]

Milliseconds by the wall clock, and the machine's load, without which they mean little.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pytest_anchorgate.anchors import load_anchors
from pytest_anchorgate.sandbox import court, verify

CODE = "def twice(x):\n    return 2 * x\n"
TESTS = ["assert twice(2) == 4", "assert twice(-3) == -6", "assert twice('ab') == 'abab'"]


def main() -> None:
    """Print one line a figure."""
    level = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] != "best" else None
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 500
    print(
        f"level {level or court.courthouse().best()}, Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}"
    )
    court.close()
    started = time.perf_counter()
    _once(level)
    print(f"first verification, cold: {1000 * (time.perf_counter() - started):.0f} ms")
    times = sorted(_once(level) for _ in range(count))
    shown = ", ".join(
        f"p{p} {1000 * times[min(count * p // 100, count - 1)]:.1f}" for p in (10, 50, 90, 95, 99)
    )
    print(f"warm, {count} verifications of 3 calls: {shown} ms")
    anchors = load_anchors(Path(__file__).parents[1] / "anchors" / "bd6" / "anchors.jsonl")
    for extra in (False, True):
        court.close()
        started = time.perf_counter()
        for anchor in anchors:
            more: dict[str, Any] = {"reference": anchor.reference, "inputs": anchor.inputs} if extra else {}
            verdict = verify(
                anchor.code_prompt + "\n" + (anchor.reference or ""),
                entry_point=anchor.entry_point,
                tests=anchor.tests,
                check=anchor.check,
                setup=anchor.setup,
                level=level,
                **more,
            )
            if not verdict.passed:
                sys.exit(f"{anchor.task_id}: {verdict.reason}")
        seconds = time.perf_counter() - started
        print(f"{len(anchors)} anchors from cold{' with extra inputs' if extra else ''}: {seconds:.2f} s")


def _once(level: str | None) -> float:
    started = time.perf_counter()
    verdict = verify(CODE, entry_point="twice", tests=TESTS, level=level)
    if not verdict.passed:
        sys.exit(f"the trivial candidate: {verdict.reason}")
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
