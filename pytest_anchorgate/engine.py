"""Client of the engine host: a child process that holds the model, a deadline, and typed ways to fail.

The model never lives in this process: a crash, an `exit(0)` or a hang in native code must not be able to look
like a PASS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from pytest_anchorgate.engine_process import (
    MESSAGE_LIMIT,
    EngineCrashed,
    EngineError,
    EngineTimeout,
    HostProcess,
    host_command,
)
from pytest_anchorgate.frames import FrameError, pack_frame
from pytest_anchorgate.wire import is_margins, is_token_ids, printable

__all__ = [
    "Divergence",
    "Engine",
    "EngineCrashed",
    "EngineError",
    "EngineFailed",
    "EngineProgress",
    "EngineRefused",
    "EngineTimeout",
    "Generated",
    "Generation",
    "Listener",
    "Request",
    "Start",
    "generate",
]


class EngineFailed(EngineError):
    """The host reported a failure of its own: numbers that are not finite, memory that is not there."""


class EngineRefused(ValueError):
    """The runtime refused the pack: the user's matter, not an undecided run."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a host needs to know to load a pack; see `Request`."""

    pack: Path
    threads: int | None = None
    organ: str = ""
    prefill_chunk: int | None = None
    nice: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One batch.

    Attributes:
        prompts: user prompts; the pack's template is applied to them.
        expected: for each prompt production's tokens, where they are known.
        threads: None lets the runtime choose.
        organ: the name under which an organ manager loads the pack and hands it out, as in production; ""
            loads it directly.
        prefill_chunk: rows of one prefill pass, None for the runtime's own; changes no bit of any answer.
        nice: how far the host steps back behind other processes, from 0 to 19.
    """

    pack: Path
    prompts: Sequence[str]
    max_new_tokens: Sequence[int]
    expected: Sequence[Sequence[int] | None]
    threads: int | None = None
    organ: str = ""
    prefill_chunk: int | None = None
    nice: int = 0

    @property
    def start(self) -> Start:
        """The part of it that loads the pack."""
        return Start(self.pack, self.threads, self.organ, self.prefill_chunk, self.nice)


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first token where the candidate parts from production.

    Attributes:
        index: its place in the completion.
        expected: production's token as text, None if production had ended there; `actual` is the candidate's.
    """

    index: int
    expected: str | None
    actual: str | None


@dataclass(frozen=True, slots=True)
class Generated:
    """One completion, as the engine gave it."""

    text: str
    token_ids: tuple[int, ...]
    margins: tuple[float, ...]
    finish_reason: str
    divergence: Divergence | None = None


@dataclass(frozen=True, slots=True)
class EngineProgress:
    """How far the batch is: answers finished, tokens read and written, seconds since generation began."""

    finished: int
    total: int
    prompt_tokens: int
    generated_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Generation:
    """The whole batch.

    Attributes:
        info: what the runtime says about pack and machine (pack_sha256, numerics, isa, threads, ...).
        completions: one a prompt, in the order of the request.
        seconds: time spent generating, without loading; `tokens`: written in that time.
    """

    info: Mapping[str, Any]
    completions: tuple[Generated, ...]
    seconds: float
    tokens: int


class Listener(Protocol):
    """Who wants to know while the engine works."""

    def loaded(self, info: Mapping[str, Any]) -> None:
        """The pack is loaded."""

    def progress(self, progress: EngineProgress) -> None:
        """Some tokens more."""


class Engine:
    """A host that loads a pack from the moment it is started, before anybody knows what to ask it.

    It is told to load with the first frame and what to generate with the second, so that loading and hashing a
    pack need not wait for whoever makes up the question.
    """

    def __init__(self, start: Start, command: Sequence[str] | None = None) -> None:
        self.start = start
        self.asked: Request | None = None
        self._host = HostProcess(command or host_command())
        # The host runs in another folder.
        self._host.tell(pack_frame({**asdict(start), "pack": str(start.pack.absolute())}))

    def ask(self, request: Request) -> None:
        """Has it begin; asking once more for the same does nothing."""
        if self.asked is None:
            self.asked = request
            self._host.request(pack_frame(_question(request)))

    def fits(self, request: Request) -> bool:
        """Whether it can answer this request, and no other."""
        return self.start == request.start and self.asked in (None, request)

    def answer(self, timeout: float, listener: Listener) -> Generation:
        """Waits for everything that was asked for; see `generate`."""
        assert self.asked is not None
        self._host.deadline_in(timeout)
        return _collect(self._host, self.asked, listener)

    def close(self) -> None:
        """Ends the host, whatever it is doing."""
        self._host.close()


def generate(
    request: Request,
    *,
    timeout: float,
    listener: Listener,
    command: Sequence[str] | None = None,
    engine: Engine | None = None,
) -> Generation:
    """Runs one batch in a child process of its own and waits for it.

    Args:
        request: the pack and the prompts.
        timeout: seconds for loading and generating together.
        listener: told about progress, in this thread.
        command: the child's command line without the descriptor, for tests of this client.
        engine: a child that was started ahead; it serves this one batch if it fits, and is ended in any case.

    Raises:
        EngineRefused: the pack is not one, or cannot be read.
        EngineCrashed, EngineTimeout, EngineFailed: there is no answer; see there.
    """
    if engine is not None and not engine.fits(request):
        engine.close()
        engine = None
    engine = engine or Engine(request.start, command)
    try:
        engine.ask(request)
        return engine.answer(timeout, listener)
    finally:
        engine.close()


def _question(request: Request) -> dict[str, Any]:
    return {
        "prompts": list(request.prompts),
        "max_new_tokens": list(request.max_new_tokens),
        "expected": [None if ids is None else list(ids) for ids in request.expected],
    }


def _collect(host: HostProcess, request: Request, listener: Listener) -> Generation:
    """Turns the host's messages into the batch's result, checking all: native code may have gone astray."""
    info: Mapping[str, Any] = {}
    completions: dict[int, Generated] = {}
    try:
        while True:
            message = host.receive()
            kind = message["type"]
            if kind == "loaded":
                info = _info(message)
                listener.loaded(info)
            elif kind == "progress":
                listener.progress(EngineProgress(**{k: v for k, v in message.items() if k != "type"}))
            elif kind == "completion":
                completions[message["index"]] = _generated(message)
            elif kind == "error":
                _raise(message["kind"], str(message["message"]))
            elif kind == "done":
                ordered = tuple(completions[i] for i in range(len(request.prompts)))
                if len(completions) != len(ordered):
                    raise FrameError(f"{len(completions)} completions for {len(ordered)} prompts")
                return Generation(info, ordered, float(message["seconds"]), int(message["tokens"]))
            else:
                raise FrameError(f"an unknown message {kind!r}")
    except (FrameError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, EngineRefused):
            raise
        raise EngineCrashed(f"the engine spoke nonsense: {printable(str(error), MESSAGE_LIMIT)}") from None


def _info(message: Mapping[str, Any]) -> dict[str, Any]:
    info = message["info"]
    if not isinstance(info, dict) or not isinstance(info.get("pack_sha256"), str) or not info["pack_sha256"]:
        raise FrameError("it does not say which pack it loaded")
    return info


def _generated(message: Mapping[str, Any]) -> Generated:
    ids, margins = message["token_ids"], message["margins"]
    if not (is_token_ids(ids) and is_margins(margins) and len(ids) == len(margins)):
        raise FrameError("token ids and margins do not fit")
    if not isinstance(message["text"], str) or not isinstance(message["finish_reason"], str):
        raise FrameError("a completion without text")
    divergence = message["divergence"]
    return Generated(
        text=message["text"],
        token_ids=tuple(ids),
        margins=tuple(map(float, margins)),
        finish_reason=message["finish_reason"],
        divergence=None if divergence is None else Divergence(**divergence),
    )


def _raise(kind: str, message: str) -> None:
    words = printable(message, MESSAGE_LIMIT)
    if kind == "refused":
        raise EngineRefused(words)
    if kind == "numerics":
        raise EngineFailed(f"the model computed numbers that are not finite: {words}")
    if kind == "memory":
        raise EngineFailed(f"the engine ran out of memory: {words}")
    raise EngineFailed(f"the engine failed: {words}")
