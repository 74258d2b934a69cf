"""One command for all of the runtime's figures: `python -m bench.run`.

Every engine gets the same weights, the same prompts and the same number of tokens, and they take turns (A B A B ...),
so that a slow minute of the machine hits all of them. Times are only worth something as ratios within one run.
Writes bench/results.json and bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench import footprint, machine, report, tables
from bench.peers import Peer, Work
from bench.peers.anchorgate import Anchorgate, AnchorgateDrafts
from pytest_anchorgate.packs.reader import open_pack
from pytest_anchorgate.packs.resolve import resolve_pack
from pytest_anchorgate.runtime import Organ

HERE = Path(__file__).parent
# The targets are set against these: they run as often as ours.
MAIN_PEERS = ("llama:bf16", "llama:f16")
PEERS = (
    *MAIN_PEERS,
    "llama:q8_0",
    "transformers:f32",
    "transformers:bf16",
    "ctranslate2:float32",
    "ctranslate2:int8",
    "onnxruntime-genai:float32",
)
TABLES = ("gate", "speed", "scaling", "footprint")
LIBRARIES = {
    "anchorgate": ("pytest_anchorgate._organ", "numpy"),
    "llama": ("llama_cpp", "gguf"),
    "transformers": ("torch", "transformers"),
    "ctranslate2": ("ctranslate2",),
    "onnxruntime-genai": ("onnxruntime_genai",),
}


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


def short_prompts(organ: Organ, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """The longest beginning of each, of at most 24 tokens, whose text gives these very ids again."""
    return [next(cut for n in range(24, 0, -1) if _survives(organ, cut := list(p[:n]))) for p in prompts]


def _survives(organ: Organ, ids: list[int]) -> bool:
    try:
        return organ.tokenize(organ.detokenize(ids).decode("utf-8")) == ids
    except UnicodeDecodeError:
        return False


def preload(name: str) -> None:
    """Imports a peer's libraries, so that loading a model is not charged with them."""
    for module in LIBRARIES[name.partition(":")[0]]:
        importlib.import_module(module)


def make_peer(pack: Path, name: str, threads: int, sequences: int, scratch: Path) -> Peer:
    """The engine called `name` (KIND or KIND:VARIANT), its model converted into `scratch` if it is not there yet."""
    kind, _, variant = name.partition(":")
    if kind == "anchorgate":
        return Anchorgate(pack, threads)
    if kind == "llama":
        from bench import gguf_export
        from bench.peers.llama_cpp import LlamaCpp

        gguf = gguf_export.export(pack, variant, scratch / f"{pack.stem}-{variant}.gguf")
        return LlamaCpp(gguf, variant, threads, sequences)
    if kind == "transformers":
        from bench.peers.hugging_face import Transformers

        return Transformers(pack, variant, threads)
    if kind == "ctranslate2":
        from bench.peers.ctranslate2 import CTranslate2

        return CTranslate2(pack, variant, threads, scratch)
    if kind == "onnxruntime-genai":
        from bench.peers.onnxruntime_genai import OnnxRuntimeGenai

        return OnnxRuntimeGenai(pack, variant, threads, scratch)
    raise ValueError(f"no engine is called {kind}")


def bench_organ(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    pack = resolve_pack(name)
    work = gate_work(pack, official_prompts(arguments.humaneval, arguments.mbpp), arguments.threads)
    print(f"{name}: {work.prompt_tokens} prompt tokens, {work.new_tokens} new tokens", flush=True)
    others = {
        peer: make_peer(pack, peer, arguments.threads, len(work.prompts), arguments.scratch)
        for peer in arguments.peers
    }
    ours = Anchorgate(pack, arguments.threads)
    drafts = AnchorgateDrafts(pack, arguments.threads)
    drafts.learn(work, ours.run(work, True))
    rounds = {ours.name: arguments.rounds, drafts.name: arguments.rounds}
    for peer, engine in others.items():
        rounds[engine.name] = arguments.rounds if peer in MAIN_PEERS else arguments.few_rounds
    main = [engine for peer, engine in others.items() if peer in MAIN_PEERS]
    quick = [engine for engine in others.values() if engine not in main and "transformers" not in engine.name]
    result: dict[str, Any] = {"hyperparameters": open_pack(pack).metadata, "rounds": rounds}
    if "gate" in arguments.tables:
        result["gate"] = tables.gate_table([ours, drafts, *others.values()], work, rounds)
    if "speed" in arguments.tables:
        result["speed"] = tables.speed_table([ours, *main], quick, work, rounds)
    del others, main, quick
    gc.collect()
    if "scaling" in arguments.tables:
        result["scaling"] = bench_scaling(pack, work, arguments)
    if "footprint" in arguments.tables:
        loaded = [peer for peer in arguments.peers if not peer.startswith("transformers")]
        result["footprint"] = footprint.measure(
            pack, [footprint.OURS, *loaded], arguments.threads, arguments.scratch, work
        )
    return result


def bench_scaling(pack: Path, work: Work, arguments: argparse.Namespace) -> dict[str, Any]:
    organ = Organ.load(pack, arguments.threads)
    cuts = short_prompts(organ, work.prompts)
    engine = Anchorgate(pack, arguments.threads)
    steps = tables.SCALING_STEPS + 1
    lengths = [len(answer) for answer in engine.run(Work(cuts, [steps] * len(cuts)), True)]
    short = Work(tables.lasting(cuts, lengths, steps), [steps] * len(cuts))
    engines = {threads: Anchorgate(pack, threads) for threads in sorted({1, arguments.threads})}
    beside = None
    if "llama:bf16" in arguments.peers:
        beside = make_peer(pack, "llama:bf16", arguments.threads, max(tables.BATCHES), arguments.scratch)
    return tables.scaling_table(engines, beside, short, arguments.scaling_rounds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--organs", nargs="+", default=["qwen2.5-coder-0.5b", "smollm2-135m"])
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--few-rounds",
        type=int,
        default=1,
        help="rounds of the engines other than ours and llama.cpp BF16 and F16",
    )
    parser.add_argument("--scaling-rounds", type=int, default=1)
    parser.add_argument(
        "--tables",
        nargs="+",
        default=list(TABLES),
        choices=TABLES,
        help="measure these; others stay as they are",
    )
    parser.add_argument("--humaneval", type=Path, default=os.environ.get("ANCHORGATE_HUMANEVAL"))
    parser.add_argument("--mbpp", type=Path, default=os.environ.get("ANCHORGATE_MBPP"))
    parser.add_argument("--scratch", type=Path, default=Path("build/bench"), help="where converted models go")
    parser.add_argument("--output", type=Path, default=HERE)
    arguments = parser.parse_args()
    if arguments.humaneval is None or arguments.mbpp is None:
        parser.error("the official prompts are needed: give --humaneval FILE and --mbpp FILE")
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    found = machine.measure(sorted({1, arguments.threads}))
    results: dict[str, Any] = {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "few_rounds": arguments.few_rounds,
        "scaling_rounds": arguments.scaling_rounds,
        "processor": found.processor,
        "limits": list(found.limits.values()),
        "organs": {},
    }
    written = arguments.output / "results.json"
    if written.exists() and set(arguments.tables) != set(TABLES):
        results["organs"] = json.loads(written.read_text(encoding="utf-8"))["organs"]
    for name in arguments.organs:
        results["organs"][name] = results["organs"].get(name, {}) | bench_organ(name, arguments)
        # Measured again: a machine that got slower under the run shows. Written each time, since a run is long.
        results["limits_after"] = list(machine.measure(sorted({1, arguments.threads})).limits.values())
        written.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (arguments.output / "RESULTS.md").write_text(report.render(results), encoding="utf-8")
    print(report.render(results))


if __name__ == "__main__":
    main()
