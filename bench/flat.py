"""Ten thousand verifications in one process: descriptors, processes and memory must stay where they were.

    python bench/flat.py [COUNT]

Right, wrong, leaving, hanging and greedy programs in turn. Exit status 1 if anything grew.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pytest_anchorgate.sandbox import verify

PROGRAMS = {
    "def f(x): return 2 * x": "passed",
    "def f(x): return [x]": "failed",
    "def f(x) return": "failed",
    "import os\ndef f(x): os._exit(0)": "failed",
    "import threading, time\nthreading.Thread(target=time.sleep, args=(9,)).start()\ndef f(x): return 2 * x": "passed",
    "import os\nkept = [os.pipe() for _ in range(20)]\ndef f(x): return 2 * x": "passed",
    "kept = bytearray(50 << 20)\ndef f(x): return 2 * x": "passed",
}
SLOW = ("def f(x):\n    while True: pass", "timeout")
_MEGABYTE = 1 << 20


def main() -> int:
    """Run them and compare."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for code, status in PROGRAMS.items():
        _one(code, status)
    before, started = _settled(), time.monotonic()
    programs = list(PROGRAMS.items())
    for number in range(count):
        _one(*(SLOW if number % 1000 == 999 else programs[number % len(programs)]))
    seconds = time.monotonic() - started
    after = _settled()
    print(f"{count} verifications in {seconds:.0f} s, {1000 * seconds / count:.1f} ms each")
    for name, was, now in zip(("descriptors", "processes", "MiB resident, all"), before, after, strict=True):
        print(f"{name}: {was} before, {now} after")
    grown = after[0] > before[0] or after[1] > before[1] or after[2] > before[2] + 8
    return 1 if grown else 0


def _one(code: str, status: str) -> None:
    verdict = verify(code, entry_point="f", tests=["assert f(2) == 4"], cpu_seconds=1, wall_seconds=20)
    if verdict.status != status:
        sys.exit(f"{status} expected, but {verdict.status}: {verdict.reason}")


def _settled() -> tuple[int, int, int]:
    """What `_measure` says once the spare pair has been forked and waits: the same for half a second."""
    seen = [_measure()]
    while len(seen) < 100 and (len(seen) < 6 or len({counts[:2] for counts in seen[-6:]}) > 1):
        time.sleep(0.1)
        seen.append(_measure())
    return seen[-1]


def _measure() -> tuple[int, int, int]:
    """Open descriptors and processes of this one and all below it, and their resident memory in MiB."""
    descriptors = pages = 0
    pids, todo = [], [os.getpid()]
    while todo:
        pid = todo.pop()
        pids.append(pid)
        todo += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    for pid in pids:
        descriptors += len(list(Path(f"/proc/{pid}/fd").iterdir()))
        pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return descriptors, len(pids), pages * os.sysconf("SC_PAGE_SIZE") // _MEGABYTE


if __name__ == "__main__":
    sys.exit(main())
