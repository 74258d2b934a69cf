"""Each figure against its target: met or missed, computed from results.json and never typed by hand."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from bench import figures
from bench.figures import Limits, Results

MEGABYTE = 1e6
PREFILL_SHARE = 0.75
DECODE_SHARE = 0.65


@dataclass(frozen=True)
class Target:
    """`value` must be at least `goal` (at most, if `at_most`). `None`: the run has no such engine."""

    what: str
    goal: float
    value: float | None
    unit: str
    at_most: bool = False

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        met = self.value <= self.goal if self.at_most else self.value >= self.goal
        return "met" if met else "**missed**"


def targets(organ: dict[str, Any], results: Results) -> list[Target]:
    limits = figures.limits(results)
    return [*_ratios(organ["gate"]), *_shares(organ, limits), *_drafts(organ["gate"]), *_footprint(organ)]


def table(organ: dict[str, Any], results: Results) -> list[list[str]]:
    rows = [["target", "goal", "measured", ""]]
    for target in targets(organ, results):
        sign = "<=" if target.at_most else ">="
        value = "" if target.value is None else _format(target.value, target.unit)
        rows.append([target.what, f"{sign} {_format(target.goal, target.unit)}", value, target.verdict])
    return rows


def _format(value: float, unit: str) -> str:
    return {
        "x": f"{value:.2f}x",
        "%": f"{100 * value:.1f} %",
        "s": f"{value:.2f} s",
        "MB": f"{value:.0f} MB",
    }[unit]


def _ratios(gate: dict[str, Any]) -> list[Target]:
    """The gate's work: our batch against the others' tokens per second, on the same tokens."""
    batched, alone = gate["batched"], gate["one_by_one"]
    base = figures.gate_rate(batched, figures.ours(batched["seconds"]))

    def against(part: dict[str, Any], name: str) -> float | None:
        return base / figures.gate_rate(part, name) if name in part["seconds"] else None

    return [
        Target(f"gate's work against {name} {how}", goal, against(part, name), "x")
        for name, part, how, goal in (
            ("llama.cpp BF16", alone, "one by one", 4.0),
            ("llama.cpp BF16", batched, "batched", 2.2),
            ("llama.cpp F16", batched, "batched", 1.8),
            ("transformers F32", alone, "one by one", 10.0),
            ("transformers F32", batched, "padded batch", 1.8),
        )
    ]


def _shares(organ: dict[str, Any], limits: Limits) -> list[Target]:
    speed, metadata = organ["speed"], organ["hyperparameters"]
    found = figures.speeds(speed)
    name = figures.ours(found)
    ours = found[name]
    llama = found.get("llama.cpp BF16")
    peak, reading = limits.fma_gflops * 1e9, limits.read_gb_per_s * 1e9
    prefill = ours.prefill * figures.prefill_flops_per_token(metadata, speed, name) / peak
    flops = figures.decode_flops_per_token(metadata, speed)
    many = ours.many * flops / peak if ours.many is not None else None
    return [
        Target("prefill, of the FMA peak", PREFILL_SHARE, prefill, "%"),
        Target(f"decode of {speed['sequences']}, of the FMA peak", DECODE_SHARE, many, "%"),
        Target(
            "decode alone, of the read bandwidth",
            0.90,
            ours.alone * figures.weight_bytes(metadata) / reading,
            "%",
        ),
        Target("decode alone against llama.cpp BF16", 1.0, ours.alone / llama.alone if llama else None, "x"),
    ]


def _drafts(gate: dict[str, Any]) -> list[Target]:
    result = []
    for part, how, goal in (
        (gate["batched"], f"at batch {gate['batched']['prompts']}", 1.0),
        (gate["one_by_one"], "at batch 1", 4.0),
    ):
        plain, drafted = (
            figures.gate_rate(part, figures.ours(part["seconds"], drafts)) for drafts in (False, True)
        )
        result.append(
            Target(f"candidate equal to its baseline, with drafts, {how}", goal, drafted / plain, "x")
        )
    return result


def _footprint(organ: dict[str, Any]) -> list[Target]:
    footprint = organ["footprint"]
    ours = footprint["engines"][figures.ours(footprint["engines"])]
    extra = (ours["peak_bytes"] - footprint["pack_bytes"]) / MEGABYTE
    sequences = organ["speed"]["sequences"]
    return [
        Target("load of the warm pack", 0.2, statistics.median(ours["load_seconds"]), "s", at_most=True),
        Target(f"peak memory at batch {sequences} minus the pack", 300.0, extra, "MB", at_most=True),
    ]
