"""Users' events in order, as rows of products that a model knows, cut into stretches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.interactions import Interactions


@dataclass(frozen=True)
class Stretches:
    """Events one stretch after another, t events in s stretches.

    Attributes:
        rows: product of each event, int64, shape (t,).
        stretch: the stretch that it belongs to, ascending, shape (t,).
        step: its place there from 0, shape (t,).
        lengths: events of each stretch, shape (s,).
    """

    rows: NDArray[np.int64]
    stretch: NDArray[np.int64]
    step: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @staticmethod
    def cut(rows: NDArray[np.int64], begin: NDArray[np.int64], lengths: NDArray[np.int64]) -> Stretches:
        """The stretches of `rows` that begin at `begin` (s,)."""
        stretch = np.repeat(np.arange(len(begin)), lengths)
        step = np.arange(len(stretch)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Stretches(rows[begin[stretch] + step], stretch, step, lengths)


@dataclass(frozen=True)
class Sequences:
    """Events of known products, user by user in order; e events.

    Attributes:
        indptr: where each user's events begin, int64, shape (n_users + 1,).
        rows: product of each event in the model's own rows, int64, shape (e,).
        order: equal for events of one basket, ascending within a user, int64, shape (e,).
    """

    indptr: NDArray[np.int64]
    rows: NDArray[np.int64]
    order: NDArray[np.int64]

    @staticmethod
    def of(histories: Interactions, place: NDArray[np.int64]) -> Sequences:
        """The timelines of `histories`; events of products whose `place` (n_items,) is -1 are skipped."""
        log = histories.timeline
        rows = place[histories.items[log.pairs]]
        kept = rows >= 0
        before = np.concatenate([[0], np.cumsum(kept)])
        return Sequences(before[log.indptr], rows[kept], log.order[kept])

    @property
    def n_users(self) -> int:
        """Users, those without events included."""
        return len(self.indptr) - 1

    def shuffled(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """`rows` with the events of each basket in a random order: which product stands first there means nothing."""
        users = np.repeat(np.arange(self.n_users), np.diff(self.indptr))
        return self.rows[np.lexsort((rng.random(len(self.rows)), self.order, users))]

    def windows(self, length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the stretches of at most `length` events begin that every event but a user's last is in once.

        Returns:
            First event and number of events of each; the event after each of these is the one to predict.
        """
        asked = np.maximum(np.diff(self.indptr) - 1, 0)
        pieces = -(-asked // length)
        users = np.repeat(np.arange(self.n_users), pieces)
        nth = np.arange(len(users)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        end = self.indptr[1:][users] - 1 - nth * length
        begin = np.maximum(end - length, self.indptr[:-1][users])
        return begin, end - begin
