"""results.json -> RESULTS.md."""

from __future__ import annotations

import statistics
from typing import Any

Table = list[list[str]]


def render(results: dict[str, Any]) -> str:
    lines = [
        "# Results of `python -m bench.run`",
        "",
        f"{results['processor']}, {results['threads']} threads, {results['date']}. Same weights, same prompts, same "
        "number of tokens; engines take turns; medians (and the spread, smallest to largest) of "
        f"{results['rounds']} rounds after one that does not count. Compare within one table only.",
        "",
        "## The machine",
        "",
        *_table([["threads", "vector", "FMA peak", "read"], *map(_limit_row, results["limits"])]),
        "",
        "After the run: "
        + "; ".join(" · ".join(_limit_row(limit)) for limit in results["limits_after"])
        + ".",
    ]
    for name, organ in results["organs"].items():
        lines += ["", f"## {name}", *_gate(organ), *_speed(organ, results), *_scaling(organ)]
    return "\n".join(lines) + "\n"


def _limit_row(limit: dict[str, Any]) -> list[str]:
    return [
        str(limit["threads"]),
        f"{limit['vector_bytes'] * 8} bit",
        f"{limit['fma_gflops']:.0f} GFLOP/s",
        f"{limit['read_gb_per_s']:.1f} GB/s",
    ]


def _gate(organ: dict[str, Any]) -> list[str]:
    gate = organ["gate"]
    seconds = gate["seconds"]
    ours = next(name for name in seconds if name.startswith("anchorgate") and name.endswith("batched"))
    base = statistics.median(seconds[ours])
    rows = [["engine", "seconds", "against ours, batched"]]
    rows += [
        [name, _spread(values), f"{statistics.median(values) / base:.2f}x"]
        for name, values in seconds.items()
    ]
    agreement = ", ".join(f"{name} {count}" for name, count in organ["agreement"].items())
    return [
        "",
        f"The gate's own work: {gate['prompts']} official prompts ({gate['prompt_tokens']} tokens), greedy, "
        f"{gate['new_tokens']} new tokens.",
        "",
        *_table(rows),
        "",
        f"Answers equal to ours token for token, of {gate['prompts']}: {agreement or 'no peer ran'}.",
    ]


def _speed(organ: dict[str, Any], results: dict[str, Any]) -> list[str]:
    speed = organ["speed"]
    flops = 2.0 * _matrix_parameters(organ["hyperparameters"])
    weights = _weight_bytes(organ["hyperparameters"])
    limit = max(
        (x for x in results["limits"] if x["threads"] == results["threads"]), key=lambda x: x["fma_gflops"]
    )
    reading = max(x["read_gb_per_s"] for x in results["limits"] if x["threads"] == results["threads"])
    rows = [
        [
            "engine",
            "prefill tokens/s",
            "of FMA peak",
            "decode alone tokens/s",
            "of read",
            "decode of 19",
            "of FMA peak",
        ]
    ]
    for name in speed["prefill"]:
        prefill = statistics.median(speed["prefill"][name])
        one = (statistics.median(speed["one_long"][name]) - statistics.median(speed["one"][name])) / speed[
            "steps"
        ]
        step = (statistics.median(speed["many_long"][name]) - prefill) / speed["steps"]
        rate = speed["prompt_tokens"] / prefill
        many = speed["sequences"] / step
        ours = name.startswith("anchorgate")
        rows.append(
            [
                name,
                f"{rate:.0f}",
                f"{rate * _prefill_flops(organ, speed) / limit['fma_gflops'] / 1e9:.0%}" if ours else "",
                f"{1 / one:.1f}",
                f"{weights / one / reading / 1e9:.0%}" if ours else "",
                f"{many:.0f}",
                f"{many * flops / limit['fma_gflops'] / 1e9:.0%}" if ours else "",
            ]
        )
    return ["", "Prefill, decode of one sequence, decode of all (64 steps each):", "", *_table(rows)]


def _scaling(organ: dict[str, Any]) -> list[str]:
    scaling = organ["scaling"]
    seconds = scaling["seconds"]
    rows = [["batch", *(f"{n} threads" if n > 1 else "1 thread" for n in scaling["threads"])]]
    for batch in scaling["batches"]:
        row = [str(batch)]
        for threads in scaling["threads"]:
            long, short = (statistics.median(seconds[f"{threads} {batch} {steps}"]) for steps in (33, 1))
            row.append(f"{batch * 32 / (long - short):.0f}")
        rows.append(row)
    return ["", "Our decode, tokens per second, over batch and threads:", "", *_table(rows)]


def _matrix_parameters(metadata: dict[str, str]) -> int:
    """Weights that one decoded token is multiplied with: all layers' matrices and the output."""
    return _layer_parameters(metadata) + _int(metadata, "vocab_size") * _int(metadata, "hidden_size")


def _layer_parameters(metadata: dict[str, str]) -> int:
    hidden, inner = _int(metadata, "hidden_size"), _int(metadata, "intermediate_size")
    q = _int(metadata, "num_attention_heads") * _int(metadata, "head_dim")
    kv = _int(metadata, "num_key_value_heads") * _int(metadata, "head_dim")
    return _int(metadata, "num_hidden_layers") * (hidden * (2 * q + 2 * kv) + 3 * hidden * inner)


def _prefill_flops(organ: dict[str, Any], speed: dict[str, Any]) -> float:
    """A prompt token: the layers, and the output layer for one row of each prompt. Attention is left out."""
    metadata = organ["hyperparameters"]
    output = _int(metadata, "vocab_size") * _int(metadata, "hidden_size")
    return 2.0 * (_layer_parameters(metadata) + output * speed["sequences"] / speed["prompt_tokens"])


def _weight_bytes(metadata: dict[str, str]) -> float:
    return 2.0 * _matrix_parameters(metadata)


def _int(metadata: dict[str, str], name: str) -> int:
    return int(metadata[f"planck.{name}"])


def _spread(values: list[float]) -> str:
    middle = f"{statistics.median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f} to {max(values):.2f})"


def _table(rows: Table) -> list[str]:
    head, *body = rows
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]
