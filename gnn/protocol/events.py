"""Target events of a snapshot and the distinct (user, product) pairs made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.errors import GnnError
from kg.schema import EVENT_TYPES
from kg.snapshot import Snapshot

DAY = 86_400_000_000
"""Microseconds."""
UNKNOWN = np.iinfo(np.int64).min
"""Order of an event without a time: before all others."""


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
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    order: NDArray[np.int64]
    timed: bool
    label: NDArray[np.str_] | None
    n_users: int
    n_items: int

    def __len__(self) -> int:
        return len(self.users)

    def where(self, mask: NDArray[np.bool_]) -> Events:
        """The events where `mask` (n,) holds."""
        label = None if self.label is None else self.label[mask]
        return Events(
            self.users[mask], self.items[mask], self.order[mask], self.timed, label, self.n_users, self.n_items
        )

    def plus(self, other: Events) -> Events:
        """These events and `other`'s."""
        label = None
        if self.label is not None and other.label is not None:
            label = np.concatenate([self.label, other.label])
        return Events(
            np.concatenate([self.users, other.users]),
            np.concatenate([self.items, other.items]),
            np.concatenate([self.order, other.order]),
            self.timed,
            label,
            self.n_users,
            self.n_items,
        )


@dataclass(frozen=True)
class Interactions:
    """Distinct (user, product) pairs, sorted by user, then product; m pairs.

    Attributes:
        indptr: where each user's pairs begin, int64, shape (n_users + 1,).
        items: product rows, int64, shape (m,).
        counts: events per pair, float32, shape (m,).
        recent: events per pair, each halved per half-life of its age at the newest event; float32, shape (m,).
        first: smallest order among the pair's events, int64, shape (m,).
        last: largest order, int64, shape (m,).
        n_items: products of the snapshot.
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int64]
    counts: NDArray[np.float32]
    recent: NDArray[np.float32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    n_items: int

    @property
    def n_users(self) -> int:
        """Rows, users without pairs included."""
        return len(self.indptr) - 1

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def users(self) -> NDArray[np.int64]:
        """User row of each pair, shape (m,)."""
        return np.repeat(np.arange(self.n_users), np.diff(self.indptr))

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """User * n_items + item of each pair: ascending, shape (m,)."""
        return self.users * self.n_items + self.items

    @cached_property
    def buyers(self) -> NDArray[np.int64]:
        """Distinct users per product, shape (n_items,)."""
        return np.bincount(self.items, minlength=self.n_items).astype(np.int64)

    def has(self, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each of `keys` (user * n_items + item, any shape) is a pair."""
        if not len(self):
            return np.zeros(keys.shape, np.bool_)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self) - 1)
        return np.asarray(self.keys[at] == keys)

    def matrix(self, values: NDArray[np.float32] | None = None) -> sp.csr_matrix:
        """Sparse (n_users, n_items) float32 matrix of ones, or of `values` (m,)."""
        data = np.ones(len(self), np.float32) if values is None else values
        return sp.csr_matrix((data, self.items, self.indptr), shape=(self.n_users, self.n_items))

    def of(self, user: int) -> NDArray[np.int64]:
        """Product rows of one user, ascending."""
        return self.items[self.indptr[user] : self.indptr[user + 1]]

    def take(self, users: NDArray[np.int64]) -> Interactions:
        """The pairs of `users`, whose positions become the rows."""
        lengths = np.diff(self.indptr)[users]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        at = np.repeat(self.indptr[users] - indptr[:-1], lengths) + np.arange(indptr[-1])
        return self._at(indptr, at)

    def where(self, mask: NDArray[np.bool_]) -> Interactions:
        """The pairs where `mask` (m,) holds; every user keeps its row."""
        lengths = np.bincount(self.users[mask], minlength=self.n_users)
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return self._at(indptr, np.flatnonzero(mask))

    def _at(self, indptr: NDArray[np.int64], at: NDArray[np.int64]) -> Interactions:
        return Interactions(
            indptr, self.items[at], self.counts[at], self.recent[at], self.first[at], self.last[at], self.n_items
        )

    @classmethod
    def from_events(cls, events: Events, half_life_days: float = 90.0) -> Interactions:
        """Merge the events of each pair."""
        key = events.users * events.n_items + events.items
        keys, where = np.unique(key, return_inverse=True)
        counts = np.bincount(where, minlength=len(keys)).astype(np.float32)
        recent = counts
        if events.timed and len(events):
            age = (events.order.max() - np.maximum(events.order, events.order.max() - 50 * 365 * DAY)) / DAY
            decayed = np.bincount(where, weights=np.exp2(-age / half_life_days), minlength=len(keys))
            recent = decayed.astype(np.float32)
        first = np.full(len(keys), np.iinfo(np.int64).max)
        last = np.full(len(keys), UNKNOWN)
        np.minimum.at(first, where, events.order)
        np.maximum.at(last, where, events.order)
        lengths = np.bincount(keys // events.n_items, minlength=events.n_users)
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(indptr, keys % events.n_items, counts, recent, first, last, events.n_items)


def read_events(snapshot: Snapshot, targets: Sequence[str], split_column: str = "split") -> Events:
    """The events to be predicted.

    Args:
        snapshot: the graph.
        targets: event names; empty: purchases, else reviews, else every event but returns.
        split_column: event property with split labels.

    Raises:
        GnnError: an unknown event name, or no event.
    """
    parts = [_read(snapshot, name, split_column) for name in _chosen(snapshot, targets)]
    parts = [p for p in parts if len(p)]
    if not parts:
        wanted = ", ".join(targets) or "of any kind"
        raise GnnError(f"the graph has no events ({wanted})", "graph.target_events", "load events, or name other ones")
    timed = any(p.timed for p in parts)
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.plus(part)
    return Events(whole.users, whole.items, whole.order, timed, whole.label, whole.n_users, whole.n_items)


def _chosen(snapshot: Snapshot, targets: Sequence[str]) -> list[str]:
    for name in targets:
        if name not in EVENT_TYPES:
            raise GnnError(f"unknown event {name!r}", "graph.target_events", f"known are {', '.join(EVENT_TYPES)}")
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
    order, timed = table.at(), True
    if order is None:
        order, timed = _sequence(table.columns), False
    label = None
    if split_column in table.columns.column_names:
        label = np.asarray(pc.fill_null(table.columns[split_column].cast(pa.string()), "").to_pylist(), dtype=np.str_)
    return Events(np.asarray(table.src), np.asarray(table.dst), order, timed, label, n_users, n_items)


def _sequence(columns: pa.Table) -> NDArray[np.int64]:
    """The sequence numbers, or the positions where there are none."""
    if "sequence" in columns.column_names and columns["sequence"].null_count < len(columns):
        return np.asarray(pc.fill_null(columns["sequence"], UNKNOWN).to_numpy(), dtype=np.int64)
    return np.arange(len(columns), dtype=np.int64)
