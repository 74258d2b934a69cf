"""Client of the engine host: a child process that holds the model, a deadline, and typed ways to fail.

The model never lives in this process: a crash, an `exit(0)` or a hang in native code must not be able to look
like a PASS.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pytest_anchorgate.frames import FrameError, FrameReader, pack_frame
from pytest_anchorgate.wire import is_margins, is_token_ids, printable

# Isolated and without site: the child starts with the standard library alone, so that a `json.py` among a
# user's tests, which pytest puts in front of everything else, cannot take its place; the rest comes behind.
_START = (
    "import sys; sys.path += sys.argv[1:-1]; "
    "from pytest_anchorgate.engine_host import main; sys.exit(main(sys.argv[-1:]))"
)
_STDERR_TAIL = 4096
_LAST_LINES = 5
_MESSAGE = 600
_GRACE_SECONDS = 5.0
# What Python, the dynamic linker and sanitizers need, and the choice of kernels, which does not change a bit.
_KEPT_VARIABLES = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "ANCHORGATE_ISA"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS"),
)


class EngineError(RuntimeError):
    """The engine gave no answer; the message says why, in one line. Nothing is known about the pack."""


class EngineCrashed(EngineError):
    """The host ended by a signal or with an exit status, or spoke nonsense."""


class EngineTimeout(EngineError):
    """The deadline passed; the host was killed."""


class EngineFailed(EngineError):
    """The host reported a failure of its own: numbers that are not finite, memory that is not there."""


class EngineRefused(ValueError):
    """The runtime refused the pack: the user's matter, not an undecided run."""


@dataclass(frozen=True, slots=True)
class Request:
    """One batch.

    Attributes:
        prompts: user prompts; the pack's template is applied to them.
        expected: for each prompt production's tokens, where they are known.
        threads: None lets the runtime choose.
    """

    pack: Path
    prompts: Sequence[str]
    max_new_tokens: Sequence[int]
    expected: Sequence[Sequence[int] | None]
    threads: int | None = None


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


def generate(
    request: Request, *, timeout: float, listener: Listener, command: Sequence[str] | None = None
) -> Generation:
    """Runs one batch in a fresh child process and waits for it.

    Args:
        request: the pack and the prompts.
        timeout: seconds for loading and generating together.
        listener: told about progress, in this thread.
        command: the child's command line without the descriptor, for tests of this client.

    Raises:
        EngineRefused: the pack is not one, or cannot be read.
        EngineCrashed, EngineTimeout, EngineFailed: there is no answer; see there.
    """
    with _Host(command or _command(), timeout) as host:
        host.request(pack_frame(_message(request)))
        return _collect(host, request, listener)


def _message(request: Request) -> dict[str, Any]:
    return {
        "pack": str(request.pack),
        "threads": request.threads,
        "prompts": list(request.prompts),
        "max_new_tokens": list(request.max_new_tokens),
        "expected": [None if ids is None else list(ids) for ids in request.expected],
    }


def _collect(host: _Host, request: Request, listener: Listener) -> Generation:
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
        raise EngineCrashed(f"the engine spoke nonsense: {printable(str(error), _MESSAGE)}") from None


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
    words = printable(message, _MESSAGE)
    if kind == "refused":
        raise EngineRefused(words)
    if kind == "numerics":
        raise EngineFailed(f"the model computed numbers that are not finite: {words}")
    raise EngineFailed(f"the engine failed: {words}")


class _Host:
    """The child process and its three pipes, all non-blocking, so that one deadline covers every wait."""

    def __init__(self, command: Sequence[str], timeout: float) -> None:
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._reader = FrameReader()
        self._messages: list[dict[str, Any]] = []
        self._stderr = b""
        self._to_send = memoryview(b"")
        self._frames, theirs = os.pipe()  # not inheritable: only this child gets the other end
        try:
            self._process = subprocess.Popen(
                [*command, str(theirs)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs,),
                env=_environment(),
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            os.close(self._frames)
            raise
        finally:
            os.close(theirs)
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        self._stdin, self._errors = self._process.stdin.fileno(), self._process.stderr.fileno()
        self._selector = selectors.DefaultSelector()
        for descriptor in (self._frames, self._errors, self._stdin):
            os.set_blocking(descriptor, False)
        self._selector.register(self._frames, selectors.EVENT_READ)
        self._selector.register(self._errors, selectors.EVENT_READ)

    def __enter__(self) -> _Host:
        return self

    def __exit__(self, *_: object) -> None:
        # The group first: while the leader is not reaped, its number cannot belong to anyone else.
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._selector.close()
        os.close(self._frames)
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def request(self, frame: bytes) -> None:
        """Queues the request; it leaves while messages are awaited. The pipe stays open as a sign of life."""
        self._to_send = memoryview(frame)
        self._selector.register(self._stdin, selectors.EVENT_WRITE)

    def receive(self) -> dict[str, Any]:
        """The next message.

        Raises:
            EngineTimeout: the deadline passed first.
            EngineCrashed: the host ended first.
        """
        while not self._messages:
            left = self._deadline - time.monotonic()
            ready = self._selector.select(max(left, 0)) if left > 0 else []
            if not ready and time.monotonic() >= self._deadline:
                raise EngineTimeout(f"the engine was not done within {self._timeout:g} s and was killed")
            for key, _ in ready:
                self._serve(key.fd)
        return self._messages.pop(0)

    def _serve(self, descriptor: int) -> None:
        if descriptor == self._stdin:
            self._send()
            return
        data = os.read(descriptor, 1 << 16)
        if descriptor == self._errors:
            self._stderr = (self._stderr + data)[-_STDERR_TAIL:]
            if not data:
                self._selector.unregister(descriptor)
        elif data:
            self._messages.extend(self._reader.feed(data))
        elif not self._messages:
            raise EngineCrashed(self._last_words())

    def _send(self) -> None:
        try:
            self._to_send = self._to_send[os.write(self._stdin, self._to_send) :]
        except BrokenPipeError:
            self._to_send = memoryview(b"")  # it died; the end of the frames will say so
        if not self._to_send:
            self._selector.unregister(self._stdin)

    def _last_words(self) -> str:
        """How the host ended, and the end of what it wrote to standard error."""
        try:
            status = self._process.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            how = "closed its pipe and did not end"
        else:
            how = f"ended with exit status {status}"
            if status < 0:
                how = f"was killed by signal {-status} ({_signal_name(-status)})"
        with contextlib.suppress(BlockingIOError):
            self._stderr = (self._stderr + os.read(self._errors, 1 << 16))[-_STDERR_TAIL:]
        tail = [line for line in self._stderr.decode("utf-8", errors="replace").splitlines() if line.strip()]
        said = " | ".join(line.strip() for line in tail[-_LAST_LINES:])
        return f"the engine {how}" + (f": {printable(said, _MESSAGE)}" if said else "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _command() -> list[str]:
    """The child's command line; it imports this very package, wherever that lies and however it was found."""
    paths = [Path(__file__).parents[1], *map(Path, sys.path)]
    return [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", _START, *(str(p.absolute()) for p in paths)]


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
