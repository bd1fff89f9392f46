"""Measures one cell in a process of its own, so that its memory is its own: python -m bench.quality.one_cell."""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.measure import machine
from bench.quality.cells import Cell, keep, load, run_cell, work_folder
from bench.quality.code import code_digest
from bench.quality.datasets import DATA, prepare
from bench.quality.protocols import PROTOCOLS
from bench.quality.tuned import settings_of
from gnn.model.catalogue import FUSED, NETWORK

CODE_CHANGED = 3
"""Exit status: figures of another code must not be kept under this one."""

Run = Callable[[Cell, Path], dict[str, Any]]
"""Trains and evaluates a cell whose files begin with the path."""


def measure(cell: Cell, stem: Path, run: Run = run_cell) -> dict[str, Any]:
    """Run the cell and keep what came of it; a model that fails is kept with its reason.

    Cells that `run` has measured by the way are kept beside it; what they cost alone is not known, nor what a cell has
    cost whose training goes on from the checkpoint of an earlier process.

    Args:
        cell: what to measure.
        stem: its files without suffix.
        run: measures.
    """
    began, resumed = time.monotonic(), work_folder(stem).exists()
    try:
        outcome = run(cell, stem) | {"status": "done"}
    except Exception as error:  # a fault in one model must not hide the others
        traceback.print_exc()
        outcome = {"status": "failed", "reason": f"{error}" or type(error).__name__}
    for part, record in outcome.pop("within", ()):
        keep(part, part.stem(stem.parent.parent), record | {"status": "done", "machine": machine()})
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = round(used.ru_utime + used.ru_stime, 1)
    outcome |= {
        "peak_mib": peak_mib(),
        "cpu_seconds": None if resumed else cpu,
        "wall_seconds": None if resumed else round(time.monotonic() - began, 1),
        "machine": machine(),
    }
    return keep(cell, stem, outcome)


def unmeasured_within(cell: Cell, folder: Path) -> list[Cell]:
    """The network of a fusion, if it has no cell of its own yet: its training is the same as alone, to the bit."""
    if cell.model != FUSED or NETWORK not in cell.config.fusion.parts:
        return []
    part = replace(cell, model=NETWORK, code=code_digest(NETWORK))
    return [] if load(part.stem(folder)) is not None else [part]


def peak_mib() -> int:
    """Most memory that this program held, in MiB; `getrusage` counts what its parent held at the fork as well."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return round(int(lines["VmHWM"].split()[0]) / 1024)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measure_apart(cell: Cell, stem: Path, cache: Path, results: Path) -> dict[str, Any]:
    """`measure` in a child process; one that dies is kept as failed."""
    words = [sys.executable, "-m", "bench.quality.one_cell", cell.protocol.name, cell.model, str(cell.seed)]
    words += ["--cache", str(cache), "--results", str(results), "--code", cell.code]
    done = subprocess.run(words, check=False)
    if done.returncode == CODE_CHANGED:
        raise SystemExit("the code of the model has changed since the start: run again")
    record = load(stem)
    if record is None or done.returncode:
        died = "killed, most likely for want of memory" if done.returncode == -9 else f"ended with {done.returncode}"
        record = keep(cell, stem, {"status": "failed", "reason": f"the process was {died}", "machine": machine()})
    return record


def main() -> None:
    """Measure the cell that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocol", choices=PROTOCOLS)
    parser.add_argument("model")
    parser.add_argument("seed", type=int)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--code", required=True, help="digest of the model's code that the parent has seen")
    args = parser.parse_args()
    if args.code != code_digest(args.model):
        sys.exit(CODE_CHANGED)
    protocol = PROTOCOLS[args.protocol]
    data = prepare(DATA[protocol.data], cache=args.cache)
    tuned = settings_of(protocol, data, args.model, args.results)
    cell = Cell(protocol, args.model, args.seed, data, args.code, tuned)
    folder = args.results / "cells"
    measure(cell, cell.stem(folder), partial(run_cell, within=unmeasured_within(cell, folder)))


if __name__ == "__main__":
    main()
