"""The collected forgeries and honest solutions through the judge, at every level, in a throw-away world.

    python bench/sandbox_cases.py CASES_FOLDER HUMANEVAL.jsonl.gz MBPP.jsonl [LEVEL ...]

No forgery may pass or touch a canary, every honest solution must pass. Exit status 1 if not.
"""

from __future__ import annotations

import ast
import gzip
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.canaries import SECRET, Canaries
from bench.wall import inside
from pytest_anchorgate.sandbox import LEVELS, Verdict, verify


def main() -> int:
    """Run everything and print one line a level."""
    folder, human_eval, mbpp = map(Path, sys.argv[1:4])
    place = Path("/tmp/anchorgate-canaries")
    place.mkdir(exist_ok=True)
    cases = {name: lines(folder / f"{name}.jsonl") for name in ("forgeries", "honest")}
    tasks: dict[str, Any] = {t["task_id"]: t for t in lines(human_eval)}
    tasks |= {f"MBPP/{t['task_id']}": t for t in lines(mbpp)}
    os.environ["TMPDIR"] = str(place)
    tempfile.tempdir = None
    inside(place)
    canaries = Canaries(place)
    bad = 0
    for level in sys.argv[4:] or LEVELS:
        before = _children()
        forged = {c["id"]: _run(tasks[c["task"]], c["code"], level, 2.0) for c in cases["forgeries"]}
        honest = {c["id"]: _run(tasks[c["task"]], c["code"], level, 30.0) for c in cases["honest"]}
        passed = sorted(name for name, verdict in forged.items() if verdict.passed)
        leaked = sorted(name for name, v in forged.items() if SECRET in f"{v.reason}{v.detail}")
        machinery = {
            name: v.reason for name, v in {**forged, **honest}.items() if v.status in ("error", "refused")
        }
        lost = {name: v.reason for name, v in honest.items() if not v.passed}
        left = _children() - before if before else set()
        harm = canaries.harm()
        print(
            f"{platform.python_version()} uid {os.getuid()} {level}: forgeries passed {len(passed)} of {len(forged)}, "
            f"honest passed {len(honest) - len(lost)} of {len(honest)}, harm {harm or 'none'}"
        )
        for title, found in (("passed", passed), ("leaked", leaked), ("errors", machinery), ("lost", lost)):
            if found:
                print(f"  {title}: {str(found)[:2000]}")
        bad += len(passed) + len(leaked) + len(lost) + len(harm) + len(machinery) + max(0, len(left) - 6)
    return 1 if bad else 0


def _run(task: dict[str, Any], code: str, level: str, wall: float) -> Verdict:
    limits: dict[str, Any] = {"cpu_seconds": 1 if wall < 10 else 10, "wall_seconds": wall, "level": level}
    if "test" in task:
        return verify(
            code, entry_point=task["entry_point"], check=task["test"], prompt=task["prompt"], **limits
        )
    setup = task.get("test_setup_code") or ""
    return verify(code, entry_point=called(task), tests=task["test_list"], setup=setup, **limits)


def called(task: dict[str, Any]) -> str:
    """The function that an MBPP task's tests call."""
    defined = {node.name for node in ast.parse(task["code"]).body if isinstance(node, ast.FunctionDef)}
    calls = [node.func for node in ast.walk(ast.parse(task["test_list"][0])) if isinstance(node, ast.Call)]
    return next(call.id for call in calls if isinstance(call, ast.Name) and call.id in defined)


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file, packed or not."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return [json.loads(line) for line in text.splitlines()]


def _children() -> set[str]:
    """Every other process of this world."""
    return {entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()} - {str(os.getpid())}


if __name__ == "__main__":
    sys.exit(main())
