"""Users' events in order, as rows of products that a model knows, cut into stretches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.interactions import Interactions, bounds_of


@dataclass(frozen=True)
class Stretches:
    """Events one stretch after another, t events in s stretches.

    Attributes:
        rows: product of each event, int64, shape (t,).
        kinds: its behaviour, as in `Sequences`, shape (t,).
        stretch: the stretch that it belongs to, ascending, shape (t,).
        step: its place there from 0, shape (t,).
        lengths: events of each stretch, shape (s,).
    """

    rows: NDArray[np.int64]
    kinds: NDArray[np.int64]
    stretch: NDArray[np.int64]
    step: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @staticmethod
    def cut(events: Sequences, begin: NDArray[np.int64], lengths: NDArray[np.int64]) -> Stretches:
        """The stretches of `events` that begin at `begin` (s,)."""
        stretch = np.repeat(np.arange(len(begin)), lengths)
        step = np.arange(len(stretch)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        at = begin[stretch] + step
        return Stretches(events.rows[at], events.kinds[at], stretch, step, lengths)


@dataclass(frozen=True)
class Sequences:
    """Events of known products, user by user in order; e events.

    Attributes:
        indptr: where each user's events begin, int64, shape (n_users + 1,).
        rows: product of each event in the model's own rows, int64, shape (e,).
        order: equal for events of one basket, ascending within a user, int64, shape (e,).
        kinds: 0 for a target event, n for the n-th of the other behaviours, int64, shape (e,).
    """

    indptr: NDArray[np.int64]
    rows: NDArray[np.int64]
    order: NDArray[np.int64]
    kinds: NDArray[np.int64]

    @staticmethod
    def of(histories: Interactions, place: NDArray[np.int64], others: Sequence[str] = ()) -> Sequences:
        """The timelines of `histories`; events of products whose `place` (n_items,) is -1 are skipped.

        Args:
            histories: users.
            place: row in the model of each product, shape (n_items,).
            others: behaviours that are read too; their orders compare with those of the target events.
        """
        log = histories.timeline
        if not others:
            rows = place[histories.items[log.pairs]]
            kept = rows >= 0
            before = np.concatenate([[0], np.cumsum(kept)])
            return Sequences(before[log.indptr], rows[kept], log.order[kept], np.zeros(len(before) - 1, np.int64)[kept])
        parts = [
            (0, histories),
            *((n + 1, histories.side[name]) for n, name in enumerate(others) if name in histories.side),
        ]
        columns = [_events(part, place, kind) for kind, part in parts]
        users, rows, order, kinds = (np.concatenate(column) for column in zip(*columns, strict=True))
        at = np.lexsort((rows, kinds == 0, order, users))  # of one instant, what was seen comes before what was bought
        return Sequences(bounds_of(users, histories.n_users), rows[at], order[at], kinds[at])

    @property
    def n_users(self) -> int:
        """Users, those without events included."""
        return len(self.indptr) - 1

    def shuffled(self, rng: np.random.Generator) -> Sequences:
        """The events of each basket in a random order: which product stands first there means nothing."""
        users = np.repeat(np.arange(self.n_users), np.diff(self.indptr))
        at = np.lexsort((rng.random(len(self.rows)), self.kinds == 0, self.order, users))
        return replace(self, rows=self.rows[at], kinds=self.kinds[at])

    def windows(self, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the stretches of at most `length` events begin that every event but a user's last is in once.

        Stretches after which no target event follows are left out.

        Returns:
            First event and number of events of each; the event after each of these is the one to predict.
        """
        asked = np.maximum(np.diff(self.indptr) - 1, 0)
        pieces = -(-asked // length)
        users = np.repeat(np.arange(self.n_users), pieces)
        nth = np.arange(len(users)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        end = self.indptr[1:][users] - 1 - nth * length
        begin = np.maximum(end - length, self.indptr[:-1][users])
        told = self.asked(begin, end - begin) > 0
        return begin[told], (end - begin)[told]

    def asked(self, begin: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many of the events after each of a stretch's are target events, shape (s,)."""
        targets = np.concatenate([[0], np.cumsum(self.kinds == 0)])
        return np.asarray(targets[begin + lengths + 1] - targets[begin + 1])


def _events(part: Interactions, place: NDArray[np.int64], kind: int) -> tuple[NDArray[np.int64], ...]:
    """User, row, order and kind of every event of a known product."""
    log = part.timeline
    rows = place[part.items[log.pairs]]
    kept = rows >= 0
    return part.users[log.pairs][kept], rows[kept], log.order[kept], np.full(np.count_nonzero(kept), kind)
