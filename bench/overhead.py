"""What the gate costs on top of the work that cannot be saved: `python -m bench.overhead PACK [PACK ...]`.

The work is one engine that answers every anchor, its start and loading included, and one verification of each
answer, one after the other, in a process of its own that has imported all it needs before the clock starts.
Against it stands the whole command `pytest --pack=PACK`, from its start to its end, so that of pytest itself too:
a run of as many empty tests without a pack is shown beside it. All of these run in turn, round by round. The
overhead is the median, over the rounds, of the gate's time minus the work's in the same round; beside it stands
the difference of the best of each, which other load on the machine disturbs least.

The determinism check is extra work, not overhead, and is told apart: without it means `--anchorgate-partial
--anchorgate-recheck=0`, which does everything else in the same way; `--bare` measures nothing else.

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

from pytest_anchorgate.anchors import read_anchors
from pytest_anchorgate.places import BASELINE_FILE

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
baseline = read_baseline(Path(sys.argv[3]))
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


def work(pack: Path, anchors: Path, baseline: Path) -> tuple[float, float, int]:
    """Seconds of generation and of verification, and the tokens."""
    command = [sys.executable, "-c", _WORK, str(pack), str(anchors), str(baseline)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    generation, verification, tokens = output.split()
    return float(generation), float(verification), int(tokens)


def gate(pack: Path, anchors: Path, baseline: Path, *args: str) -> float:
    """Seconds of one whole session, which has to come to a verdict."""
    inputs = (f"--anchorgate-anchors={anchors}", f"--anchorgate-baseline={baseline}")
    seconds, done = _pytest(f"--pack={pack}", *inputs, *args)
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


def measure(inputs: tuple[Path, Path, Path], folder: Path, *, rounds: int, check: bool) -> None:
    """Prints one pack's table; `inputs` are pack, anchors and baseline."""
    bare = ("--anchorgate-partial", "--anchorgate-recheck=0")
    spread = {GATE[0]: (), GATE[1]: ("-n2",)}
    alone: list[tuple[float, float, int]] = []
    itself: dict[str, list[float]] = {name: [] for name in GATE}
    seconds: dict[tuple[str, bool], list[float]] = {
        (name, checked): [] for name in GATE for checked in ((False, True) if check else (False,))
    }
    for _ in range(rounds + 1):  # the first fills the page cache and that of bytecode, and does not count
        alone.append(work(*inputs))
        for name in GATE:
            itself[name].append(pytest_itself(folder, *spread[name]))
        for (name, checked), times in seconds.items():
            times.append(gate(*inputs, *spread[name], *(() if checked else bare)))
    needed = [generation + verification for generation, verification, _ in alone[1:]]
    generation, verification = (statistics.median(run[i] for run in alone[1:]) for i in (0, 1))
    print(
        f"{inputs[0].name}: {alone[0][2]} tokens, {rounds} rounds, {os.cpu_count()} processors, load {_load()}"
    )
    print(
        f"  generation {generation:.2f} s + verification {verification:.2f} s; "
        f"work {_spread(needed)}, best {min(needed):.2f} s"
    )
    for name in GATE:
        times = seconds[name, False][1:]
        over = statistics.median(a - b for a, b in zip(times, needed, strict=True))
        share = statistics.median((a - b) / b for a, b in zip(times, needed, strict=True))
        best = min(times) - min(needed)
        print(
            f"  {name:12} {_spread(times)}: overhead {over:+.2f} s, {100 * share:+.1f} %; "
            f"best against best {best:+.2f} s, {100 * best / min(needed):+.1f} %; "
            f"pytest itself {_spread(itself[name][1:])}"
        )
        if check:
            extra = statistics.median(a - b for a, b in zip(seconds[name, True][1:], times, strict=True))
            print(f"  {'':12} determinism check {extra:+.2f} s")


def _spread(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})"


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def main() -> None:
    """Measures every pack that is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packs", type=Path, nargs="+")
    parser.add_argument("--anchors", type=Path, default=Path("anchors"))
    parser.add_argument("--baseline", type=Path, help="default: baseline.json beside the anchors")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bare", action="store_true", help="without the determinism check only")
    options = parser.parse_args()
    anchors = read_anchors(options.anchors).path.absolute()
    baseline = (options.baseline or anchors.with_name(BASELINE_FILE)).absolute()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        for pack in options.packs:
            inputs = (pack.absolute(), anchors, baseline)
            measure(inputs, Path(folder), rounds=options.rounds, check=not options.bare)


if __name__ == "__main__":
    main()
