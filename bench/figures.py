"""What the measured seconds mean: tokens per second, and shares of the machine's limits."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

Results = dict[str, Any]
# How the names of our own engine begin.
OURS = "anchorgate"


@dataclass(frozen=True)
class Limits:
    """The best that was measured before or after the run, with the run's number of threads."""

    fma_gflops: float
    bf16_dot_gflops: float
    read_gb_per_s: float


def limits(results: Results) -> Limits:
    rows = [
        row for row in (*results["limits"], *results["limits_after"]) if row["threads"] == results["threads"]
    ]

    def best(key: str) -> float:
        return max(float(row[key]) for row in rows)

    return Limits(best("fma_gflops"), best("bf16_dot_gflops"), best("read_gb_per_s"))


@dataclass(frozen=True)
class Speed:
    """Tokens per second of one engine. `many` is `None` where decode for all was not measured."""

    prefill: float
    alone: float
    many: float | None


def speeds(speed: dict[str, Any]) -> dict[str, Speed]:
    """By engine. A decode step is the difference of two lengths, so prefill drops out."""
    result = {}
    for name in speed["prefill"]:
        seconds = {
            job: statistics.median(speed[job][name])
            for job in ("prefill", "one", "one_long", "many", "many_long")
            if name in speed[job]
        }
        result[name] = Speed(
            prefill=speed["prompt_tokens"] / seconds["prefill"],
            alone=speed["steps"] / (seconds["one_long"] - seconds["one"]),
            many=speed["sequences"] * speed["steps"] / (seconds["many_long"] - seconds["many"])
            if "many" in seconds
            else None,
        )
    return result


def gate_rate(part: dict[str, Any], name: str) -> float:
    """New tokens per second of the gate's work, its prefill included."""
    return float(part["new_tokens"]) / statistics.median(part["seconds"][name])


def gate_seconds_at(organ: dict[str, Any], limits: Limits, prefill: float, decode: float) -> float:
    """Seconds of the gate's work in one batch at these shares of the FMA peak, if no sequence ended early."""
    metadata, speed, batched = organ["hyperparameters"], organ["speed"], organ["gate"]["batched"]
    peak = limits.fma_gflops * 1e9
    # The first new token of each prompt comes out of prefill.
    steps = batched["new_tokens"] - batched["prompts"]
    prefilling = batched["prompt_tokens"] * prefill_flops_per_token(metadata, speed, OURS)
    decoding = steps * decode_flops_per_token(metadata, speed)
    return prefilling / (prefill * peak) + decoding / (decode * peak)


def draft_seconds_at_peak(organ: dict[str, Any], limits: Limits) -> float:
    """Seconds of the sample one by one with right drafts, at the whole FMA peak: every token is a row of a prefill."""
    metadata, part = organ["hyperparameters"], organ["gate"]["one_by_one"]
    layers = (
        (part["prompt_tokens"] + part["new_tokens"] - part["prompts"]) * 2.0 * _layer_parameters(metadata)
    )
    return (layers + part["new_tokens"] * 2.0 * _output_parameters(metadata)) / (limits.fma_gflops * 1e9)


def ours(part: dict[str, Any], drafts: bool = False) -> str:
    """The name of our own engine in a table."""
    return next(name for name in part if name.startswith(OURS) and name.endswith("with drafts") == drafts)


def decode_flops_per_token(metadata: dict[str, str], speed: dict[str, Any]) -> float:
    """Operations for one decoded token: two for each weight of the layers and the output, and those of attention."""
    products = 2.0 * (_layer_parameters(metadata) + _output_parameters(metadata))
    return products + attention_flops_per_token(metadata, speed)


def attention_flops_per_token(metadata: dict[str, str], speed: dict[str, Any]) -> float:
    """Attention of one decoded token over as many as there are halfway through the measured steps."""
    context = speed["decoded_tokens"] / speed["sequences"] + (speed["steps"] + 1) / 2
    return context * _attention_flops_per_pair(metadata)


def prefill_flops_per_token(metadata: dict[str, str], speed: dict[str, Any], engine: str) -> float:
    """What an engine computes of all prompts, over their tokens: layers, attention, one row of output a prompt.

    What all prompts begin with is computed once by ours, and by the others for each prompt.
    """
    again = speed["sequences"] - 1 if engine.startswith(OURS) else 0
    rows = speed["prompt_tokens"] - again * speed["common_tokens"]
    pairs = speed["prompt_pairs"] - again * speed["common_pairs"]
    output = speed["sequences"] * _output_parameters(metadata)
    products = 2.0 * (rows * _layer_parameters(metadata) + output)
    return (products + pairs * _attention_flops_per_pair(metadata)) / float(speed["prompt_tokens"])


def weight_bytes(metadata: dict[str, str]) -> float:
    """What one decoding step must read at the least, in BF16."""
    return 2.0 * (_layer_parameters(metadata) + _output_parameters(metadata))


def _output_parameters(metadata: dict[str, str]) -> int:
    return _int(metadata, "vocab_size") * _int(metadata, "hidden_size")


def _layer_parameters(metadata: dict[str, str]) -> int:
    hidden, inner = _int(metadata, "hidden_size"), _int(metadata, "intermediate_size")
    q = _int(metadata, "num_attention_heads") * _int(metadata, "head_dim")
    kv = _int(metadata, "num_key_value_heads") * _int(metadata, "head_dim")
    return _int(metadata, "num_hidden_layers") * (hidden * (2 * q + 2 * kv) + 3 * hidden * inner)


def _attention_flops_per_pair(metadata: dict[str, str]) -> float:
    """A token and one that it attends to: a product with its key and one with its value, in every head and layer."""
    width = _int(metadata, "num_attention_heads") * _int(metadata, "head_dim")
    return 4.0 * _int(metadata, "num_hidden_layers") * width


def _int(metadata: dict[str, str], name: str) -> int:
    return int(metadata[f"planck.{name}"])
