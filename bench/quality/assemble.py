"""From the cells on disk to the sections of the page; nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.quality.cells import ALONE, REFIT, REFIT_ALONE, TASKS, Cell, per_user
from bench.quality.datasets import Prepared
from bench.quality.figures import Measured, rows
from bench.quality.page import Search, Section, Table
from bench.quality.protocols import Protocol, hindrance, seeds_of
from bench.quality.tuned import found, settings_of
from gnn.protocol.tasks import NEW

TITLES = {NEW: "New products", "next-purchase": "Next purchase, repeats allowed"}
NOT_YET = "not measured yet"
CUT_OFF = "its time was over before its own rule would have ended training: more epochs might do better"


@dataclass(frozen=True)
class Kept:
    """A cell as it lies on disk.

    Attributes:
        stem: its files without suffix.
        record: what it says.
        current: whether the code is still that of the measurement.
        data: what it was measured on.
        peer: whether another tool made the lists.
    """

    stem: Path
    record: Mapping[str, Any]
    current: bool
    data: Prepared
    peer: bool = False

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.record["model"])

    @property
    def measured(self) -> str:
        """When; cells of before know the day alone."""
        return str(self.record.get("at", self.record["date"]))

    def cost(self, key: str) -> float | None:
        """Seconds or MiB, None where nobody has said."""
        value: float | None = (self.record["training"] if self.peer else self.record).get(key)
        return value

    def frame(self, task: str, part: str) -> Any:
        """Metrics of every user."""
        return per_user(self.stem, task, self.data.snapshot, part)

    def answered(self, task: str, part: str) -> bool:
        """Whether `part` has figures on a task: there are users, and the model says something about them."""
        said = self.record.get(part, {}).get(task, {})
        return bool(said.get("users")) and "metrics" in said


def kept_cells(
    protocol: Protocol, data: Prepared, models: Sequence[str], seeds: int, results: Path, code: Callable[[str], str]
) -> list[Kept]:
    """The cells of a protocol that still hold, one per model and seed.

    A cell holds while graph, text vectors, cold products and the protocol's settings are what they were. One of
    another code, or of other settings of the model, is taken where there is none of the present one: the newest.
    """
    records = [
        (path.with_name(path.name.removesuffix(".json")), json.loads(path.read_text()))
        for path in sorted((results / "cells" / protocol.name).glob("*.json"))
    ]
    kept = []
    for model in models:
        tuned = settings_of(protocol, data, model, results)
        for seed in seeds_of(model, seeds):
            now = Cell(protocol, model, seed, data, code(model), tuned)
            holding = [
                Kept(stem, record, record["inputs"] == json.loads(json.dumps(now.inputs)), data)
                for stem, record in records
                if (record["model"], record["seed"]) == (model, seed) and _holds(record, now)
            ]
            if holding:
                kept.append(max(holding, key=lambda one: (one.current, one.measured, one.stem.name)))
    return kept


def _holds(record: Mapping[str, Any], now: Cell) -> bool:
    same = ("snapshot", "vectors", "cold")
    settings = json.loads(json.dumps(now.protocol.settings))
    return record["settings"] == settings and all(record["inputs"][key] == now.inputs[key] for key in same)


def searches(protocol: Protocol, data: Prepared, models: Sequence[str], results: Path) -> list[Search]:
    """What searches on validation found for the models, in order."""
    known = {model: found(protocol, data, model, results) for model in models}
    return [
        Search(model, r["trials"], r["validation"]["before"], r["validation"]["after"], r["settings"], r["budget"])
        for model, r in known.items()
        if r is not None and "reason" not in r
    ]


def section(
    protocol: Protocol,
    data: Prepared | None,
    models: Sequence[str],
    cells: Sequence[Kept],
    searched: Sequence[Search] = (),
    others: Sequence[str] = (),
) -> Section:
    """A protocol's section from its cells.

    Args:
        protocol: which one.
        data: its data, None where it has not been built.
        models: what the tables list, in order.
        cells: what has been measured, peers included.
        searched: what searches found.
        others: peers that are listed though none of their cells are there.
    """
    tables = []
    for part in (TASKS, ALONE):
        names = dict.fromkeys(name for cell in cells for name in cell.record.get(part, {}))
        for name in names:
            # of repeats, and of the cold alone, a peer's lists say nothing
            peers = [*others, *(cell.model for cell in cells if cell.peer)] if (part, name) == (TASKS, NEW) else []
            tables.append(_table(protocol, data, [*models, *dict.fromkeys(peers)], cells, name, part))
    if not tables:
        reasons = {model: hindrance(model, protocol) or NOT_YET for model in (*models, *others)}
        reasons |= {c.model: str(c.record["reason"]) for c in cells if c.record["status"] == "failed"}
        tables = [Table("", protocol.metrics, [], reasons)]
    on = _measured_on(cells)
    return Section(protocol.name, protocol.about, tables, protocol.published, on, searched, protocol.tuned_on)


def _table(
    protocol: Protocol,
    data: Prepared | None,
    models: Sequence[str],
    cells: Sequence[Kept],
    task: str,
    part: str,
) -> Table:
    again, alone = {TASKS: REFIT, ALONE: REFIT_ALONE}[part], part == ALONE
    measured, missing, remarks = [], {}, {}
    for name in models:
        mine = [cell for cell in cells if cell.model == name]
        done = [cell for cell in mine if cell.answered(task, part)]
        if done:
            measured.append(_measured(name, done, task, part))
            if any(cell.peer and cell.record["training"].get("ended") == "time limit" for cell in done):
                remarks[name] = CUT_OFF
            refits = [cell for cell in done if cell.answered(task, again)]
            measured += [_measured(name, refits, task, again)] if refits else []
        else:
            missing[name] = _reason(name, protocol, mine)
    groups = data.groups if data is not None and not alone else None
    some = next((c.record[part][task] for c in cells if task in c.record.get(part, {})), None)
    return Table(
        _title(task, alone),
        protocol.metrics,
        rows(measured, protocol.metrics, groups, () if alone else protocol.slices, unvalidated=alone),
        missing,
        _facts(some) if some else "",
        () if alone else protocol.slices,
        remarks,
    )


def _measured(name: str, done: Sequence[Kept], task: str, part: str) -> Measured:
    values = [cell.record["validation"].get(task) for cell in done]
    return Measured(
        name,
        [cell.frame(task, part) for cell in done],
        [float(value) for value in values if value is not None],
        _known(cell.cost("seconds" if cell.peer else "cpu_seconds") for cell in done),
        _known(cell.cost("peak_mib") for cell in done),
        [cell.record[part][task]["slices"] for cell in done],
        all(cell.current for cell in done),
        done[0].peer,
        part in (REFIT, REFIT_ALONE),
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [float(value) for value in values if value is not None]


def _reason(name: str, protocol: Protocol, mine: Iterable[Kept]) -> str:
    failed = [str(cell.record["reason"]) for cell in mine if cell.record["status"] == "failed"]
    silent = ["it says nothing about this question"] if any(cell.record["status"] == "done" for cell in mine) else []
    return next(iter([*failed, *silent]), hindrance(name, protocol) or NOT_YET)


def _title(task: str, alone: bool) -> str:
    return f"{TITLES.get(task, task)}{', cold products alone' if alone else ''}"


def _facts(task: Mapping[str, Any]) -> str:
    cold = f" ({task['cold_users']:,} more have no history)" if task["cold_users"] else ""
    return (
        f"{task['users']:,} users are asked{cold}, {task['candidates']:,} candidates, "
        f"{task['relevant']:,} relevant products."
    )


def _measured_on(cells: Sequence[Kept]) -> list[str]:
    """A line per machine, with the days."""
    days: dict[str, set[str]] = {}
    for cell in cells:
        if not cell.peer:
            m = cell.record["machine"]
            device = f", {m['gpu']}" if m["gpu"] else ""
            line = f"{m['cores']} cores of {m['processor']}, {m['memory_gib']} GiB{device}, torch {m['torch']}"
            days.setdefault(line, set()).add(str(cell.record["date"]))
    return [f"{line}, {_span(sorted(found))}" for line, found in sorted(days.items())]


def _span(days: Sequence[str]) -> str:
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
