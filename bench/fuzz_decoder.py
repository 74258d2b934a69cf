"""The judge's decoder under random and mutated frames: CodecError or a value, nothing else, in bounded time.

python bench/fuzz_decoder.py [FRAMES] [SEED]
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pytest_anchorgate.sandbox import codec_format as f
from pytest_anchorgate.sandbox.codec_format import CodecError
from pytest_anchorgate.sandbox.decode import Decoder
from pytest_anchorgate.sandbox.encode import Encoder
from pytest_anchorgate.sandbox.standins import Opaque

_TAGS = [value for name, value in vars(f).items() if isinstance(value, bytes)]
_LIMIT = 2.0


def main() -> int:
    """Fuzz and report once a minute."""
    frames = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    draw = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    started = told = time.monotonic()
    values, slowest = 0, 0.0
    for number in range(frames):
        data = _frame(draw)
        begun = time.monotonic()
        try:
            value = Decoder(iterators=lambda handle: handle, opaque=Opaque).decode(data)
            values += 1
            if number % 64 == 0:
                Encoder(opaque=True).encode(value)
        except CodecError:
            pass
        except BaseException as error:
            print(f"frame {number}: {type(error).__name__}: {error}: {data!r}")
            return 1
        now = time.monotonic()
        if now - begun > _LIMIT:
            print(f"frame {number} took {now - begun:.1f} s: {data[:200]!r} of {len(data)} bytes")
            return 1
        slowest = max(slowest, now - begun)
        if now - told > 60:
            told = now
            print(f"{number + 1} frames", flush=True)
    print(
        f"{frames} frames in {time.monotonic() - started:.0f} s: {values} were values, the rest CodecError, "
        f"slowest {1000 * slowest:.0f} ms"
    )
    return 0


def _frame(draw: random.Random) -> bytes:
    """Bytes that look like a value to a varying degree."""
    kind = draw.random()
    if kind < 0.2:
        return draw.randbytes(draw.randrange(64))
    if kind < 0.6:
        return b"".join(_piece(draw) for _ in range(draw.randrange(1, 24)))
    data = bytearray(Encoder().encode(_value(draw, 0)))
    for _ in range(draw.randrange(4)):
        at = draw.randrange(len(data))
        change = draw.random()
        if change < 0.5:
            data[at] = draw.choice(_TAGS)[0] if draw.random() < 0.5 else draw.randrange(256)
        elif change < 0.75:
            del data[at : at + draw.randrange(1, 9)]
        else:
            data[at:at] = _piece(draw)
        if not data:
            break
    return bytes(data)


def _piece(draw: random.Random) -> bytes:
    count = draw.choice((0, 1, 2, 3, 8, 255, 65536, 2**31, 2**32 - 1))
    return draw.choice(_TAGS) + draw.choice((b"", count.to_bytes(4, "little"), draw.randbytes(8)))


def _value(draw: random.Random, depth: int) -> Any:
    """Plain data of every container kind."""
    if depth > 4 or draw.random() < 0.4:
        return draw.choice(
            (None, True, draw.randrange(-(2**70), 2**70), draw.random(), "aé", b"x", 1j, range(3))
        )
    items = [_value(draw, depth + 1) for _ in range(draw.randrange(4))]
    kind = draw.randrange(6)
    if kind == 0:
        return items
    if kind == 1:
        return tuple(items)
    if kind == 2:
        return dict(enumerate(items))
    if kind == 3:
        return set(range(len(items)))
    return (
        frozenset(map(str, range(len(items)))) if kind == 4 else {str(item): item for item in items}.items()
    )


if __name__ == "__main__":
    sys.exit(main())
