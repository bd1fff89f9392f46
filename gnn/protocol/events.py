"""Target events of a snapshot and the distinct (user, product) pairs made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gnn.errors import GnnError
from kg.schema import EVENT_TYPES
from kg.snapshot import Snapshot

DAY = 86_400_000_000
"""Microseconds."""
UNKNOWN = np.iinfo(np.int64).min
"""Order of an event without a time: before all others."""
Clock = Literal["time", "sequence", "none"]
"""What an order is: microseconds since 1970, the users' own sequence numbers, or nothing that anybody vouches for."""


@dataclass(frozen=True)
class Events:
    """Events as parallel arrays of one length n.

    Attributes:
        users: rows of the users, int64.
        items: rows of the products, int64.
        order: int64; microseconds since 1970 where `timed`, else the user's sequence number or the position.
        timed: whether `order` is a time.
        label: split label of each event (train, valid, test or empty), None where the column is absent.
        n_users: users of the snapshot.
        n_items: products of the snapshot.
        sequenced: whether `order` holds the users' own sequence numbers, which compare across behaviours.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    order: NDArray[np.int64]
    timed: bool
    label: NDArray[np.str_] | None
    n_users: int
    n_items: int
    sequenced: bool = False

    def __len__(self) -> int:
        return len(self.users)

    @property
    def clock(self) -> Clock:
        """What `order` is."""
        return "time" if self.timed else "sequence" if self.sequenced else "none"

    def where(self, mask: NDArray[np.bool_]) -> Events:
        """The events where `mask` (n,) holds."""
        label = None if self.label is None else self.label[mask]
        return replace(self, users=self.users[mask], items=self.items[mask], order=self.order[mask], label=label)

    def plus(self, other: Events) -> Events:
        """These events and `other`'s."""
        label = None
        if self.label is not None and other.label is not None:
            label = np.concatenate([self.label, other.label])
        users, items, order = (
            np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("users", "items", "order")
        )
        return replace(self, users=users, items=items, order=order, label=label)


def read_events(snapshot: Snapshot, targets: Sequence[str], split_column: str = "split") -> Events:
    """The events to be predicted.

    Args:
        snapshot: the graph.
        targets: event names; empty: purchases, else reviews, else every event but returns.
        split_column: event property with split labels.

    Raises:
        GnnError: an unknown event name, or no event.
    """
    parts = [_read(snapshot, name, split_column) for name in chosen_events(snapshot, targets)]
    parts = [p for p in parts if len(p)]
    if not parts:
        wanted = ", ".join(targets) or "of any kind"
        raise GnnError(f"the graph has no events ({wanted})", "graph.target_events", "load events, or name other ones")
    timed = any(p.timed for p in parts)
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.plus(part)
    return replace(whole, timed=timed, sequenced=all(p.sequenced for p in parts))


def read_side(
    snapshot: Snapshot, targets: Sequence[str], names: Sequence[str], split_column: str = "split"
) -> dict[str, Events]:
    """Events of the behaviours `names` beside the ones to be predicted, by name; those without events are left out.

    Raises:
        GnnError: an unknown event name.
    """
    _known(names, "graph.side_events")
    predicted = chosen_events(snapshot, targets)
    found = {name: _read(snapshot, name, split_column) for name in names if name not in predicted}
    return {name: events for name, events in found.items() if len(events)}


def _known(names: Sequence[str], key: str) -> None:
    for name in names:
        if name not in EVENT_TYPES:
            raise GnnError(f"unknown event {name!r}", key, f"known are {', '.join(EVENT_TYPES)}")


def chosen_events(snapshot: Snapshot, targets: Sequence[str]) -> list[str]:
    """Names of the events to be predicted.

    Raises:
        GnnError: an unknown event name.
    """
    _known(targets, "graph.target_events")
    if targets:
        return list(targets)
    for name in ("purchase", "review"):
        table = snapshot.edges.get(("User", EVENT_TYPES[name], "Product"))
        if table is not None and len(table):
            return [name]
    return [name for name in EVENT_TYPES if name != "return"]


def _read(snapshot: Snapshot, name: str, split_column: str) -> Events:
    n_users, n_items = len(snapshot.nodes["User"]), len(snapshot.nodes["Product"])
    none = np.zeros(0, np.int64)
    table = snapshot.edges.get(("User", EVENT_TYPES[name], "Product"))
    if table is None or not len(table):
        return Events(none, none, none, False, np.zeros(0, np.str_), n_users, n_items)
    order, timed, sequenced = table.at(), True, False
    if order is None:
        sequenced = "sequence" in table.columns.column_names and table.columns["sequence"].null_count < len(table)
        order, timed = _sequence(table.columns) if sequenced else np.arange(len(table), dtype=np.int64), False
    label = None
    if split_column in table.columns.column_names:
        label = np.asarray(pc.fill_null(table.columns[split_column].cast(pa.string()), "").to_pylist(), dtype=np.str_)
    return Events(np.asarray(table.src), np.asarray(table.dst), order, timed, label, n_users, n_items, sequenced)


def _sequence(columns: pa.Table) -> NDArray[np.int64]:
    return np.asarray(pc.fill_null(columns["sequence"], UNKNOWN).to_numpy(), dtype=np.int64)
