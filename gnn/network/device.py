"""Where and how training computes: device, precision and CPU threads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gnn.config import TrainConfig
from gnn.errors import GnnError


def choose_device(config: TrainConfig) -> torch.device:
    """The device that `config.device` means.

    Raises:
        GnnError: CUDA is asked for and not there.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise GnnError("there is no CUDA device", "train.device", "use train.device=cpu or auto")
    wanted = config.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def choose_precision(config: TrainConfig, device: torch.device) -> torch.dtype:
    """Type of the scoring product: bf16 on CUDA unless the settings say otherwise."""
    if config.precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if config.precision == "bf16" else torch.float32


@contextmanager
def cpu_threads(wanted: int) -> Iterator[int]:
    """Run with `wanted` CPU threads; 0: one or torch's own number, whichever multiplies faster just now."""
    before = torch.get_num_threads()
    chosen = wanted or _faster(before)
    torch.set_num_threads(chosen)
    try:
        yield chosen
    finally:
        torch.set_num_threads(before)


def _faster(most: int) -> int:
    if most == 1:
        return 1
    seconds = {}
    x = torch.ones(256, 64)
    y = torch.ones(64, 16384)
    for threads in (1, most):
        torch.set_num_threads(threads)
        best = float("inf")
        for _ in range(6):
            start = time.perf_counter()
            torch.logsumexp(x @ y, 1)
            best = min(best, time.perf_counter() - start)
        seconds[threads] = best
    return min(seconds, key=lambda n: seconds[n])
