"""Fills the cells of the scoreboard and writes the page from whatever is there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.quality.cells import Cell, load, with_suffix
from bench.quality.datasets import Prepared
from bench.quality.protocols import Protocol, hindrance, seeds_of
from bench.quality.tuned import Budget, base_of, missing, settings_of

Measure = Callable[[Cell, Path], dict[str, Any]]


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        protocols: rows of work, in order.
        models: in order, cheap ones first.
        seeds: for models that depend on one.
        results: holds cells and the settings found.
        code: digest of the code that a model's figures depend on.
        minutes: no new cell is begun after so many; 0: no limit.
        budget: most new cells; 0: any number.
        retry: whether cells that failed are tried again.
        search: what the search of a model's settings may take before its first cell; None: nothing is searched.
    """

    protocols: Sequence[Protocol]
    models: Sequence[str]
    seeds: int
    results: Path
    code: Callable[[str], str]
    minutes: float = 0.0
    budget: int = 0
    retry: bool = False
    search: Budget | None = None

    @property
    def cells(self) -> Path:
        """Folder of the cells."""
        return self.results / "cells"


def wanted(plan: Plan, prepare: Callable[[Protocol], Prepared]) -> Iterator[Cell]:
    """The plan's cells: first every model with its first seed, then the further seeds."""
    ready: dict[str, Prepared] = {}
    for seed in range(plan.seeds):
        for protocol in plan.protocols:
            for model in plan.models:
                if seed in seeds_of(model, plan.seeds) and not hindrance(model, protocol):
                    if protocol.data not in ready:
                        ready[protocol.data] = prepare(protocol)
                    data = ready[protocol.data]
                    tuned = settings_of(protocol, data, model, plan.results)
                    yield Cell(protocol, model, seed, data, plan.code(model), tuned)


def search_all(
    plan: Plan,
    prepare: Callable[[Protocol], Prepared],
    run: Callable[[Protocol, str, Budget, Path], Mapping[str, Any]],
    say: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Search the settings of the plan's models, each with the plan's budget; returns how many were searched."""
    if plan.search is None:
        return 0
    began, done = clock(), 0
    protocols = {base_of(protocol).name: base_of(protocol) for protocol in plan.protocols}
    for protocol in protocols.values():
        for model in missing(protocol, prepare(protocol), plan.models, plan.search, plan.results):
            if plan.minutes and clock() - began > 60 * plan.minutes:
                say(f"stopped: {plan.minutes:g} minutes are over")
                return done
            record = run(protocol, model, plan.search, plan.results)
            done += 1
            outcome = record.get("reason") or f"{record['trials']} trials, {json.dumps(record['settings'])}"
            say(f"{protocol.name}, {model}: {outcome}")
    return done


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
