"""With xdist the engine runs once, on the controller, before any worker starts; the workers verify.

Registered only where xdist is: pluggy refuses hooks that nobody has specified. Completions travel in
`workerinput`, which reaches remote workers too; a shared folder does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pytest_anchorgate.collect import AnchorItem
from pytest_anchorgate.gate import Gate
from pytest_anchorgate.ledger import Ledger

INPUT = "anchorgate"


class Controller:
    """The controller's side."""

    def __init__(self, gate: Gate, ledger: Ledger, run_engine: Callable[[], None]) -> None:
        self._gate = gate
        self._ledger = ledger
        self._run_engine = run_engine

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_setupnodes(self) -> None:
        """Generates every answer before the first worker exists: until then the cores are the engine's."""
        self._run_engine()

    def pytest_configure_node(self, node: Any) -> None:
        """Hands a worker its copy of the gate."""
        node.workerinput[INPUT] = self._gate.to_wire()

    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Learns why anchors are missing; where a worker died, nothing that looks complete is a PASS."""
        if error:
            self._ledger.note(f"worker {node.gateway.id} went down: {error}", fatal=True)
        deselected = _strings(getattr(node, "workeroutput", {}).get(INPUT))
        for task_id in deselected:
            self._ledger.note(self._ledger.deselected_by(), task_id)


class Worker:
    """A worker's side: reports what was deselected there, since the controller collects nothing itself."""

    def __init__(self, workeroutput: dict[str, Any]) -> None:
        self._workeroutput = workeroutput
        self._deselected: list[str] = []

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Remembers the anchors among them."""
        self._deselected += [item.anchor.task_id for item in items if isinstance(item, AnchorItem)]
        self._workeroutput[INPUT] = json.dumps(self._deselected)


def worker_gate(config: pytest.Config) -> Gate | None:
    """The gate that the controller handed to this worker; None if it handed none."""
    workerinput: Mapping[str, Any] = getattr(config, "workerinput", {})
    text = workerinput.get(INPUT)
    return Gate.from_wire(text, workerinput["workerid"]) if text else None


def _strings(text: object) -> list[str]:
    """What a worker sent, if it is a list of strings."""
    try:
        value = json.loads(text) if isinstance(text, str) else []
    except ValueError:
        return []
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []
