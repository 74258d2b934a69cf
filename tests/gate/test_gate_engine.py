"""The client of the engine host against hosts that behave badly: each end has its own error."""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from gate_house import House

from pytest_anchorgate.anchors import read_anchors
from pytest_anchorgate.engine import (
    EngineCrashed,
    EngineError,
    EngineFailed,
    EngineProgress,
    EngineRefused,
    EngineTimeout,
    Generation,
    Request,
    generate,
)
from pytest_anchorgate.frames import MAX_FRAME, FrameError, FrameReader, pack_frame

PRELUDE = """
import os, sys, time, json, signal, struct
out = int(sys.argv[1])
def send(**message):
    body = json.dumps(message).encode()
    os.write(out, struct.pack(">I", len(body)) + body)
def loaded():
    send(type="loaded", info={"pack_sha256": "f00"})
def completion(**changes):
    send(**{"type": "completion", "index": 0, "text": "t", "token_ids": [1], "margins": [0.5],
            "finish_reason": "stop", "divergence": None, **changes})
def done():
    send(type="done", seconds=1.5, tokens=1)
"""


class Recorder:
    def __init__(self) -> None:
        self.infos: list[Mapping[str, Any]] = []
        self.steps: list[EngineProgress] = []

    def loaded(self, info: Mapping[str, Any]) -> None:
        self.infos.append(info)

    def progress(self, progress: EngineProgress) -> None:
        self.steps.append(progress)


def run(source: str, *, timeout: float = 30.0, prompt: str = "p") -> Generation:
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(source)]
    request = Request(Path("/none"), [prompt], [8], [None])
    return generate(request, timeout=timeout, listener=Recorder(), command=command)


def test_a_good_host() -> None:
    result = run("loaded(); completion(divergence={'index': 0, 'expected': 'a', 'actual': None}); done()")
    (answer,) = result.completions
    assert (answer.text, answer.token_ids, answer.margins) == ("t", (1,), (0.5,))
    assert answer.divergence is not None
    assert answer.divergence.actual is None
    assert (result.seconds, result.tokens, result.info["pack_sha256"]) == (1.5, 1, "f00")


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", EngineCrashed, "was killed by signal 11 (SIGSEGV)"),
        ("loaded(); os.abort()", EngineCrashed, "was killed by signal 6 (SIGABRT)"),
        ("os._exit(0)", EngineCrashed, "ended with exit status 0"),
        ("loaded(); completion(); os._exit(3)", EngineCrashed, "ended with exit status 3"),
        (
            "sys.stderr.write('first\\nout of \\x1b[1mluck\\n'); os._exit(1)",
            EngineCrashed,
            "status 1: first | out of \\x1b[1mluck",
        ),
        ("os.write(out, b'hello, this is no frame')", EngineCrashed, "spoke nonsense: a message of"),
        (
            "os.write(out, struct.pack('>I', 2) + b'{]')",
            EngineCrashed,
            "spoke nonsense: a message that is not JSON",
        ),
        ("send(type='loaded', info={})", EngineCrashed, "does not say which pack it loaded"),
        ("loaded(); send(type='hm')", EngineCrashed, "an unknown message 'hm'"),
        ("loaded(); completion(margins=[]); done()", EngineCrashed, "token ids and margins do not fit"),
        ("loaded(); completion(token_ids=[-1]); done()", EngineCrashed, "token ids and margins do not fit"),
        ("loaded(); done()", EngineCrashed, "spoke nonsense"),
        ("loaded(); completion(); completion(index=5); done()", EngineCrashed, "2 completions for 1 prompts"),
        ("send(type='error', kind='refused', message='no pack')", EngineRefused, "no pack"),
        (
            "loaded(); send(type='error', kind='numerics', message='layer 3')",
            EngineFailed,
            "not finite: layer 3",
        ),
        (
            "send(type='error', kind='failed', message='MemoryError: ')",
            EngineFailed,
            "the engine failed: MemoryError",
        ),
    ],
)
def test_each_end_has_its_own_words(source: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        run(source)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_hang_ends_at_the_deadline_with_everything_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    started = time.monotonic()
    with pytest.raises(EngineTimeout, match="was not done within 1 s and was killed"):
        run(
            f"""
            child = os.fork()
            if child:
                open({str(pids)!r}, "w").write(f"{{os.getpid()}} {{child}}")
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(1)
            """,
            timeout=1.0,
        )
    assert time.monotonic() - started < 10
    for pid in pids.read_text().split():
        deadline = time.monotonic() + 5
        while Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_host_that_never_reads_a_long_request_meets_the_deadline() -> None:
    with pytest.raises(EngineTimeout):
        run("time.sleep(60)", timeout=0.7, prompt="x" * 1_000_000)


def test_the_host_gets_a_clean_environment_and_no_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "hunter2")
    monkeypatch.setenv("PYTHONHASHSEED", "5")
    kept = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(kept, True)
    try:
        with pytest.raises(EngineFailed) as caught:
            run(
                """
                seen = [sorted(os.environ), os.listdir("/proc/self/fd")]
                send(type="error", kind="failed", message=repr(seen))
                """
            )
    finally:
        os.close(kept)
    assert "A_SECRET" not in str(caught.value)
    assert "PYTHONHASHSEED" not in str(caught.value)
    # Standard streams, the frames, and the descriptor of the listing itself.
    assert str(caught.value).count("'", str(caught.value).index("], [")) == 2 * 5


def test_no_descriptor_stays_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for source in ("loaded(); completion(); done()", "os.abort()"):
        with contextlib.suppress(EngineError):
            run(source)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_real_host(house: House) -> None:
    anchors = read_anchors(house.anchors).anchors
    recorder = Recorder()
    request = Request(
        pack=house.pack("loses"),
        prompts=[anchor.prompt for anchor in anchors],
        max_new_tokens=[anchor.max_new_tokens for anchor in anchors],
        expected=[house.baseline.anchors[anchor.task_id].token_ids for anchor in anchors],
        threads=2,
    )
    result = generate(request, timeout=60, listener=recorder)
    assert recorder.infos[0]["threads"] == 2
    assert recorder.steps[-1].finished == recorder.steps[-1].total == 4
    assert [c.divergence is not None for c in result.completions] == [True, False, False, False]
    for anchor, answer in zip(anchors[1:], result.completions[1:], strict=True):
        recorded = house.baseline.anchors[anchor.task_id]
        assert (answer.text, answer.token_ids, answer.margins) == (
            recorded.text,
            recorded.token_ids,
            recorded.margins,
        )


def test_the_real_host_refuses_what_is_no_pack(tmp_path: Path) -> None:
    (tmp_path / "p.planck").write_bytes(b"nothing")
    with pytest.raises(EngineRefused):
        generate(Request(tmp_path / "p.planck", ["p"], [8], [None]), timeout=60, listener=Recorder())


def test_frames_come_out_of_any_pieces() -> None:
    messages = [{"type": "a", "text": "ü\ud800"}, {}, {"n": [1, 2.5, None]}]
    stream = b"".join(map(pack_frame, messages))
    for size in (1, 3, 1000):
        reader = FrameReader()
        pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
        assert [message for piece in pieces for message in reader.feed(piece)] == messages


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x02[]", (MAX_FRAME + 1).to_bytes(4, "big")]
)
def test_what_is_no_frame_is_an_error(data: bytes) -> None:
    with pytest.raises(FrameError):
        list(FrameReader().feed(data))


def test_frames_hold_no_nan() -> None:
    with pytest.raises(ValueError):
        pack_frame({"margin": float("nan")})


def test_a_relative_path_of_the_pack_is_one_from_here(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(house.root)
    done = generate(Request(Path("production.planck"), ["p"], [4], [None]), timeout=60.0, listener=Recorder())
    assert len(done.completions) == 1
