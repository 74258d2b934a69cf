"""With xdist the engine runs once, on the controller, while the workers start; the workers verify.

The controller's `Controller` is registered only where xdist is: pluggy refuses hooks that nobody has specified.
A worker gets its copy of the gate in `workerinput`, and in it a channel on which the answers follow once they are
there. Both reach remote workers too; a shared folder does not.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_anchorgate.collect import AnchorItem
from pytest_anchorgate.gate import Answers, Gate
from pytest_anchorgate.ledger import Ledger

INPUT = "anchorgate"
CHANNEL = "anchorgate_answers"
CONTROLLER = "anchorgate-controller"


class Controller:
    """The controller's side."""

    def __init__(self, gate: Gate, ledger: Ledger) -> None:
        self._gate = gate
        self._ledger = ledger
        self._lock = threading.Lock()
        self._answers: str | None = None
        self._channels: list[Any] = []
        self._waiting: list[Any] = []

    def pytest_configure_node(self, node: Any) -> None:
        """Hands a worker its copy of the gate, and the end of a channel."""
        channel = node.gateway.newchannel()
        self._channels.append(channel)  # collected as garbage it would close
        node.workerinput[INPUT] = self._gate.to_wire()
        node.workerinput[CHANNEL] = channel
        channel.setcallback(lambda _: self._asked(channel))

    def hand_out(self, answers: Answers) -> None:
        """Sends the answers to the workers that wait for them, and to those that are still to come."""
        with self._lock:
            self._answers = answers.to_wire()
            for channel in self._waiting:
                _send(channel, self._answers)

    def _asked(self, channel: Any) -> None:
        # In execnet's thread. A worker has to ask: what is sent before it knows the channel is dropped.
        with self._lock:
            if self._answers is None:
                self._waiting.append(channel)
            else:
                _send(channel, self._answers)

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


def hand_out(config: pytest.Config, gate: Gate) -> None:
    """On the controller: what the engine gave goes to the workers."""
    controller = config.pluginmanager.get_plugin(CONTROLLER)
    if controller is not None:
        controller.hand_out(gate.answers)


def receive_answers(config: pytest.Config, gate: Gate) -> None:
    """On a worker: waits until the controller has the answers, however long its engine may take."""
    workerinput: Mapping[str, Any] = getattr(config, "workerinput", {})
    channel = workerinput[CHANNEL]
    try:
        channel.send(None)
        gate.answers = Answers.from_wire(channel.receive())
    except (EOFError, OSError) as error:
        gate.answers = Answers(failure=f"the controller sent no answers: {error}")


def _send(channel: Any, text: str) -> None:
    with contextlib.suppress(OSError):  # that worker is gone, which xdist tells about
        channel.send(text)


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
