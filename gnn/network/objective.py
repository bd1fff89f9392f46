"""One training step's question: which of a user's products are held out, and the softmax loss of finding them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnn.config import TrainConfig
from gnn.network.behaviours import Known, pairs_of_products
from gnn.network.graph_network import Views
from gnn.network.team import Team
from gnn.protocol.interactions import Interactions, gathered


@dataclass(frozen=True)
class Batch:
    """What a step predicts, planned on the host so that the device never has to answer within a step.

    Attributes:
        users: rows of the users, shape (b,).
        hidden: pairs of the joint graph that carry no message in either direction, shape (h,): those to predict, and
            what was known of the same products by other behaviours only later.
        new: rows of the products that stand as new, without id vector and messages of users, shape (n,).
        silent: their pairs that are not hidden, which carry no message but are counted, shape (s,).
        rows: position in `users` of each pair to predict, shape (p,).
        targets: position in `columns` of each pair to predict, shape (p,).
        columns: rows of the products that the softmax runs over, shape (c,).
        correction: log of how many products each column stands for, -inf where it is only some user's answer, (c,).
        known_rows: position in `users` of each pair that stays known, shape (q,).
        known: position in `columns` of each pair that stays known, shape (q,): not in that user's softmax.
        repeat_rows: position in `users` of each product of the columns that is known by another behaviour, (r,).
        repeat_columns: its position in `columns`, shape (r,).
        repeat_kinds: the behaviour, 0 for the first beside the target events, shape (r,).
        repeat_counts: log of how often, shape (r,).
    """

    users: Tensor
    hidden: Tensor
    new: Tensor
    silent: Tensor
    rows: Tensor
    targets: Tensor
    columns: Tensor
    correction: Tensor
    known_rows: Tensor
    known: Tensor
    repeat_rows: Tensor
    repeat_columns: Tensor
    repeat_kinds: Tensor
    repeat_counts: Tensor

    def part(self, team: Team) -> Batch:
        """What one process of `team` answers: a share of the users; what sends and `correction` are the whole's.

        Columns that are other users' answers alone are left out: they are in no softmax but those users'.
        """
        if team.size == 1:
            return self
        share = team.share(len(self.users))
        users = self.users[share]
        place = torch.full_like(self.users, -1)
        place[share] = torch.arange(len(users))
        asked, known = place[self.rows] >= 0, place[self.known_rows] >= 0
        needed = self.correction.isfinite()
        needed[self.targets[asked]] = True
        known &= needed[self.known]
        again = (place[self.repeat_rows] >= 0) & needed[self.repeat_columns]
        column = needed.cumsum(0) - 1
        return Batch(
            users,
            self.hidden,
            self.new,
            self.silent,
            place[self.rows[asked]],
            column[self.targets[asked]],
            self.columns[needed],
            self.correction[needed],
            place[self.known_rows[known]],
            column[self.known[known]],
            place[self.repeat_rows[again]],
            column[self.repeat_columns[again]],
            self.repeat_kinds[again],
            self.repeat_counts[again],
        )


class Batches:
    """Draws the batches of an epoch: every user once who has two products, or one and is known by another behaviour.

    Args:
        history: the pairs to learn from.
        config: batch size, held-out share, softmax columns.
        rng: the only source of chance.
        told: products that something but their events tells of, which alone may stand as new; None: all.
    """

    def __init__(
        self,
        history: Interactions,
        config: TrainConfig,
        rng: np.random.Generator,
        told: NDArray[np.bool_] | None = None,
    ) -> None:
        self.history, self.config, self.rng = history, config, rng
        self.other, self.of_product = Known.of(history), pairs_of_products(history)
        self.told = np.ones(history.n_items, np.bool_) if told is None else told
        lengths = np.diff(history.indptr)
        self.users = np.flatnonzero((lengths >= 2) | ((lengths == 1) & (np.diff(self.other.indptr) > 0)))
        self.warm = np.flatnonzero(history.buyers > 0)

    def __len__(self) -> int:
        return math.ceil(len(self.users) / self.config.batch)

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """The users of each batch, ascending."""
        order = self.rng.permutation(self.users)
        for start in range(0, len(order), self.config.batch):
            yield np.sort(order[start : start + self.config.batch])

    def plan(self, users: NDArray[np.int64]) -> Batch:
        """The batch of `users`, who are of `self.users`."""
        starts, lengths = self.history.indptr[users], np.diff(self.history.indptr)[users]
        rows = np.repeat(np.arange(len(users)), lengths)
        begin = np.concatenate([[0], np.cumsum(lengths)])[:-1]
        at = np.repeat(starts - begin, lengths) + np.arange(len(rows))
        order = np.lexsort((self.rng.random(len(at)), rows))
        place = np.empty(len(at), np.int64)
        place[order] = np.arange(len(at)) - np.repeat(begin, lengths)
        quota = np.clip(np.round(lengths * self.config.holdout), 1, np.maximum(lengths - 1, 1))
        held = place < quota[rows]
        items = self.history.items[at]
        c = self.config
        columns, correction = softmax_columns(items[held], self.warm, c.full_softmax, c.negatives, self.rng)
        where = np.full(self.history.n_items, -1)
        where[columns] = np.arange(len(columns))
        known = ~held & (where[items] >= 0)
        hidden, repeats = self._others(users, at[held], where)
        new, silent = self._new(hidden)
        arrays = (
            users,
            hidden,
            new,
            silent,
            rows[held],
            where[items[held]],
            columns,
            correction,
            rows[known],
            where[items[known]],
            *repeats,
        )
        return Batch(*(torch.from_numpy(np.ascontiguousarray(a)) for a in arrays))

    def _others(
        self, users: NDArray[np.int64], held: NDArray[np.int64], where: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], tuple[NDArray[np.generic], ...]]:
        """All pairs to hide, and what the users know by other behaviours of the products that have a column."""
        rows, at = self.other.of_users(users)
        late = np.isneginf(self.other.counts[at])
        hidden = np.concatenate([held, self.other.places[at][late & np.isin(self.other.targets[at], held)]])
        columns = where[self.other.items[at]]
        told = np.flatnonzero((columns >= 0) & ~late)
        return hidden, (rows[told], columns[told], self.other.kinds[at][told], self.other.counts[at][told])

    def _new(self, hidden: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The products that stand as new, and their pairs that are not `hidden`."""
        share = self.config.product_dropout
        if not share:
            return _NONE, _NONE
        new = np.flatnonzero(self.told & (self.rng.random(len(self.told)) < share))
        indptr, pairs = self.of_product
        return new, np.setdiff1d(pairs[gathered(indptr, new)[1]], hidden)


_NONE = np.zeros(0, np.int64)


def softmax_columns(
    answers: NDArray[np.int64], warm: NDArray[np.int64], most: int, negatives: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """All warm products, or the answers and a uniform draw that stands for all (logQ correction).

    Args:
        answers: product rows that are asked for.
        warm: rows of all products that have been bought.
        most: products for which the softmax runs over all of them.
        negatives: products drawn where it does not.
        rng: draws them.

    Returns:
        Product rows, ascending, and the log of how many products each stands for, -inf for an answer that was not
        drawn; shape (c,) each.
    """
    if len(warm) <= most:
        return warm, np.zeros(len(warm), np.float32)
    drawn = rng.choice(warm, min(negatives, len(warm)), replace=False)
    columns = np.union1d(answers, drawn)
    weight = np.float32(np.log(len(warm) / len(drawn)))
    return columns, np.where(np.isin(columns, drawn), weight, np.float32(-np.inf)).astype(np.float32)


def softmax_loss(views: Views, batch: Batch, precision: torch.dtype) -> Tensor:
    """Mean negative log-probability of the held-out pairs, each of the same weight: the multinomial likelihood.

    A user's softmax runs over the columns but for the products that stay known. Sampled columns count for all that
    they stand for; the user's own answers count once (Bengio and Senecal 2008).

    Args:
        views: vectors of the forward pass.
        batch: the question.
        precision: type of the scoring product, float32 or bfloat16.
    """
    device = views.items.device
    users, items = views.users[batch.users], views.items[batch.columns]
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
        cosine = users @ items.T
    logits = cosine.float() * views.temperature + views.offset[batch.columns]
    if len(batch.repeat_rows):
        factors = views.repeat[batch.repeat_kinds]
        gains = factors[:, 0] + factors[:, 1] * batch.repeat_counts
        logits = logits.index_put((batch.repeat_rows, batch.repeat_columns), gains, accumulate=True)
    asked = logits[batch.rows, batch.targets]
    infinite = torch.full((), -torch.inf, device=device)
    terms = logits + batch.correction
    terms = terms.index_put((batch.known_rows, batch.known), infinite)
    terms = terms.index_put((batch.rows, batch.targets), asked)
    return (terms.logsumexp(1)[batch.rows] - asked).sum() / max(1, len(batch.rows))
