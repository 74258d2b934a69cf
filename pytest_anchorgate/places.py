"""Where anchors and baseline lie unless somebody says otherwise; for pytest and for commands that need no pytest."""

from __future__ import annotations

import importlib.util
from pathlib import Path

BASELINE_FILE = "baseline.json"
ANCHORS_FOLDER = "anchors"
_PACKAGED = "pytest_anchorgate.default_anchors"


def find_anchors(*folders: Path) -> Path:
    """The first folder's `anchors` that holds an anchor set, else the set that comes with the plugin."""
    for folder in folders:
        here = folder / ANCHORS_FOLDER
        if holds_anchors(here):
            return here
    return packaged_anchors()


def holds_anchors(folder: Path) -> bool:
    """Whether the folder, or a folder in it, has an `anchors.jsonl`."""
    return (folder / "anchors.jsonl").is_file() or any(folder.glob("*/anchors.jsonl"))


def packaged_anchors() -> Path:
    """The anchor set that comes with the plugin; in a source checkout the folder beside the package."""
    spec = importlib.util.find_spec(_PACKAGED)
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    return Path(places[0]) if places else Path(__file__).resolve().parents[1] / ANCHORS_FOLDER
