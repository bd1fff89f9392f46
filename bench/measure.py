"""Run a command and say how long it took and how much memory its processes held at most."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

MIB = 2**20


@dataclass(frozen=True)
class Measured:
    """One finished command.

    Attributes:
        seconds: wall-clock time.
        peak_mib: greatest sum of resident memory of the process and its children, sampled 10 times a second.
        stdout: what it printed.
    """

    seconds: float
    peak_mib: float
    stdout: str


def _resident(process: psutil.Process) -> int:
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.Error:
        pass  # it ended between two looks
    return total


def run(command: list[str], environment: dict[str, str] | None = None) -> Measured:
    """Run `command`.

    Raises:
        RuntimeError: it failed; the message ends with its last error lines.
    """
    began = time.perf_counter()
    env = os.environ | (environment or {})
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        peak = 0
        ended = threading.Event()

        def watch() -> None:
            nonlocal peak
            watched = psutil.Process(process.pid)
            while not ended.wait(0.1):
                peak = max(peak, _resident(watched))

        watcher = threading.Thread(target=watch)
        watcher.start()
        stdout, stderr = process.communicate()
        ended.set()
        watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}: {stderr[-600:]}")
    return Measured(time.perf_counter() - began, peak / MIB, stdout)


def write_report(report: dict[str, Any], out: Path) -> None:
    """Write a report as JSON and say where."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=1))
    print(f"\nwritten to {out}")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import platform

    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "processor": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": gpu,
    }
