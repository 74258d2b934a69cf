"""One command for all of the runtime's figures: `python -m bench.run`.

Every engine gets the same weights, the same prompts and the same number of tokens, and they take turns (A B A B ...),
so that a slow minute of the machine hits all of them. Times are only worth something as ratios within one run.
Writes bench/results.json and bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench import gguf_export, machine, report
from bench.peers import Peer, Work
from bench.peers.anchorgate import Anchorgate, AnchorgateDrafts
from pytest_anchorgate.packs.reader import open_pack
from pytest_anchorgate.packs.resolve import resolve_pack
from pytest_anchorgate.runtime import Organ

HERE = Path(__file__).parent
BATCHES = (1, 2, 4, 8, 19, 64, 164)


def official_prompts(humaneval: Path, mbpp: Path) -> list[str]:
    from pytest_anchorgate.anchors_import import select_tasks
    from pytest_anchorgate.anchors_official import read_humaneval, read_mbpp

    files = {"HumanEval": read_humaneval(humaneval), "MBPP": read_mbpp(mbpp)}
    return [record["prompt"] for record in select_tasks(None, files)]


def gate_work(pack: Path, prompts: list[str], threads: int) -> Work:
    """The official prompts in the pack's template, and as many tokens for each as greedy decoding takes to its stop."""
    metadata = open_pack(pack).metadata
    organ = Organ.load(pack, threads)
    texts = [metadata["planck.template.prefix"] + p + metadata["planck.template.suffix"] for p in prompts]
    answers = organ.generate(texts, max_new_tokens=256, raw=True)
    return Work([organ.tokenize(text) for text in texts], [len(answer.token_ids) for answer in answers])


def interleaved(
    contestants: dict[str, Callable[[], Any]], rounds: int, warm_up: bool = True
) -> dict[str, list[float]]:
    """Seconds of each contestant in each round, after a round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(0 if warm_up else 1, rounds + 1):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            elapsed = time.perf_counter() - started
            print(f"  round {number}: {name}: {elapsed:.2f} s", flush=True)
            if number > 0:
                seconds[name].append(elapsed)
    return seconds


def gate_table(peers: list[Peer], work: Work, rounds: int, one_by_one_rounds: int) -> dict[str, Any]:
    contestants = {f"{peer.name}, batched": (lambda p=peer: p.run(work, True)) for peer in peers}
    seconds = interleaved(contestants, rounds)
    alone = {f"{peer.name}, one by one": (lambda p=peer: p.run(work, False)) for peer in peers}
    # Warm already, and long.
    seconds |= interleaved(alone, one_by_one_rounds, warm_up=False)
    return {
        "prompts": len(work.prompts),
        "prompt_tokens": work.prompt_tokens,
        "new_tokens": work.new_tokens,
        "seconds": seconds,
    }


def speed_table(peers: list[Peer], work: Work, rounds: int) -> dict[str, Any]:
    """Prefill (the prompts, one new token each), and decode alone and for all: the difference of two lengths."""
    prefill = Work(work.prompts, [1] * len(work.prompts))
    one = Work(work.prompts[:1], [1])
    one_long = Work(work.prompts[:1], [65])
    many_long = Work(work.prompts, [65] * len(work.prompts))
    result: dict[str, Any] = {
        "prompt_tokens": prefill.prompt_tokens,
        "sequences": len(work.prompts),
        "steps": 64,
    }
    for name, job in (("prefill", prefill), ("one", one), ("one_long", one_long), ("many_long", many_long)):
        result[name] = interleaved(
            {peer.name: (lambda p=peer, j=job: p.run(j, True)) for peer in peers}, rounds
        )
    return result


def scaling_table(pack: Path, work: Work, thread_counts: list[int], rounds: int) -> dict[str, Any]:
    """Tokens per second of decoding 33 tokens, over batch sizes (prompts repeat) and threads."""
    contestants = {}
    for threads in thread_counts:
        engine = Anchorgate(pack, threads)
        for batch in BATCHES:
            prompts = [work.prompts[i % len(work.prompts)] for i in range(batch)]
            for steps in (1, 33):
                job = Work(prompts, [steps] * batch)
                contestants[f"{threads} {batch} {steps}"] = lambda e=engine, j=job: e.run(j, True)
    return {"seconds": interleaved(contestants, rounds), "threads": thread_counts, "batches": list(BATCHES)}


def make_peers(pack: Path, names: list[str], threads: int, sequences: int, scratch: Path) -> list[Peer]:
    peers: list[Peer] = []
    for name in names:
        kind, _, variant = name.partition(":")
        if kind == "llama":
            from bench.peers.llama_cpp import LlamaCpp

            gguf = gguf_export.export(pack, variant, scratch / f"{pack.stem}-{variant}.gguf")
            peers.append(LlamaCpp(gguf, variant, threads, sequences))
        elif kind == "transformers":
            from bench.peers.hugging_face import Transformers

            peers.append(Transformers(pack, variant, threads))
    return peers


def bench_organ(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    pack = resolve_pack(name)
    work = gate_work(pack, official_prompts(arguments.humaneval, arguments.mbpp), arguments.threads)
    print(f"{name}: {work.prompt_tokens} prompt tokens, {work.new_tokens} new tokens", flush=True)
    ours = Anchorgate(pack, arguments.threads)
    drafts = AnchorgateDrafts(pack, arguments.threads)
    drafts.learn(work, ours.run(work, True))
    others = make_peers(pack, arguments.peers, arguments.threads, len(work.prompts), arguments.scratch)
    quick = [peer for peer in others if not peer.name.startswith("transformers")]
    result = {
        "gate": gate_table([ours, drafts, *others], work, arguments.rounds, arguments.one_by_one_rounds),
        "speed": speed_table([ours, *quick], work, arguments.rounds),
        "hyperparameters": open_pack(pack).metadata,
        "agreement": agreement(ours, others, work),
    }
    del others, quick
    gc.collect()
    result["scaling"] = scaling_table(pack, work, sorted({1, arguments.threads}), arguments.one_by_one_rounds)
    return result


def agreement(ours: Peer, others: list[Peer], work: Work) -> dict[str, int]:
    """In how many of the answers each peer gives our very tokens: a check that all do the same work."""
    expected = ours.run(work, True)
    return {
        peer.name: sum(a == b for a, b in zip(expected, peer.run(work, True), strict=True)) for peer in others
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--organs", nargs="+", default=["qwen2.5-coder-0.5b", "smollm2-135m"])
    parser.add_argument(
        "--peers",
        nargs="*",
        default=["llama:bf16", "llama:f16", "llama:q8_0", "transformers:f32", "transformers:bf16"],
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one-by-one-rounds", type=int, default=1)
    parser.add_argument("--humaneval", type=Path, default=os.environ.get("ANCHORGATE_HUMANEVAL"))
    parser.add_argument("--mbpp", type=Path, default=os.environ.get("ANCHORGATE_MBPP"))
    parser.add_argument(
        "--scratch", type=Path, default=Path("build/bench"), help="where exported GGUF files go"
    )
    parser.add_argument("--output", type=Path, default=HERE)
    arguments = parser.parse_args()
    if arguments.humaneval is None or arguments.mbpp is None:
        parser.error("the official prompts are needed: give --humaneval FILE and --mbpp FILE")
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    found = machine.measure(sorted({1, arguments.threads}))
    results = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "processor": found.processor,
        "limits": list(found.limits.values()),
        "organs": {name: bench_organ(name, arguments) for name in arguments.organs},
    }
    # Again at the end: a machine that got slower under the run shows.
    results["limits_after"] = list(machine.measure(sorted({1, arguments.threads})).limits.values())
    (arguments.output / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (arguments.output / "RESULTS.md").write_text(report.render(results), encoding="utf-8")
    print(report.render(results))


if __name__ == "__main__":
    main()
