"""What changes while a run goes on, to a checkpoint and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pytest_anchorgate.surgery.certificate import Watch
from pytest_anchorgate.surgery.checkpoints import Checkpoint
from pytest_anchorgate.surgery.lora import restore, snapshot
from pytest_anchorgate.surgery.losses import KlWeight

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(slots=True)
class RunState:
    """The state between two steps, besides the weights and the optimizer.

    Attributes:
        certified: the adapter at the last check at which no anchor was lost.
        step: steps done. The learning rate and the rows of a step are functions of it.
        stopped: whether the run has ended early.
    """

    kl_weight: KlWeight
    watch: Watch
    certified: dict[str, torch.Tensor]
    step: int = 0
    stopped: bool = False


def to_checkpoint(
    state: RunState,
    params: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    facts: Mapping[str, Any],
) -> Checkpoint:
    """Everything that going on needs; `facts` say what run this is."""
    tensors = _named("adapter.", snapshot(params)) | _named("certified.", state.certified)
    moments = optimizer.state_dict()["state"]
    for i, name in enumerate(params):
        tensors |= _named(f"optimizer.{name}.", {moment: moments[i][moment] for moment in _MOMENTS})
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_initialized():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    plain = {
        "facts": dict(facts),
        "kl_weight": state.kl_weight.to_json(),
        "watch": state.watch.to_json(),
        "stopped": state.stopped,
    }
    return Checkpoint(state.step, tensors, plain)


def from_checkpoint(
    found: Checkpoint, params: Mapping[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> RunState:
    """Puts weights, moments and random states back where they were, and returns the rest."""
    restore(params, _part(found.tensors, "adapter."))
    moments = {
        i: {moment: found.tensors[f"optimizer.{name}.{moment}"] for moment in _MOMENTS}
        for i, name in enumerate(params)
    }
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(found.tensors["random.cpu"])
    if torch.cuda.is_initialized() and "random.cuda" in found.tensors:
        torch.cuda.set_rng_state(found.tensors["random.cuda"])
    return RunState(
        KlWeight(**found.state["kl_weight"]),
        Watch.from_json(found.state["watch"]),
        _part(found.tensors, "certified."),
        found.step,
        found.state["stopped"],
    )


def _named(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
