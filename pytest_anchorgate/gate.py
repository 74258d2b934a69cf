"""One gate session: the pack, the anchors and the baseline it is about, and what the engine made of them."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_anchorgate.anchors import AnchorsError, AnchorSet, load_anchors, read_anchors
from pytest_anchorgate.baseline import (
    Baseline,
    BaselineError,
    anchor_digest,
    parse_baseline,
    read_baseline,
    require_same_anchors,
)
from pytest_anchorgate.engine import (
    Divergence,
    Engine,
    EngineError,
    EngineRefused,
    Generated,
    Listener,
    Request,
    generate,
)
from pytest_anchorgate.options import Settings
from pytest_anchorgate.places import BASELINE_FILE
from pytest_anchorgate.sandbox.offer import Asking
from pytest_anchorgate.verdict import Manifest


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack whose header has been read: its path, its file's name, the digest of its logical content."""

    path: Path
    name: str
    identity: str


@dataclass(slots=True)
class Answers:
    """What the engine gave.

    Attributes:
        info: what the runtime says about pack and machine; empty before it has loaded.
        completions: by task id.
        failure: why there are none, "" if there are or if nobody asked yet.
        seconds: time spent generating; `tokens`: written in that time.
    """

    info: Mapping[str, Any] = field(default_factory=dict)
    completions: dict[str, Generated] = field(default_factory=dict)
    failure: str = ""
    seconds: float = 0.0
    tokens: int = 0

    def to_wire(self) -> str:
        """A copy for a worker, as ASCII."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_wire(cls, text: str) -> Answers:
        """The controller's answers on a worker."""
        data = json.loads(text)
        completions = {task_id: _generated(entry) for task_id, entry in data.pop("completions").items()}
        return cls(completions=completions, **data)


@dataclass(slots=True)
class Gate:
    """Everything that one session is about; the workers of xdist get a copy.

    Attributes:
        session: a nonce; evidence counts only in the session that made it.
        worker: the xdist worker that holds this copy, "" on the controller and without xdist.
        sandbox_level: the weakest confinement of generated code to accept; None for any.
        sandbox: what this machine offers, for the header; asked for by a thread.
        organ: the name under which an organ manager loads the pack; "" loads it directly.
        recheck: how many of the anchors that production holds are generated a second time (repeats.py), besides
            every lost one; 0 for no second time.
        engine: a host that was started ahead and loads the pack already, if there is one.
    """

    session: str
    pack: Pack
    anchors: AnchorSet
    baseline: Baseline
    baseline_digest: str
    timeout: float
    threads: int | None
    partial: bool = False
    worker: str = ""
    sandbox_level: str | None = None
    sandbox: Asking | None = None
    organ: str = ""
    recheck: int = 0
    answers: Answers = field(default_factory=Answers)
    engine: Engine | None = None

    @property
    def manifest(self) -> Manifest:
        """What has to be shown for a PASS."""
        return Manifest(
            session=self.session,
            pack_sha256=str(self.answers.info.get("pack_sha256", "")),
            baseline_digest=self.baseline_digest,
            anchors_digest=self.anchors.digest,
            anchors={anchor.task_id: anchor_digest(anchor) for anchor in self.anchors},
            recheck=self.recheck,
        )

    def ask(self, task_ids: Collection[str]) -> None:
        """Has the engine that was started ahead begin, if there is one; `run_engine` waits for it."""
        if self.engine is not None:
            request = self._request(task_ids)
            if self.engine.fits(request):
                self.engine.ask(request)

    def run_engine(self, task_ids: Collection[str], listener: Listener) -> None:
        """Generates the answers to these anchors in one batch; the bits of each do not depend on the others.

        A crash, a timeout or a failure of the engine ends up in `answers.failure`.

        Raises:
            EngineRefused: the runtime does not accept the pack.
        """
        request = self._request(task_ids)
        ahead, self.engine = self.engine, None
        try:
            done = generate(request, timeout=self.timeout, listener=listener, engine=ahead)
        except EngineError as error:
            self.answers = Answers(failure=str(error))
            return
        if done.info.get("identity") != self.pack.identity:
            self.answers = Answers(failure=f"{self.pack.name} was replaced while the session started")
            return
        wanted = [anchor.task_id for anchor in self.anchors if anchor.task_id in task_ids]
        completions = dict(zip(wanted, done.completions, strict=True))
        self.answers = Answers(done.info, completions, "", done.seconds, done.tokens)

    def _request(self, task_ids: Collection[str]) -> Request:
        wanted = [anchor for anchor in self.anchors if anchor.task_id in task_ids]
        return Request(
            pack=self.pack.path,
            prompts=[anchor.prompt for anchor in wanted],
            max_new_tokens=[anchor.max_new_tokens for anchor in wanted],
            expected=[self.baseline.anchors[anchor.task_id].token_ids for anchor in wanted],
            threads=self.threads,
            organ=self.organ,
        )

    def to_wire(self) -> str:
        """A copy for a worker, without the answers, as ASCII: execnet takes no lone surrogates."""
        return json.dumps(
            {
                "session": self.session,
                "pack": {**dataclasses.asdict(self.pack), "path": str(self.pack.path)},
                "anchors": str(self.anchors.path),
                "baseline": self.baseline.to_text(),
                "sandbox_level": self.sandbox_level,
            }
        )

    @classmethod
    def from_wire(cls, text: str, worker: str) -> Gate:
        """The controller's gate on a worker; anchors that differ there give evidence that does not count."""
        data = json.loads(text)
        baseline = parse_baseline(data["baseline"], "the controller's baseline")
        return cls(
            session=data["session"],
            pack=Pack(**{**data["pack"], "path": Path(data["pack"]["path"])}),
            anchors=load_anchors(data["anchors"]),
            baseline=baseline,
            baseline_digest=baseline.digest,
            timeout=0.0,
            threads=None,
            worker=worker,
            sandbox_level=data["sandbox_level"],
        )


def open_gate(
    settings: Settings, *, progress: bool, engine: Engine | None = None, offer: Asking | None = None
) -> Gate:
    """Reads all that a session needs, cheap things first: a missing baseline is told before any download.

    Args:
        settings: what the user asked for.
        progress: whether fetching and building a recipe may show how far it is.
        engine: see `Gate.engine`.
        offer: see `Gate.sandbox`.

    Raises:
        AnchorsError, BaselineError, SandboxTooWeak, PackSourceError, PackFormatError, OSError: one line for
            the user.
    """
    anchors = read_anchors(settings.anchors)
    baseline_path = settings.baseline or anchors.path.with_name(BASELINE_FILE)
    baseline = read_baseline(baseline_path)
    require_same_anchors(baseline, anchors, str(baseline_path))
    offer = offer or Asking()
    if settings.sandbox_level is not None:
        _require(settings.sandbox_level, offer)
    return Gate(
        session=secrets.token_hex(16),
        pack=open_pack(settings.pack, progress=progress),
        anchors=anchors,
        baseline=baseline,
        baseline_digest=baseline.digest,
        timeout=settings.timeout,
        threads=settings.threads,
        partial=settings.partial,
        sandbox_level=settings.sandbox_level,
        sandbox=offer,
        recheck=settings.recheck,
        engine=engine,
    )


class SandboxTooWeak(ValueError):
    """This machine cannot confine generated code as the user requires."""


def _require(level: str, asking: Asking) -> None:
    short = asking.answer().falls_short_of(level)
    if short:
        raise SandboxTooWeak(
            f"anchorgate_sandbox_level is {level}, but {short} (see `anchorgate sandbox doctor`)"
        )


def open_pack(spec: str, *, progress: bool) -> Pack:
    """Finds or builds the pack and reads its header.

    Raises:
        PackSourceError, PackFormatError, OSError: one line for the user.
    """
    from pytest_anchorgate.packs.errors import PackFormatError
    from pytest_anchorgate.packs.header import read_header
    from pytest_anchorgate.packs.resolve import resolve_pack

    path = Path(resolve_pack(spec, progress=progress)).absolute()
    identity = read_header(path).metadata.get("planck.identity")
    if not identity:
        raise PackFormatError(f"{path}: metadata lacks planck.identity")
    return Pack(path, path.name, identity)


def user_errors() -> tuple[type[Exception], ...]:
    """What a mistake of the user raises, here and in the engine and the recorder."""
    from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError

    return (
        AnchorsError,
        BaselineError,
        EngineRefused,
        PackFormatError,
        PackSourceError,
        SandboxTooWeak,
        OSError,
    )


def _generated(entry: dict[str, Any]) -> Generated:
    divergence = entry["divergence"]
    return Generated(
        text=entry["text"],
        token_ids=tuple(entry["token_ids"]),
        margins=tuple(entry["margins"]),
        finish_reason=entry["finish_reason"],
        divergence=None if divergence is None else Divergence(**divergence),
    )
