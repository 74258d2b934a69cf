"""What the gate costs on top of the work that cannot be saved: `python -m bench.overhead PACK [PACK ...]`.

The work is one engine that answers every anchor, its start and loading included, and one verification of each
answer, one after the other, in a process of its own that has imported all it needs before the clock starts.
Against it stands the whole command `pytest --pack=PACK`, from its start to its end. Both are repeated in turn,
and medians are compared. The determinism check is extra work, not overhead, and is told apart: without it means
`--anchorgate-partial --anchorgate-recheck=0`, which does everything else in the same way. What pytest itself
costs is shown beside it: a run of as many empty tests without a pack.

Bytecode is kept, as in any installed environment, and plugins of others are left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GATE = "pytest alone", "pytest -n2"
_WORK = """
import sys, time
from pathlib import Path
from pytest_anchorgate.baseline import read_baseline
from pytest_anchorgate.engine import Request, generate
from pytest_anchorgate.evidence import judge
from pytest_anchorgate.anchors import read_anchors
from pytest_anchorgate.progress import Quiet

anchors = read_anchors(Path(sys.argv[2]))
baseline = read_baseline(anchors.path.with_name("baseline.json"))
started = time.monotonic()
done = generate(
    Request(
        pack=Path(sys.argv[1]),
        prompts=[anchor.prompt for anchor in anchors],
        max_new_tokens=[anchor.max_new_tokens for anchor in anchors],
        expected=[baseline.anchors[anchor.task_id].token_ids for anchor in anchors],
    ),
    timeout=3600, listener=Quiet(),
)
generated = time.monotonic()
for anchor, answer in zip(anchors, done.completions, strict=True):
    judge(anchor, answer.text)
print(generated - started, time.monotonic() - generated, done.tokens)
"""


def work(pack: Path, anchors: Path) -> tuple[float, float, int]:
    """Seconds of generation and of verification, and the tokens."""
    command = [sys.executable, "-c", _WORK, str(pack), str(anchors)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    generation, verification, tokens = output.split()
    return float(generation), float(verification), int(tokens)


def gate(pack: Path, anchors: Path, *args: str) -> float:
    """Seconds of one whole session, which has to come to a verdict."""
    seconds, done = _pytest(f"--pack={pack}", f"--anchorgate-anchors={anchors}", *args)
    if done.returncode not in (0, 1, 11) or "\nundecided: " in done.stdout:
        raise SystemExit(f"no verdict (exit status {done.returncode}):\n{done.stdout}{done.stderr}")
    return seconds


def pytest_itself(folder: Path, *args: str) -> float:
    """Seconds of a session of nineteen tests that do nothing."""
    tests = folder / "test_nothing.py"
    tests.write_text(
        "import pytest\n\n@pytest.mark.parametrize('n', range(19))\ndef test_nothing(n):\n    pass\n"
    )
    return _pytest(str(tests), f"--rootdir={folder}", *args)[0]


def _pytest(*args: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    command = [sys.executable, "-m", "pytest", "-p", "pytest_anchorgate.plugin", "-p", "xdist"]
    started = time.monotonic()
    done = subprocess.run([*command, "-q", "-p", "no:cacheprovider", *args], capture_output=True, text=True)
    return time.monotonic() - started, done


def measure(pack: Path, anchors: Path, repeats: int) -> None:
    """Prints one pack's table."""
    bare = ("--anchorgate-partial", "--anchorgate-recheck=0")
    ways = {
        (name, check): ((() if name == GATE[0] else ("-n2",)) + (() if check else bare))
        for name in GATE
        for check in (False, True)
    }
    alone: list[tuple[float, float, int]] = []
    seconds: dict[tuple[str, bool], list[float]] = {way: [] for way in ways}
    work(pack, anchors)  # fills the page cache, and the next lines that of bytecode
    for args in ways.values():
        gate(pack, anchors, *args)
    for _ in range(repeats):
        alone.append(work(pack, anchors))
        for way, args in ways.items():
            seconds[way].append(gate(pack, anchors, *args))
    generation, verification = (statistics.median(run[i] for run in alone) for i in (0, 1))
    needed = statistics.median(sum(run[:2]) for run in alone)
    print(f"{pack.name}: {alone[0][2]} tokens, medians of {repeats}, {os.cpu_count()} processors")
    print(f"  generation {generation:.2f} s + verification {verification:.2f} s = {needed:.2f} s")
    for name in GATE:
        without, with_check = (statistics.median(seconds[name, check]) for check in (False, True))
        over = without - needed
        print(
            f"  {name:12} {without:.2f} s: overhead {over:+.2f} s, {100 * over / needed:+.1f} %; "
            f"determinism check {with_check - without:+.2f} s ({with_check:.2f} s in all)"
        )


def main() -> None:
    """Measures every pack that is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packs", type=Path, nargs="+")
    parser.add_argument("--anchors", type=Path, default=Path("anchors"))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        for name, args in zip(GATE, ((), ("-n2",)), strict=True):
            seconds = [pytest_itself(Path(folder), *args) for _ in range(options.repeats + 1)]
            print(f"{name} itself, nineteen empty tests: {statistics.median(seconds[1:]):.2f} s")
        for pack in options.packs:
            measure(pack.absolute(), options.anchors.absolute(), options.repeats)


if __name__ == "__main__":
    main()
