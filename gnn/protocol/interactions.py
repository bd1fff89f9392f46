"""The distinct (user, product) pairs of events, with the events of each user in order behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.protocol.events import DAY, UNKNOWN, Clock, Events

CLOCKS: tuple[Clock, ...] = ("none", "time", "sequence")
_PAIRS = ("indptr", "items", "counts", "recent", "first", "last")


@dataclass(frozen=True)
class Log:
    """Events of every user in their order; e events.

    Attributes:
        indptr: where each user's events begin, int64, shape (n_users + 1,).
        pairs: the pair of each event, a position in the interactions, int64, shape (e,).
        order: as `Events.order`, ascending within a user, int64, shape (e,).
    """

    indptr: NDArray[np.int64]
    pairs: NDArray[np.int64]
    order: NDArray[np.int64]


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
        log: the events; None where every pair has one, which `timeline` then tells.
        side: pairs of other behaviours (view, cart, …) of the same users, known at the same time, by event name.
        until: instant before which all of this happened, in microseconds since 1970; None: no such instant is known.
        clock: what orders are; those of `none` compare with nothing.
    """

    indptr: NDArray[np.int64]
    items: NDArray[np.int64]
    counts: NDArray[np.float32]
    recent: NDArray[np.float32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    n_items: int
    log: Log | None = None
    side: Mapping[str, Interactions] = field(default_factory=dict)
    until: int | None = None
    clock: Clock = "none"

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

    @cached_property
    def timeline(self) -> Log:
        """Every user's events in order; events of one order stand by product."""
        if self.log is not None:
            return self.log
        pairs = np.lexsort((self.items, self.last, self.users))
        return Log(self.indptr, pairs, self.last[pairs])

    def has(self, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each of `keys` (user * n_items + item, any shape) is a pair."""
        return np.asarray(self.positions(keys) >= 0)

    def positions(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """The pair of each of `keys` (any shape), -1: there is none."""
        if not len(self):
            return np.full(keys.shape, -1)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self) - 1)
        return np.where(self.keys[at] == keys, at, -1)

    def matrix(self, values: NDArray[np.float32] | None = None) -> sp.csr_matrix:
        """Sparse (n_users, n_items) float32 matrix of ones, or of `values` (m,)."""
        data = np.ones(len(self), np.float32) if values is None else values
        return sp.csr_matrix((data, self.items, self.indptr), shape=(self.n_users, self.n_items))

    def of(self, user: int) -> NDArray[np.int64]:
        """Product rows of one user, ascending."""
        return self.items[self.indptr[user] : self.indptr[user + 1]]

    def take(self, users: NDArray[np.int64]) -> Interactions:
        """The pairs of `users`, whose positions become the rows; a user may stand there several times."""
        indptr, at = gathered(self.indptr, users)
        log = None
        if self.log is not None:
            bounds, events = gathered(self.log.indptr, users)
            shift = np.repeat(self.indptr[users] - indptr[:-1], np.diff(bounds))
            log = Log(bounds, self.log.pairs[events] - shift, self.log.order[events])
        return self._at(indptr, at, log, {name: part.take(users) for name, part in self.side.items()})

    def where(self, mask: NDArray[np.bool_]) -> Interactions:
        """The pairs where `mask` (m,) holds; every user keeps its row, other behaviours stay."""
        place = np.cumsum(mask) - 1
        indptr = bounds_of(self.users[mask], self.n_users)
        return self._at(indptr, np.flatnonzero(mask), self._log(mask, place), self.side)

    def renamed(self, rows: NDArray[np.int64], n_items: int) -> tuple[Interactions, NDArray[np.int64]]:
        """The pairs in a catalogue where product i stands in row `rows[i]`, -1: it is not there.

        Returns:
            The pairs of products that are there, and the position of each among these pairs.
        """
        kept = np.flatnonzero(rows[self.items] >= 0)
        at = kept[np.lexsort((rows[self.items[kept]], self.users[kept]))]
        place = np.zeros(len(self), np.int64)
        place[at] = np.arange(len(at))
        log = self._log(rows[self.items] >= 0, place)
        side = {name: part.renamed(rows, n_items)[0] for name, part in self.side.items()}
        there = self._at(bounds_of(self.users[at], self.n_users), at, log, side)
        return replace(there, items=rows[there.items], n_items=n_items), at

    def each_left_out(self, pairs: NDArray[np.int64]) -> Interactions:
        """Of one user: as many users as `pairs` (positions), each without one of them."""
        m = len(self)
        copies = self.take(np.zeros(len(pairs), np.int64))
        mask = np.ones(len(pairs) * m, np.bool_)
        mask[np.arange(len(pairs)) * m + pairs] = False
        return copies.where(mask)

    def _log(self, mask: NDArray[np.bool_], place: NDArray[np.int64]) -> Log | None:
        """The events of the pairs where `mask` holds, pair p standing at `place[p]`."""
        if self.log is None:
            return None
        kept = mask[self.log.pairs]
        pairs = self.log.pairs[kept]
        return Log(bounds_of(self.users[pairs], self.n_users), place[pairs], self.log.order[kept])

    def _at(
        self,
        indptr: NDArray[np.int64],
        at: NDArray[np.int64],
        log: Log | None,
        side: Mapping[str, Interactions],
    ) -> Interactions:
        columns = (self.items[at], self.counts[at], self.recent[at], self.first[at], self.last[at])
        return Interactions(indptr, *columns, self.n_items, log, side, self.until, self.clock)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything but `n_items` as named arrays; `from_arrays` reads them."""
        out: dict[str, NDArray[np.generic]] = {name: getattr(self, name) for name in _PAIRS}
        if self.until is not None:
            out["until"] = np.asarray([self.until])
        out["clock"] = np.asarray([CLOCKS.index(self.clock)])
        if self.log is not None:
            out |= {f"log.{name}": value for name, value in vars(self.log).items()}
        for name, part in self.side.items():
            out |= {f"side.{name}.{key}": value for key, value in part.to_arrays().items()}
        return out

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]], n_items: int) -> Interactions:
        """What `to_arrays` gave.

        Raises:
            KeyError: an array is missing.
        """
        log = None
        if "log.pairs" in arrays:
            log = Log(**{name: arrays[f"log.{name}"].astype(np.int64) for name in ("indptr", "pairs", "order")})
        side: dict[str, dict[str, NDArray[np.generic]]] = {}
        for name, value in arrays.items():
            if name.startswith("side."):
                behaviour, _, key = name.removeprefix("side.").partition(".")
                side.setdefault(behaviour, {})[key] = value
        return cls(
            **{name: arrays[name] for name in _PAIRS},  # type: ignore[arg-type]
            n_items=n_items,
            log=log,
            side={name: cls.from_arrays(part, n_items) for name, part in side.items()},
            until=int(arrays["until"][0]) if "until" in arrays else None,
            clock=CLOCKS[int(arrays["clock"][0])],
        )

    @classmethod
    def from_events(
        cls,
        events: Events,
        half_life_days: float = 90.0,
        side: Mapping[str, Events] | None = None,
        until: int | None = None,
    ) -> Interactions:
        """Merge the events of each pair.

        Args:
            events: the events, in any order.
            half_life_days: age at which an event counts half in `recent`.
            side: events of other behaviours, by name.
            until: instant before which all of them happened.
        """
        key = events.users * events.n_items + events.items
        keys, where = np.unique(key, return_inverse=True)
        counts = np.bincount(where, minlength=len(keys)).astype(np.float32)
        first = np.full(len(keys), np.iinfo(np.int64).max)
        last = np.full(len(keys), UNKNOWN)
        np.minimum.at(first, where, events.order)
        np.maximum.at(last, where, events.order)
        log = None
        if len(events) > len(keys):
            at = np.lexsort((events.items, events.order, events.users))
            log = Log(bounds_of(events.users, events.n_users), where[at], events.order[at])
        return cls(
            bounds_of(keys // events.n_items, events.n_users),
            keys % events.n_items,
            counts,
            _recent(events, where, counts, half_life_days),
            first,
            last,
            events.n_items,
            log,
            {name: cls.from_events(part, half_life_days) for name, part in (side or {}).items()},
            until,
            events.clock,
        )


def _recent(
    events: Events, where: NDArray[np.int64], counts: NDArray[np.float32], half_life_days: float
) -> NDArray[np.float32]:
    """Events per pair, each halved per half-life of its age; plain counts without times."""
    if not events.timed or not len(events):
        return counts
    age = (events.order.max() - np.maximum(events.order, events.order.max() - 50 * 365 * DAY)) / DAY
    decayed = np.bincount(where, weights=np.exp2(-age / half_life_days), minlength=len(counts))
    return decayed.astype(np.float32)


def bounds_of(users: NDArray[np.int64], n_users: int) -> NDArray[np.int64]:
    """Where each user's entries begin in a list sorted by user."""
    return np.concatenate([[0], np.cumsum(np.bincount(users, minlength=n_users))]).astype(np.int64)


def gathered(indptr: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bounds of the chosen rows one after another, and the positions of their entries."""
    lengths = np.diff(indptr)[rows]
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return bounds, np.repeat(indptr[rows] - bounds[:-1], lengths) + np.arange(bounds[-1])
