"""results.json -> RESULTS.md. Run alone, `python -m bench.report` renders again what is there."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from bench import figures, targets
from bench.figures import Results

HERE = Path(__file__).parent
Table = list[list[str]]


def render(results: Results) -> str:
    lines = [
        "# Results of `python -m bench.run`",
        "",
        f"{results['processor']}, {results['threads']} threads, {results['date']}. Same weights, same prompts, same "
        "number of tokens; engines take turns within a round, after a warm-up that does not count; medians and, in "
        "brackets, the smallest and the largest of the rounds. "
        "Compare within one table only.",
        "",
        "## The machine",
        "",
        *_table(
            [
                ["threads", "vector", "FMA peak", "BF16 dot peak", "read"],
                *map(_limit_row, results["limits"]),
            ]
        ),
        "",
        "Again after the run:",
        "",
        *_table(
            [
                ["threads", "vector", "FMA peak", "BF16 dot peak", "read"],
                *map(_limit_row, results["limits_after"]),
            ]
        ),
    ]
    for name, organ in results["organs"].items():
        lines += ["", f"## {name}", *_targets(organ, results), *_gate(organ), *_speed(organ, results)]
        lines += [*_scaling(organ), *_footprint(organ)]
    notes = HERE / "NOTES.md"
    if notes.exists():
        lines += ["", notes.read_text(encoding="utf-8").rstrip()]
    return "\n".join(lines) + "\n"


def _limit_row(limit: dict[str, Any]) -> list[str]:
    dot = limit["bf16_dot_gflops"]
    return [
        str(limit["threads"]),
        f"{limit['vector_bytes'] * 8} bit",
        f"{limit['fma_gflops']:.0f} GFLOP/s",
        f"{dot:.0f} GFLOP/s" if dot else "",
        f"{limit['read_gb_per_s']:.1f} GB/s",
    ]


def _targets(organ: dict[str, Any], results: Results) -> list[str]:
    return ["", "Against the targets:", "", *_table(targets.table(organ, results)), *_reach(organ, results)]


def _reach(organ: dict[str, Any], results: Results) -> list[str]:
    """What the measured limits leave room for: with the shares that the targets ask for, and with the whole peak."""
    return ["", " ".join([*_reach_of_ratios(organ, results), _reach_of_drafts(organ, results)])]


def _reach_of_ratios(organ: dict[str, Any], results: Results) -> list[str]:
    batched, alone = organ["gate"]["batched"], organ["gate"]["one_by_one"]
    if "llama.cpp BF16" not in batched["seconds"]:
        return []
    limits = figures.limits(results)

    def would(prefill: float, decode: float) -> str:
        seconds = figures.gate_seconds_at(organ, limits, prefill, decode)
        ratios = [
            batched["new_tokens"] / seconds / figures.gate_rate(part, "llama.cpp BF16")
            for part in (batched, alone)
        ]
        return f"{seconds:.2f} s: {ratios[0]:.2f}x llama.cpp BF16 batched and {ratios[1]:.2f}x one by one."

    asked, dot = (targets.PREFILL_SHARE, targets.DECODE_SHARE), limits.bf16_dot_gflops / limits.fma_gflops
    lines = [
        f"With prefill at {asked[0]:.0%} and decode at {asked[1]:.0%} of the measured FMA peak, and the whole batch "
        f"alive to the end, the gate's work would take {would(*asked)}",
        f"At the whole FMA peak it would take {would(1.0, 1.0)}",
    ]
    if dot > 0:
        lines.append(
            f"Its BF16 products run on the BF16 dot instruction, whose measured peak is {dot:.2f} times the FMA peak; "
            "our numerics contract forbids it, because it rounds otherwise than a chain of FMAs."
        )
    return lines


def _reach_of_drafts(organ: dict[str, Any], results: Results) -> str:
    alone = organ["gate"]["one_by_one"]
    plain = statistics.median(alone["seconds"][figures.ours(alone["seconds"])])
    least = figures.draft_seconds_at_peak(organ, figures.limits(results))
    return (
        f"Drafts at batch 1: prompt and draft ({alone['prompt_tokens']} and {alone['new_tokens']} tokens) are one "
        f"prefill of {least:.2f} s at the whole FMA peak, against {plain:.2f} s measured without drafts: "
        f"{plain / least:.2f}x is the most that drafts can give."
    )


def _gate(organ: dict[str, Any]) -> list[str]:
    gate = organ["gate"]
    batched, alone = gate["batched"], gate["one_by_one"]
    base = figures.gate_rate(batched, figures.ours(batched["seconds"]))
    rows = [["engine", "rounds", "seconds", "new tokens/s", "ours, batched, is faster by", "equal answers"]]
    for part, how in ((batched, "batched"), (alone, "one by one")):
        for name, values in part["seconds"].items():
            rate = figures.gate_rate(part, name)
            equal = f"{gate['agreement'][name]} of {batched['prompts']}" if part is batched else ""
            rows.append(
                [
                    f"{name}, {how}",
                    str(len(values)),
                    _spread(values),
                    f"{rate:.1f}",
                    f"{base / rate:.2f}x",
                    equal,
                ]
            )
    return [
        "",
        f"The gate's own work: {batched['prompts']} official prompts ({batched['prompt_tokens']} tokens), greedy, "
        f"{batched['new_tokens']} new tokens. One by one: every seventh of them ({alone['prompt_tokens']} tokens, "
        f"{alone['new_tokens']} new), since the times of single prompts add up.",
        "",
        *_table(rows),
    ]


def _speed(organ: dict[str, Any], results: Results) -> list[str]:
    speed, metadata = organ["speed"], organ["hyperparameters"]
    limits = figures.limits(results)
    peak, reading = limits.fma_gflops * 1e9, limits.read_gb_per_s * 1e9
    flops, weights = figures.decode_flops_per_token(metadata, speed), figures.weight_bytes(metadata)
    attention = figures.attention_flops_per_token(metadata, speed) / flops
    sequences = speed["sequences"]
    head = "engine|prefill tokens/s|of FMA peak|decode alone tokens/s|of read"
    rows = [[*head.split("|"), f"decode of {sequences}", "of FMA peak"]]
    for name, found in figures.speeds(speed).items():
        prefill_flops = figures.prefill_flops_per_token(metadata, speed, name)
        # A share of the read bandwidth says something where an engine reads as many bytes as we do.
        reads_bf16 = name.startswith(figures.OURS) or name == "llama.cpp BF16"
        rows.append(
            [
                name,
                f"{found.prefill:.0f}",
                f"{found.prefill * prefill_flops / peak:.0%}",
                f"{found.alone:.1f}",
                f"{found.alone * weights / reading:.0%}" if reads_bf16 else "",
                "" if found.many is None else f"{found.many:.0f}",
                "" if found.many is None else f"{found.many * flops / peak:.0%}",
            ]
        )
    return [
        "",
        f"Prefill, decode of one sequence, decode of all ({speed['steps']} steps each), as shares of the best FMA peak "
        "and read bandwidth measured before or after. Tokens per second count every token of every prompt, shares what "
        f"was really computed: the {speed['common_tokens']} tokens that all prompts begin with once by us, for each "
        f"prompt by the others. Attention is {attention:.1%} of the operations of decode. llama.cpp's "
        "shares may exceed the FMA peak where it uses the BF16 dot instruction:",
        "",
        *_table(rows),
    ]


def _scaling(organ: dict[str, Any]) -> list[str]:
    scaling = organ["scaling"]
    seconds, steps = scaling["seconds"], scaling["steps"]
    lengths = scaling["prompt_tokens"]
    rows = [["batch", *scaling["engines"]]]
    for batch in scaling["batches"]:
        row = [str(batch)]
        for name in scaling["engines"]:
            long, short = (statistics.median(seconds[f"{name} | {batch} | {n}"]) for n in (steps + 1, 1))
            row.append(f"{batch * steps / (long - short):.0f}")
        rows.append(row)
    return [
        "",
        f"Decode, tokens per second, over batch and threads (prompts of {lengths[0]} to {lengths[-1]} tokens, "
        f"{steps} steps):",
        "",
        *_table(rows),
    ]


def _footprint(organ: dict[str, Any]) -> list[str]:
    footprint = organ["footprint"]
    rows = [["engine", "load, s", "peak memory, MB", "of it Python and libraries", "peak minus the pack"]]
    for name, found in footprint["engines"].items():
        peak = found["peak_bytes"]
        rows.append(
            [
                name,
                _spread(found["load_seconds"]),
                f"{peak / 1e6:.0f}",
                f"{found['python_bytes'] / 1e6:.0f}",
                f"{(peak - footprint['pack_bytes']) / 1e6:.0f}",
            ]
        )
    return [
        "",
        f"Footprint, each engine in a process of its own, file cache warm; the pack has "
        f"{footprint['pack_bytes'] / 1e6:.0f} MB; batch of {organ['speed']['sequences']}, "
        f"{footprint['new_tokens']} new tokens:",
        "",
        *_table(rows),
    ]


def _spread(values: list[float]) -> str:
    middle = f"{statistics.median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f} to {max(values):.2f})"


def _table(rows: Table) -> list[str]:
    head, *body = rows
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]


def main() -> None:
    results = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    (HERE / "RESULTS.md").write_text(render(results), encoding="utf-8")


if __name__ == "__main__":
    main()
