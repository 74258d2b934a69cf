"""The child that runs the model: loads one pack once, generates one batch, streams what it has, and ends.

Started by `engine.Engine` with the number of a file descriptor, on which messages leave as frames. On standard
input come two: which pack to load, and what to generate. Standard output is not used, since native code may
print there.

Messages: `loaded` {info}, `progress` {fields of Progress}, `completion` {index, ...}, `done` {seconds,
tokens}, or `error` {kind: "refused" | "numerics" | "memory" | "failed", message}. A pack that is refused is
the user's matter; the rest is undecided.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from pytest_anchorgate.frames import FrameReader, pack_frame
from pytest_anchorgate.strict_json import shortest_float32

if TYPE_CHECKING:
    from pytest_anchorgate.runtime import Completion, Organ, Progress

ORPHANED = 70
_PROGRESS_SECONDS = 0.2


def main(argv: Sequence[str]) -> int:
    """Serves one request; returns 0 if it was answered, also where the answer is an error."""
    descriptor = int(argv[0])
    os.set_inheritable(descriptor, False)
    os.dup2(2, 1)
    frames = _frames(sys.stdin.fileno())
    with os.fdopen(descriptor, "wb", buffering=0) as out:
        _serve(frames, out)
    return 0


def _serve(frames: Iterator[dict[str, Any]], out: BinaryIO) -> None:
    def send(type_: str, **fields: Any) -> None:
        frame = memoryview(pack_frame({"type": type_, **fields}))
        while frame:
            frame = frame[out.write(frame) :]

    start = next(frames, None)
    if start is None:
        raise SystemExit("no request: this program is started by pytest-anchorgate, not by hand")
    from pytest_anchorgate.runtime import NumericsError, OrganError

    try:
        try:
            organ = _load(start)
        except (OrganError, OSError) as error:
            return send("error", kind="refused", message=str(error))
        send("loaded", info={**_plain(organ.info), "runtime_sha256": _runtime_sha256()})
        request = next(frames, None)
        if request is None:
            raise SystemExit(ORPHANED)  # the session ended before it came to a question
        # If the parent is gone, nobody kills this process group: the open standard input is what tells us.
        threading.Thread(target=_end_with_parent, args=(sys.stdin.fileno(),), daemon=True).start()
        _generate(organ, request, send)
    except NumericsError as error:
        send("error", kind="numerics", message=str(error))
    except MemoryError as error:
        send("error", kind="memory", message=str(error))
    except (RuntimeError, ValueError) as error:
        send("error", kind="failed", message=f"{type(error).__name__}: {error}")


def _runtime_sha256() -> str:
    """Digest of the compiled module's file: which build has computed."""
    from pytest_anchorgate import _organ

    return hashlib.sha256(Path(_organ.__file__).read_bytes()).hexdigest()


def _load(start: dict[str, Any]) -> Organ:
    from pytest_anchorgate.runtime import Organ, OrganManager

    os.nice(start["nice"])
    path, threads, name, chunk = (start[key] for key in ("pack", "threads", "organ", "prefill_chunk"))
    if not name:
        given = {} if chunk is None else {"prefill_chunk": chunk}
        return Organ.load(path, threads=threads, **given)
    manager = OrganManager()
    manager.load(name, path, threads=threads)
    return manager.get(name)


def _generate(organ: Organ, request: dict[str, Any], send: Any) -> None:
    last = 0.0
    tokens = 0

    def report(progress: Progress) -> None:
        nonlocal last, tokens
        tokens = progress.generated_tokens
        now = time.monotonic()
        if now - last >= _PROGRESS_SECONDS or progress.finished == progress.total:
            last = now
            send("progress", **dataclasses.asdict(progress))

    started = time.monotonic()
    vocabulary = int(organ.info["vocab_size"])
    # Production's answers as drafts: an unchanged pack is checked in one pass, a changed one decodes from where
    # it parts, and the bits are those of plain decoding (docs/determinism.md).
    drafts = [_known_tokens(expected or (), vocabulary) for expected in request["expected"]]
    completions = organ.generate(request["prompts"], request["max_new_tokens"], drafts, progress=report)
    seconds = time.monotonic() - started
    for index, completion in enumerate(completions):
        expected = request["expected"][index]
        send(
            "completion",
            index=index,
            **_message(completion),
            divergence=_divergence(organ, expected, completion),
        )
    send("done", seconds=seconds, tokens=sum(len(c.token_ids) for c in completions))


def _known_tokens(tokens: Sequence[int], vocabulary: int) -> list[int]:
    """The tokens before the first that this pack does not have: production may be an organ of another kind."""
    return list(itertools.takewhile(lambda token: 0 <= token < vocabulary, tokens))


def _message(completion: Completion) -> dict[str, Any]:
    return {
        "text": completion.text,
        "token_ids": list(completion.token_ids),
        "margins": [shortest_float32(margin) for margin in completion.margins],
        "finish_reason": completion.finish_reason,
    }


def _divergence(
    organ: Organ, expected: Sequence[int] | None, completion: Completion
) -> dict[str, Any] | None:
    """Where the tokens part from production's, and what both say there; only the tokenizer can spell it."""
    actual = completion.token_ids
    if expected is None or list(expected) == list(actual):
        return None
    index = next((i for i, (a, b) in enumerate(zip(expected, actual, strict=False)) if a != b), None)
    if index is None:
        index = min(len(expected), len(actual))
    return {
        "index": index,
        "expected": _spell(organ, expected, index),
        "actual": _spell(organ, actual, index),
    }


def _spell(organ: Organ, ids: Sequence[int], index: int) -> str | None:
    if index >= len(ids):
        return None
    # The baseline may come from a pack with a larger vocabulary.
    with contextlib.suppress(ValueError, RuntimeError, IndexError):
        return bytes(organ.detokenize([ids[index]])).decode("utf-8", errors="replace")
    return f"token {ids[index]}"


def _plain(info: dict[str, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in info.items() if isinstance(value, (str, int, float, bool))}


def _frames(descriptor: int) -> Iterator[dict[str, Any]]:
    reader = FrameReader()
    while chunk := os.read(descriptor, 1 << 16):
        yield from reader.feed(chunk)


def _end_with_parent(descriptor: int) -> None:
    while os.read(descriptor, 1 << 16):
        pass
    os._exit(ORPHANED)
