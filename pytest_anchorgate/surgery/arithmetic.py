"""Device, precision, threads and determinism of a run, and torch as it was afterwards."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from pytest_anchorgate.surgery.config import MachineSettings
from pytest_anchorgate.surgery.errors import SurgeryError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def choose_device(machine: MachineSettings) -> torch.device:
    """The device that the settings ask for. Raises SurgeryError if there is none."""
    has_cuda = torch.cuda.is_available()
    if machine.device == "cuda" and not has_cuda:
        raise SurgeryError("machine.device is cuda, and torch finds no CUDA device here; use auto or cpu")
    return torch.device("cuda" if has_cuda and machine.device != "cpu" else "cpu")


def choose_micro_tokens(given: int, device: torch.device) -> int:
    """How many tokens go through the model together: `given`, or where that is 0 what the device does best.

    A GPU wants much work at once; a CPU wants activations that stay near its caches, and to get by with the memory
    that it has already.
    """
    return given or (16384 if device.type == "cuda" else 1024)


def describe(machine: MachineSettings, device: torch.device) -> list[str]:
    """What the numbers of a run depend on besides its settings: device, precision, torch."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return [name, machine.dtype, "tf32" if machine.tf32 else "ieee", f"torch {torch.__version__}"]


@contextlib.contextmanager
def arithmetic(machine: MachineSettings, device: torch.device) -> Iterator[None]:
    """Sets torch up for a run; whatever was set before is set again at the end."""
    fill = torch.utils.deterministic.fill_uninitialized_memory
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    strict, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    # cuBLAS reads it when its first handle is made: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    try:
        if machine.threads:
            torch.set_num_threads(machine.threads)
        torch.set_float32_matmul_precision("high" if machine.tf32 else "highest")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Every tensor is written before it is read; filling it first would only take time.
        torch.utils.deterministic.fill_uninitialized_memory = False
        with _attention(machine, device):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = fill


def _attention(machine: MachineSettings, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """On CUDA in float32 the memory-efficient kernel's gradient is not deterministic; the plain one is."""
    if device.type != "cuda" or machine.dtype != "float32":
        return contextlib.nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    kernel: contextlib.AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return kernel
