"""Fills the cells of the scoreboard and writes the page from whatever is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.quality.cells import Cell, load, with_suffix
from bench.quality.datasets import Prepared
from bench.quality.protocols import Protocol, hindrance, seeds_of

Measure = Callable[[Cell, Path], dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        protocols: rows of work, in order.
        models: in order, cheap ones first.
        seeds: for models that depend on one.
        cells: folder of the cells.
        code: digest of the model room's code.
        minutes: no new cell is begun after so many; 0: no limit.
        budget: most new cells; 0: any number.
        retry: whether cells that failed are tried again.
    """

    protocols: Sequence[Protocol]
    models: Sequence[str]
    seeds: int
    cells: Path
    code: str
    minutes: float = 0.0
    budget: int = 0
    retry: bool = False


def wanted(plan: Plan, prepare: Callable[[Protocol], Prepared]) -> Iterator[Cell]:
    """The plan's cells: first every model with its first seed, then the further seeds."""
    ready: dict[str, Prepared] = {}
    for seed in range(plan.seeds):
        for protocol in plan.protocols:
            for model in plan.models:
                if seed in seeds_of(model, plan.seeds) and not hindrance(model, protocol):
                    if protocol.data not in ready:
                        ready[protocol.data] = prepare(protocol)
                    yield Cell(protocol, model, seed, ready[protocol.data], plan.code)


def fill(
    plan: Plan,
    prepare: Callable[[Protocol], Prepared],
    measure: Measure,
    say: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Measure the cells that are not there; returns how many were measured.

    Args:
        plan: what is wanted.
        prepare: makes a protocol's data ready.
        measure: trains, evaluates and keeps a cell.
        say: takes a line on each cell.
        clock: seconds.
    """
    began, done = clock(), 0
    for cell in wanted(plan, prepare):
        stem = cell.stem(plan.cells)
        known = load(stem)
        if known is not None and not (plan.retry and known["status"] == "failed"):
            continue
        if plan.budget and done >= plan.budget:
            say(f"stopped: {done} new cells")
            break
        if plan.minutes and clock() - began > 60 * plan.minutes:
            say(f"stopped: {plan.minutes:g} minutes are over")
            break
        with_suffix(stem, ".json").unlink(missing_ok=True)
        record = measure(cell, stem)
        done += 1
        outcome = f"{record['seconds']:g} s" if record["status"] == "done" else f"failed: {record['reason']}"
        say(f"{cell.protocol.name}, {cell.model}, seed {cell.seed}: {outcome}")
    return done
