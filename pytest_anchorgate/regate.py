"""The gate without pytest: a pack that is in its place is gated there, as production would load it.

The engine is a child process here as everywhere. It loads the pack by the path of the alias, through the organ
manager, under the name that production has; the sandbox verifies, `verdict.decide` decides.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pytest_anchorgate.anchors import AnchorSet
from pytest_anchorgate.baseline import Baseline
from pytest_anchorgate.engine import EngineRefused, Listener
from pytest_anchorgate.evidence import observe
from pytest_anchorgate.gate import Answers, Gate, Pack, open_pack
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.recheck import Recheck
from pytest_anchorgate.repeats import DEFAULT_SIZE, Repeat
from pytest_anchorgate.verdict import Decision, Evidence, Incident, Standing, compare, decide

_DIGEST = 12


@dataclass(frozen=True, slots=True)
class Limits:
    """How the engine and the sandbox may work; see `options.Settings`."""

    timeout: float
    threads: int | None = None
    sandbox_level: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is gated, and by what.

    Attributes:
        place: path of the alias; what it leads to is found out when the engine maps it.
        organ: name in the organ manager.
        name: file name that people know the pack by.
        pack_sha256: what has to be mapped.
        tokens: by task id the digest of the tokens that an earlier gate saw; where it is there, the answer
            has to be the same.
    """

    place: Path
    organ: str
    name: str
    pack_sha256: str
    anchors: AnchorSet
    baseline: Baseline
    tokens: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Regated:
    """The decision, and all that it was made of."""

    gate: Gate
    decision: Decision
    evidence: tuple[Evidence, ...]
    incidents: tuple[Incident, ...]
    repeats: tuple[Repeat, ...]


def regate(question: Question, limits: Limits, listener: Listener) -> Regated:
    """Generates all answers in the live place, verifies them and decides.

    Whatever goes wrong in the engine or the sandbox, or with the file, is part of the evidence: the decision
    is then no PASS.
    """
    gate = _gate(question, limits)
    incidents: list[Incident] = []
    if not gate.answers.failure:
        _run_engine(gate, listener)
    if gate.answers.failure:
        incidents.append(Incident(gate.answers.failure, fatal=True))
    loaded = gate.manifest.pack_sha256
    if loaded and loaded != question.pack_sha256:
        digests = f"{loaded[:_DIGEST]}, expected {question.pack_sha256[:_DIGEST]}"
        incidents.append(Incident(f"{question.place} led to another pack ({digests})", fatal=True))
    again = Recheck(gate)
    again.start()
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        # "passed": there is no pytest here that could show an item otherwise than its evidence says.
        evidence = [Evidence(seen, "passed") for seen in pool.map(lambda a: observe(gate, a), gate.anchors)]
    incidents += _other_answers(evidence, question.tokens)
    repeated = again.finish(_lost(gate, evidence), lambda _: None)
    incidents += [Incident(why, task_id) for task_id, why in repeated.failures.items()]
    repeats = tuple(repeated.repeats)
    decision = decide(gate.manifest, gate.baseline.held, evidence, incidents, repeats=repeats)
    return Regated(gate, decision, tuple(evidence), tuple(incidents), repeats)


def _gate(question: Question, limits: Limits) -> Gate:
    pack, failure = Pack(question.place, question.name, ""), ""
    try:
        found = open_pack(str(question.place), progress=False)
        pack = Pack(found.path, question.name, found.identity)
    except (PackFormatError, PackSourceError, OSError) as error:
        failure = " ".join(str(error).splitlines())
    return Gate(
        session=secrets.token_hex(16),
        pack=pack,
        anchors=question.anchors,
        baseline=question.baseline,
        baseline_digest=question.baseline.digest,
        timeout=limits.timeout,
        threads=limits.threads,
        sandbox_level=limits.sandbox_level,
        organ=question.organ,
        recheck=DEFAULT_SIZE,
        answers=Answers(failure=failure),
    )


def _run_engine(gate: Gate, listener: Listener) -> None:
    try:
        gate.run_engine([anchor.task_id for anchor in gate.anchors], listener)
    except EngineRefused as error:
        gate.answers = Answers(failure=f"the engine refused the pack: {error}")


def _lost(gate: Gate, evidence: Sequence[Evidence]) -> list[str]:
    held = gate.baseline.held
    seen = [piece.observation for piece in evidence]
    return [o.task_id for o in seen if compare(held.get(o.task_id, False), o.held) is Standing.LOST]


def _other_answers(evidence: Sequence[Evidence], tokens: Mapping[str, str]) -> list[Incident]:
    """The same bytes that give other tokens than when they were gated are not deterministic here."""
    from pytest_anchorgate.receipt.canonical import token_digest

    return [
        Incident(
            f"NONDETERMINISTIC: {piece.observation.task_id} is answered with other tokens than the receipt saw",
            fatal=True,
        )
        for piece in evidence
        if piece.observation.held is not None
        and tokens.get(piece.observation.task_id) not in (None, token_digest(piece.observation.token_ids))
    ]
