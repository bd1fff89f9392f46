"""What a product is beside its text: numbers, bands, categories and times, as features that the network reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from gnn.config import SignalsConfig
from gnn.errors import GnnError
from gnn.protocol.events import DAY, UNKNOWN, chosen_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.relations import PRODUCT, USER
from ingest.contract import TABLES, Kind, derived_names
from kg.schema import EVENT_TYPES
from kg.snapshot import Snapshot

PAID, SEEN = "paid_price", "first_seen"
"""Signals that are made of the history alone: the mean log of the prices paid, and the days since the first event."""
NEVER = ("recommendable", "stock", "available_until")
"""Columns that are taken by name alone: a rule, and what is known only later."""
NEARLY = 0.999
"""A column that so large a share of the products has, or lacks, as they have or lack events is made of these."""
BOUND = 5.0
"""Deviations beyond which a number is cut."""
Floats = NDArray[np.float64]
Spec = dict[str, Any]
"""How one signal becomes features: `name`, `kind`, and what that needs; JSON-able."""


@dataclass(frozen=True)
class Signals:
    """The features of all products.

    Attributes:
        values: float32, shape (n_items, width).
        specs: how they were made, so that another graph's are made in the same way.
    """

    values: torch.Tensor
    specs: list[Spec]

    @classmethod
    def of(
        cls, snapshot: Snapshot, history: Interactions, config: SignalsConfig, targets: Sequence[str]
    ) -> Signals | None:
        """Settle how each signal is read, and read it; None where there is none.

        Args:
            snapshot: the graph.
            history: what is known; nothing that came later is read.
            config: which signals, and how finely.
            targets: names of the events to be predicted, as in `graph.target_events`.

        Raises:
            GnnError: a column that is not there, or that must not be read.
        """
        specs = []
        for name in _chosen(snapshot, history, config):
            spec = _settled(name, _column(snapshot, history, targets, name), config)
            if spec is not None:
                specs.append(spec)
        if config.columns and not specs:
            what = f"none of {', '.join(config.columns)} tells products apart"
            raise GnnError(what, "model.signals.columns", "name other columns, or set model.signals.use = false")
        return cls.again(snapshot, history, specs, targets) if specs else None

    @classmethod
    def again(cls, snapshot: Snapshot, history: Interactions, specs: Sequence[Spec], targets: Sequence[str]) -> Signals:
        """The same signals of another graph or history; a column that is not there is missing throughout."""
        parts = [_features(spec, _column(snapshot, history, targets, spec["name"])) for spec in specs]
        return cls(torch.from_numpy(np.concatenate(parts, axis=1).astype(np.float32)), list(specs))


def _chosen(snapshot: Snapshot, history: Interactions, config: SignalsConfig) -> list[str]:
    """The names asked for, or all that are fit."""
    fit = _fit(snapshot, config)
    made = [PAID, SEEN] if history.until is not None and history.clock == "time" else []
    if not config.columns:
        return [*fit, *made]
    for name in config.columns:
        if name in derived_names("products") or _of_events(snapshot, name):
            what = f"the product column {name!r} is made of all events, those of the test period too"
            raise GnnError(what, "model.signals.columns", f"take {PAID} for prices, which is made of the history alone")
        if name not in (PAID, SEEN) and not _is_there(snapshot, name):
            known = ", ".join((*fit, PAID, SEEN))
            raise GnnError(f"no product has the column {name!r}", "model.signals.columns", f"use some of {known}")
    return list(config.columns)


def _fit(snapshot: Snapshot, config: SignalsConfig) -> list[str]:
    """Columns that are numbers, times, or words of which there are few, and that no event tells."""
    table = snapshot.nodes[PRODUCT].columns
    texts = {c.name for c in TABLES["products"].columns if c.kind is Kind.TEXT}
    found = []
    for field in table.schema:
        left_out = field.name in NEVER or field.name in texts or field.name in derived_names("products")
        if left_out or table[field.name].null_count == len(table) or _kind(field.type) is None:
            continue
        if _kind(field.type) == "category" and pc.count_distinct(table[field.name]).as_py() > config.most_values:
            continue
        if not _of_events(snapshot, field.name):
            found.append(field.name)
    return sorted(found)


def _is_there(snapshot: Snapshot, name: str) -> bool:
    table = snapshot.nodes[PRODUCT].columns
    return name in table.column_names and table[name].null_count < len(table) and _kind(table[name].type) is not None


def _kind(kind: pa.DataType) -> str | None:
    if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "category"
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return "number"
    return "time" if pa.types.is_timestamp(kind) else None


def _of_events(snapshot: Snapshot, name: str) -> bool:
    """Whether a column has values for just the products that have events: then these are what it was made of.

    That is how Complete Journey's prices come about: whether there is one would tell what sells in the test period.
    """
    table = snapshot.nodes[PRODUCT].columns
    if name not in table.column_names or not 0 < table[name].null_count < len(table):
        return False
    has = np.zeros(len(table), np.bool_)
    for event in EVENT_TYPES.values():
        edges = snapshot.edges.get((USER, event, PRODUCT))
        if edges is not None:
            has[np.asarray(edges.dst)] = True
    return bool((np.asarray(table[name].is_valid()) == has).mean() > NEARLY)


def _column(snapshot: Snapshot, history: Interactions, targets: Sequence[str], name: str) -> pa.Array | Floats:
    """The values of a signal: numbers (NaN: missing) of numbers and of times known, else strings."""
    n = history.n_items
    if name == PAID:
        return _paid(snapshot, history, targets)
    if name == SEEN:
        first = np.full(n, np.iinfo(np.int64).max)
        np.minimum.at(first, history.items, history.first)
        return _days_before(first, first < np.iinfo(np.int64).max, history)
    table = snapshot.nodes[PRODUCT].columns
    if name not in table.column_names:
        return np.full(n, np.nan)
    column = table[name].combine_chunks()
    kind = _kind(column.type)
    if kind == "number":
        values = pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy(zero_copy_only=False)
        return np.sign(values) * np.log1p(np.abs(values))
    if kind == "time":
        micros = pc.fill_null(column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()), 0)
        return _days_before(np.asarray(micros), np.asarray(column.is_valid()), history)
    return column.cast(pa.large_string())


def _days_before(micros: NDArray[np.int64], known: NDArray[np.bool_], history: Interactions) -> Floats:
    """Log of the days from an instant to the history's end; what lies beyond that end is not known yet: NaN."""
    if history.until is None:
        return np.full(len(micros), np.nan)
    read = known & (micros < history.until) & (micros != UNKNOWN)
    days = np.where(read, history.until - np.where(read, micros, 0), 0) / DAY
    return np.where(read, np.log1p(days), np.nan)


def _paid(snapshot: Snapshot, history: Interactions, targets: Sequence[str]) -> Floats:
    """Mean log of the prices of each product's target events before the history's end; NaN without one."""
    sums, counts = np.zeros(history.n_items), np.zeros(history.n_items)
    for event in chosen_events(snapshot, targets):
        table = snapshot.edges.get((USER, EVENT_TYPES[event], PRODUCT))
        at = None if table is None else table.at()
        if table is None or at is None or history.until is None or "price" not in table.columns.column_names:
            continue
        price = pc.fill_null(table.columns["price"].cast(pa.float64()), float("nan")).to_numpy()
        read = np.isfinite(price) & (at < history.until) & (at != UNKNOWN)
        sums += np.bincount(table.dst[read], weights=np.log1p(np.maximum(price[read], 0)), minlength=history.n_items)
        counts += np.bincount(table.dst[read], minlength=history.n_items)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _settled(name: str, values: pa.Array | Floats, config: SignalsConfig) -> Spec | None:
    """How a signal becomes features; None where it says nothing."""
    if not isinstance(values, np.ndarray):
        counts = pc.value_counts(values.drop_null()).to_pylist()
        counts.sort(key=lambda one: (-one["counts"], one["values"]))
        names = [one["values"] for one in counts[: config.most_values]]
        return {"name": name, "kind": "category", "values": names} if len(counts) > 1 or values.null_count else None
    known = values[np.isfinite(values)]
    if not len(known) or (len(known) == len(values) and known.min() == known.max()):
        return None
    # what the history tells of a product must not tell that it is in the history: of a step's own target that is known
    flagged = len(known) < len(values) and name not in (PAID, SEEN)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, config.bands + 1)[1:-1])) if config.bands > 1 else known[:0]
    edges = edges if len(np.unique(known)) > config.bands else known[:0]
    deviation = float(known.std()) or 1.0
    return {
        "name": name, "kind": "number", "mean": float(known.mean()), "deviation": deviation, "edges": edges.tolist(),
        "flagged": bool(flagged),
    }  # fmt: skip


def _features(spec: Mapping[str, Any], values: pa.Array | Floats) -> Floats:
    """Shape (n_items, width of the signal): one per category; or the standardised number, its band, and if missing."""
    if spec["kind"] == "category":
        if isinstance(values, np.ndarray):
            return np.zeros((len(values), len(spec["values"])))
        place = pc.fill_null(pc.index_in(values, value_set=pa.array(spec["values"], values.type)), -1).to_numpy(
            zero_copy_only=False
        )
        return np.asarray(np.eye(len(spec["values"]) + 1)[place][:, :-1])
    if not isinstance(values, np.ndarray):
        values = np.full(len(values), np.nan)
    missing = ~np.isfinite(values)
    number = np.where(missing, 0.0, (np.where(missing, 0, values) - spec["mean"]) / spec["deviation"])
    parts = [np.clip(number, -BOUND, BOUND)[:, None]]
    if spec["edges"]:
        band = np.searchsorted(np.asarray(spec["edges"]), values, side="right")
        many = len(spec["edges"]) + 1
        unknown = 0.0 if spec["flagged"] else 1 / many  # a part of each, so that no sum of bands tells who has none
        parts.append(np.where(missing[:, None], unknown, np.eye(many)[band * ~missing]))
    if spec["flagged"]:
        parts.append(missing[:, None].astype(np.float64))
    return np.concatenate(parts, axis=1)
