"""The machine's own limits: FMA peak and read bandwidth, measured by a small C++ program."""

from __future__ import annotations

import json
import platform
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "cpp_bridge" / "bench" / "machine_limits.cc"


@dataclass(frozen=True)
class Machine:
    """One machine as the benchmark found it: `limits` by (threads, vector bytes)."""

    processor: str
    limits: dict[tuple[int, int], dict[str, float]]


def measure(thread_counts: list[int]) -> Machine:
    """Compiles and runs the probe for AVX2, and for AVX-512 where the processor has it.

    `bf16_dot_gflops` is 0 where the processor has no AVX512_BF16.
    """
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    widths = {32: ["-mavx2", "-mfma"]} | ({64: ["-mavx512f", "-mfma"]} if "avx512f" in flags else {})
    if "avx512_bf16" in flags:
        widths[64].append("-mavx512bf16")
    limits = {}
    with tempfile.TemporaryDirectory() as folder:
        for width, options in widths.items():
            program = Path(folder) / f"limits{width}"
            command = ["g++", "-std=c++20", "-O2", "-ffp-contract=fast", f"-DVECTOR_BYTES={width}", *options]
            subprocess.run([*command, "-pthread", str(SOURCE), "-o", str(program)], check=True)
            for threads in thread_counts:
                output = subprocess.run(
                    [program, str(threads)], check=True, capture_output=True, text=True
                ).stdout
                limits[threads, width] = json.loads(output)
    return Machine(_processor(flags), limits)


def _processor(cpuinfo: str) -> str:
    for line in cpuinfo.splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()
