"""The measurements behind the tables of RESULTS.md. Engines take turns within a round: A B A B ..."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.peers import Peer, Work
from bench.peers.anchorgate import Anchorgate

BATCHES = (1, 2, 4, 8, 19, 64, 164)
# Every seventh prompt goes alone as well: each prompt's time adds up, so tokens a second of a sample are those of all.
SAMPLE_STEP = 7
DECODE_STEPS = 32
SCALING_STEPS = 16
WARM_UP_TOKENS = 4
Seconds = dict[str, list[float]]


def interleaved(contestants: Mapping[str, tuple[Callable[[], Any], int]]) -> Seconds:
    """Seconds of each contestant, by name; each comes with its number of rounds and leaves after its last."""
    seconds: Seconds = {name: [] for name in contestants}
    for number in range(max(rounds for _, rounds in contestants.values())):
        for name, (run, rounds) in contestants.items():
            if number >= rounds:
                continue
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
            print(f"  round {number + 1}: {name}: {seconds[name][-1]:.2f} s", flush=True)
    return seconds


def timed(peers: list[Peer], work: Work, batched: bool, rounds: dict[str, int]) -> Seconds:
    return interleaved({p.name: (lambda p=p: exactly(p, work, batched), rounds[p.name]) for p in peers})


def exactly(peer: Peer, work: Work, batched: bool) -> None:
    """Runs the work and fails if an engine did less: then its time would be no time of this work."""
    answers = peer.run(work, batched)
    if [len(answer) for answer in answers] != list(work.lengths):
        raise RuntimeError(f"{peer.name} generated another number of tokens than it was to")


def gate_table(peers: list[Peer], work: Work, rounds: dict[str, int]) -> dict[str, Any]:
    """The gate's own work in one batch, and a sample of it one by one. Says how many answers equal the first peer's."""
    sample = work.part(range(0, len(work.prompts), SAMPLE_STEP))
    warm_up = Work(sample.prompts, [WARM_UP_TOKENS] * len(sample.prompts))
    for peer in peers:
        peer.run(warm_up, True)
    answers: dict[str, list[list[int]]] = {}

    def run(peer: Peer) -> None:
        answers[peer.name] = peer.run(work, True)
        if [len(answer) for answer in answers[peer.name]] != list(work.lengths):
            raise RuntimeError(f"{peer.name} generated another number of tokens than it was to")

    batched = interleaved({p.name: (lambda p=p: run(p), rounds[p.name]) for p in peers})
    expected = answers[peers[0].name]
    return {
        "batched": {**_size(work), "seconds": batched},
        "one_by_one": {**_size(sample), "seconds": timed(peers, sample, False, rounds)},
        "agreement": {
            name: sum(a == b for a, b in zip(expected, answer, strict=True))
            for name, answer in answers.items()
        },
    }


def _size(work: Work) -> dict[str, int]:
    return {
        "prompts": len(work.prompts),
        "prompt_tokens": work.prompt_tokens,
        "new_tokens": work.new_tokens,
    }


def lasting(prompts: Sequence[Sequence[int]], lengths: Sequence[int], tokens: int) -> list[Sequence[int]]:
    """As many prompts, all with an answer of `tokens` tokens or more; those that have one repeat.

    Our engine ends a sequence at its stop token, so a decode of N that is to stay one of N needs such prompts.
    """
    long = [prompt for prompt, length in zip(prompts, lengths, strict=True) if length >= tokens]
    if not long:
        raise ValueError(f"no answer has {tokens} tokens")
    return [long[i % len(long)] for i in range(len(prompts))]


def speed_table(peers: list[Peer], beside: list[Peer], work: Work, rounds: dict[str, int]) -> dict[str, Any]:
    """Prefill (the prompts, one new token each), and decode alone and for all: the difference of two lengths.

    `beside`: engines whose decode for all is left out; the gate's table says how fast they are in a batch.
    """
    prompts = lasting(work.prompts, work.lengths, DECODE_STEPS + 1)
    count = len(prompts)
    jobs = {
        "prefill": Work(work.prompts, [1] * count),
        "one": Work(prompts[:1], [1]),
        "one_long": Work(prompts[:1], [DECODE_STEPS + 1]),
        "many": Work(prompts, [1] * count),
        "many_long": Work(prompts, [DECODE_STEPS + 1] * count),
    }
    sizes = {**speed_sizes(work, prompts), "sequences": count, "steps": DECODE_STEPS}
    everyone = [*peers, *beside]
    return sizes | {
        name: timed(peers if name.startswith("many") else everyone, job, True, rounds)
        for name, job in jobs.items()
    }


def speed_sizes(work: Work, decoded: Sequence[Sequence[int]]) -> dict[str, int]:
    """What the speeds' shares are computed from: lengths of the prompts that are prefilled and that are `decoded`."""
    return {
        "prompt_tokens": work.prompt_tokens,
        "prompt_pairs": sum(map(_pairs, map(len, work.prompts))),
        "common_tokens": work.common_tokens,
        "common_pairs": _pairs(work.common_tokens),
        "decoded_tokens": sum(map(len, decoded)),
    }


def _pairs(tokens: int) -> int:
    """Pairs of a token and one that it attends to, itself included."""
    return tokens * (tokens + 1) // 2


def scaling_table(
    ours: dict[int, Anchorgate], beside: Peer | None, work: Work, rounds: int
) -> dict[str, Any]:
    """Decoding steps of short prompts, over batch sizes and threads; `beside` at its one number of threads."""
    engines: dict[str, Peer] = {
        f"anchorgate, {threads} thread{'s' * (threads > 1)}": ours[threads] for threads in ours
    }
    if beside is not None:
        engines[beside.name] = beside
    contestants: dict[str, tuple[Callable[[], Any], int]] = {}
    for batch in BATCHES:
        prompts = [work.prompts[i % len(work.prompts)] for i in range(batch)]
        for name, engine in engines.items():
            for steps in (1, SCALING_STEPS + 1):
                job = Work(prompts, [steps] * batch)
                contestants[f"{name} | {batch} | {steps}"] = (
                    lambda e=engine, j=job: exactly(e, j, True),
                    rounds,
                )
    return {
        "engines": list(engines),
        "batches": list(BATCHES),
        "steps": SCALING_STEPS,
        "prompt_tokens": sorted({len(prompt) for prompt in work.prompts}),
        "seconds": interleaved(contestants),
    }
