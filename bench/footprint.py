"""How long an engine takes to load, and the most memory it ever holds while it decodes the gate's batch.

Each engine in a process of its own: `python -m bench.footprint PACK PEER THREADS SCRATCH < work.json` prints one JSON
object. Memory is the peak resident set of the whole process (VmHWM), mapped pages of the pack and Python included.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.figures import OURS
from bench.peers import Work

LOADS = 5
NEW_TOKENS = 32
# Where other engines leave what they loaded to the process's end, five loads would count five times in the peak.


def measure(pack: Path, peers: list[str], threads: int, scratch: Path, work: Work) -> dict[str, Any]:
    """By peer: `load_seconds` (a list), `peak_bytes`, `python_bytes` (before the engine), `model_bytes` (its file)."""
    request = json.dumps({"prompts": [list(prompt) for prompt in work.prompts]})
    result = {}
    for peer in peers:
        command = [sys.executable, "-m", "bench.footprint", str(pack), peer, str(threads), str(scratch)]
        runs = [
            json.loads(
                subprocess.run(command, input=request, check=True, capture_output=True, text=True).stdout
            )
            for _ in range(LOADS if peer == OURS else 1)
        ]
        name = runs[0]["name"]
        result[name] = {
            "load_seconds": [run["load_seconds"] for run in runs],
            "peak_bytes": max(run["peak_bytes"] for run in runs),
            "python_bytes": max(run["python_bytes"] for run in runs),
        }
        print(f"  footprint: {name}: {result[name]}", flush=True)
    return {"pack_bytes": pack.stat().st_size, "new_tokens": NEW_TOKENS, "engines": result}


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def main() -> None:
    pack, peer, threads, scratch = sys.argv[1:]
    prompts = json.load(sys.stdin)["prompts"]
    from bench.run import make_peer, preload

    preload(peer)
    before = _status_bytes("VmRSS")
    started = time.perf_counter()
    engine = make_peer(Path(pack), peer, int(threads), len(prompts), Path(scratch))
    load_seconds = time.perf_counter() - started
    engine.run(Work(prompts, [NEW_TOKENS] * len(prompts)), True)
    print(
        json.dumps(
            {
                "name": engine.name,
                "load_seconds": load_seconds,
                "peak_bytes": _status_bytes("VmHWM"),
                "python_bytes": before,
            }
        )
    )


if __name__ == "__main__":
    main()
