"""Users of the moment: what somebody did just now, in no graph yet, scored without training anything again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gnn.errors import GnnError
from gnn.protocol.events import UNKNOWN, Events, chosen_events
from gnn.protocol.interactions import Interactions
from gnn.serving.recommend import Recommendations

SECOND = 1_000_000
TARGET = "target"
"""Stands for every event that the model predicts."""
Rows = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""User, product and order of events."""


@dataclass(frozen=True)
class Visitors:
    """Histories for lists.

    Attributes:
        ids: a name each, in order of first appearance.
        history: what is known of them, row by row: their events in the graph, where it knows the user, and the new.
        skipped: rows that say nothing to the model, by reason.
    """

    ids: list[str]
    history: Interactions
    skipped: Mapping[str, int]


def visitors_of(table: pd.DataFrame, model: Recommendations, nameless: str = "visitor") -> Visitors:
    """Histories made of a table of events.

    Args:
        table: columns product_id and, where they are there, user_id (none: one visitor), event (none: what the model
            predicts), time (ISO 8601, UTC unless it says otherwise, or epoch seconds) or sequence; without either the
            order of the rows counts, after all that the graph knows of the user.
        model: what will be asked.
        nameless: the id of a visitor without one.

    Raises:
        GnnError: no product_id, or no row that says anything.
    """
    if "product_id" not in table.columns:
        found = ", ".join(map(str, table.columns)) or "none"
        raise GnnError("the events have no column product_id", "--events", f"its columns are {found}")
    users = table["user_id"].astype(str) if "user_id" in table.columns else pd.Series(nameless, table.index)
    ids = list(dict.fromkeys(users))
    products = model.snapshot.nodes["Product"].ids.rows(table["product_id"].astype(str).tolist())
    kinds = _kinds(table, model)
    skipped = {
        "unknown product": int(np.count_nonzero(products < 0)),
        "event that the model does not read": int(np.count_nonzero((kinds == "") & (products >= 0))),
    }
    skipped = {reason: count for reason, count in skipped.items() if count}
    kinds[products < 0] = ""
    if not (kinds != "").any():
        reasons = ", ".join(f"{count} of {reason}" for reason, count in skipped.items()) or "no rows"
        raise GnnError(f"no event says anything to the model: {reasons}", "--events", "name products of the graph")
    place = np.asarray(users.map({name: n for n, name in enumerate(ids)}), dtype=np.int64)
    history = _histories(ids, kinds, (place, products, _order(table, model)), model)
    return Visitors(ids, history, skipped)


def _histories(ids: list[str], kinds: NDArray[np.object_], new: Rows, model: Recommendations) -> Interactions:
    """What the graph knows of the users `ids`, and the new events of each kind."""
    known, clock = model.snapshot.nodes["User"].ids.rows(ids), model.history.clock
    parts: dict[str, Events] = {}
    for kind, before in {TARGET: model.history, **model.history.side}.items():
        at = np.flatnonzero(kinds == kind)
        both = zip(_known(before, known), (array[at] for array in new), strict=True)
        users, items, order = (np.concatenate(pair).astype(np.int64) for pair in both)
        timed, sequenced = clock == "time", clock == "sequence"
        parts[kind] = Events(users, items, order, timed, None, len(ids), before.n_items, sequenced)
    side = {kind: events for kind, events in parts.items() if kind != TARGET and len(events)}
    return Interactions.from_events(parts[TARGET], model.bundle.config.split.half_life_days, side)


def _kinds(table: pd.DataFrame, model: Recommendations) -> NDArray[np.object_]:
    """Per row `TARGET`, the name of a side event, or nothing."""
    if "event" not in table.columns:
        return np.full(len(table), TARGET, dtype=object)
    names = {name: name for name in model.history.side}
    names |= dict.fromkeys(chosen_events(model.snapshot, model.bundle.config.graph.target_events), TARGET)
    return np.asarray([names.get(str(word).strip().lower(), "") for word in table["event"]], dtype=object)


def _order(table: pd.DataFrame, model: Recommendations) -> NDArray[np.int64]:
    """Order of each row: microseconds since 1970 where the known events are timed, else after all of them."""
    known = (model.history, *model.history.side.values())
    after = max(0, *(int(part.last.max(initial=UNKNOWN)) for part in known)) + 1
    times = _times(table) if "time" in table.columns else np.full(len(table), UNKNOWN)
    if model.history.clock == "time":
        return np.where(times == UNKNOWN, np.arange(len(table)) + after, times)
    keys: NDArray[np.generic] = times
    if "time" not in table.columns and "sequence" in table.columns:
        keys = pd.to_numeric(table["sequence"], errors="coerce").fillna(-1).to_numpy(np.float64)
    place = np.argsort(np.argsort(keys, kind="stable"), kind="stable")  # without either: the order of the rows
    return np.asarray(place + after, dtype=np.int64)


def _times(table: pd.DataFrame) -> NDArray[np.int64]:
    """Microseconds since 1970, `UNKNOWN` where a time cannot be read."""
    words = table["time"]
    seconds = pd.to_numeric(words, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    dates = pd.to_datetime(words.where(np.isnan(seconds)), utc=True, errors="coerce", format="ISO8601")
    found = np.full(len(table), UNKNOWN)
    dated = dates.notna().to_numpy()
    micros = dates.dt.as_unit("us").astype("int64").to_numpy()
    found[dated] = micros[dated]
    numbered = ~np.isnan(seconds)
    found[numbered] = (seconds[numbered] * SECOND).astype(np.int64)
    return found


def _known(history: Interactions, users: NDArray[np.int64]) -> Rows:
    """The events of those `users` (rows in the graph, -1: unknown) that a history has, by position in `users`."""
    at = np.flatnonzero(users >= 0)
    some = history.take(users[at])
    log = some.timeline
    owners = np.repeat(np.arange(len(at)), np.diff(log.indptr))
    return at[owners], some.items[log.pairs], log.order
