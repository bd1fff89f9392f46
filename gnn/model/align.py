"""A bundle's recommenders in the rows of another graph, which may know other users and products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.model.bundle import Bundle
from gnn.model.catalogue import make
from gnn.protocol.events import read_events, read_side
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Given, Items
from gnn.protocol.relations import PRODUCT
from gnn.protocol.splits import Split, split_events
from kg.snapshot import Snapshot


class Realigned(Fitted):
    """A recommender whose products stand in other rows; products that it does not know score zero.

    Args:
        inner: the recommender, fitted in its own rows.
        rows: its row of each product here, -1 where unknown, shape (n_items,).
        history: the histories here.
    """

    def __init__(self, inner: Fitted, rows: NDArray[np.int64], history: Interactions) -> None:
        self.inner, self.rows, self.history, self.name = inner, rows, history, inner.name
        self.repeats_only, self.from_pairs = inner.repeats_only, inner.from_pairs

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Dense scores, shape (histories.n_users, len(items))."""
        rows = self.rows if items is None else self.rows[items]
        known = np.flatnonzero(rows >= 0)
        wanted, place = np.unique(rows[known], return_inverse=True)
        out = np.zeros((histories.n_users, len(rows)), np.float32)
        there, _ = histories.renamed(self.rows, self.inner.history.n_items)
        out[:, known] = self.inner.scores_for(there, wanted)[:, place]
        return out

    def unknown(self) -> NDArray[np.bool_]:
        """The products that it does not know, or of which nobody had any where it was fitted, shape (n_items,)."""
        return np.asarray((self.rows < 0) | self.inner.unknown()[self.rows])

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """Losses of the known products, zero for others. Shape (m,)."""
        out = np.zeros(len(user), np.float32)
        if self.rows[item] >= 0:
            there, at = user.renamed(self.rows, self.inner.history.n_items)
            out[at] = self.inner.losses(there, int(self.rows[item]))
        return out


def make_split(snapshot: Snapshot, config: GnnConfig) -> Split:
    """The events of `snapshot`, parted as `config` says, with the side events beside them."""
    targets, column = config.graph.target_events, config.split.split_column
    events = read_events(snapshot, targets, column)
    side = read_side(snapshot, targets, config.graph.side_events, column)
    return split_events(events, config.split, config.train.seed, config.split.half_life_days, side)


def align(
    bundle: Bundle, snapshot: Snapshot, vectors: NDArray[np.float32] | None, history: Interactions
) -> dict[str, Fitted]:
    """The bundle's parts in the rows of `snapshot`, with `history` as what is known of its users.

    On the graph of training with the history of training these are the bundle's own parts. On another graph what was
    counted keeps what it learned, and what reads the graph or text reads the new one: new products by text, brand
    and category, new users by their history.

    Raises:
        GnnError: the bundle knows none of the products, or text vectors are missing.
    """
    if bundle.fingerprint == snapshot.fingerprint and np.array_equal(bundle.history.keys, history.keys):
        return dict(bundle.parts)
    rows = bundle.ids[PRODUCT].rows(snapshot.nodes[PRODUCT].ids.ids)
    if not (rows >= 0).any():
        raise GnnError("the model knows none of the graph's products", "model", "run shopgraph train on this graph")
    given, parts = Given(snapshot, vectors), {}
    for name, part in bundle.parts.items():
        parts[name] = part.moved(given, history, bundle.ids) or Realigned(part, rows, history)
    return parts


def parts_at(
    bundle: Bundle, snapshot: Snapshot, vectors: NDArray[np.float32] | None, split: Split, stage: str
) -> dict[str, Fitted]:
    """The bundle's parts as they stood before `stage`: at valid what is counted is counted on train alone.

    Raises:
        GnnError: as `align`; or the weights have seen valid.
    """
    history = split.history(stage)
    if stage == "test":
        return align(bundle, snapshot, vectors, history)
    if bundle.record.get("refit"):
        raise GnnError("the model was trained on valid too", "model", "evaluate the one that was not refitted")
    given, parts = Given(snapshot, vectors), {}
    for name, part in bundle.parts.items():
        moved = part.moved(given, history, bundle.ids)
        if moved is None:
            moved = make(name, bundle.config, given)
            moved.facts = part.facts
            if part.trained:
                moved.restore(part.history, part.state(), part.facts)
                moved.take_in(history)
            else:
                moved.fit(history)
        parts[name] = moved
    return parts
