"""Copy the sources under references/ and inputs/ into anchors.jsonl, where the gate reads them.

Run `python anchors/bd6/embed.py` after a change there. Everything else in the file stays as it is.
"""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).parent
# Where 1 must not do for True, as the listed tests say with `is`.
EXACT_TYPES = ("MBPP/19", "MBPP/20", "MBPP/51")


def embedded(line: str) -> str:
    """One line of the file with the sources of its task."""
    record = json.loads(line)
    stem = record["task_id"].lower().replace("/", "_")
    for key, folder in (("reference", "references"), ("inputs", "inputs")):
        record[key] = (FOLDER / folder / f"{stem}.py").read_text(encoding="utf-8")
    if record["task_id"] in EXACT_TYPES:
        record["exact_types"] = True
    return json.dumps(record, ensure_ascii=False)


if __name__ == "__main__":
    file = FOLDER / "anchors.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("".join(f"{embedded(line)}\n" for line in lines), encoding="utf-8")
