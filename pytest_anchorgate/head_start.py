"""What can begin as soon as pytest knows its options, before conftests and inputs are read.

The engine loads and hashes the pack, and the sandbox starts its warm parents, while pytest and the gate start
themselves. None of it decides anything: the engine still says which bytes it has mapped, and a start that does
not fit what the gate comes to ask for is thrown away.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path

import pytest

from pytest_anchorgate.engine import Engine, Start
from pytest_anchorgate.options import runs_nothing
from pytest_anchorgate.sandbox.offer import Asking

ENGINE: pytest.StashKey[Engine] = pytest.StashKey()
OFFER: pytest.StashKey[Asking] = pytest.StashKey()


def begin(config: pytest.Config, options: argparse.Namespace) -> None:
    """Starts the engine on the pack, if that is a file, and asks what confinement the machine offers."""
    if options.anchorgate_pack is None or runs_nothing(options):
        return
    # The engine is the controller's. Whoever sets the variable by hand only takes away the head start.
    if "PYTEST_XDIST_WORKER" not in os.environ:
        engine = _engine(Path(options.anchorgate_pack).absolute(), options.anchorgate_threads)
        if engine is not None:
            config.stash[ENGINE] = engine
            config.add_cleanup(engine.close)
    config.stash[OFFER] = Asking()
    # Before conftests can put a module of their own in the place of one that the gate needs.
    import pytest_anchorgate.session  # noqa: F401


def _engine(pack: Path, threads: str | None) -> Engine | None:
    if not pack.is_file() or not (threads is None or threads.isdecimal()):
        return None  # a recipe, or a mistake that is told about later
    with contextlib.suppress(OSError):  # the gate will try again and say why
        return Engine(Start(pack, int(threads) if threads else None))
    return None
