"""Serves a bundle: top-k lists for users, and similar products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gnn.config import RerankConfig
from gnn.errors import GnnError
from gnn.measure.ranking import MASKED, blocks
from gnn.model.align import align, make_split
from gnn.model.bundle import Bundle
from gnn.model.catalogue import NETWORK
from gnn.model.fusion import Fused, seen_columns
from gnn.network.recommender import NetworkRecommender
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted
from gnn.protocol.tasks import NEW, NEXT, recommendable
from gnn.protocol.variants import variant_groups
from gnn.rerank.reranker import Reranker
from gnn.rerank.rules import RAW, checked, pinned_rows, sellable
from gnn.rerank.traits import Traits
from gnn.serving.deletions import scaled_scores
from gnn.serving.ties import Ties
from kg.snapshot import Snapshot

Repeats = Literal["exclude", "include"]
COLUMNS = ["user_id", "rank", "product_id", "score"]


@dataclass(frozen=True)
class Block:
    """Lists of some users.

    Attributes:
        users: user rows, shape (n,).
        products: product rows, best first, -1 where a list is shorter, shape (n, k).
        scores: their scores, shape (n, k).
        scale: per component of the model the deviation of each user's scores, shape (n,).
    """

    users: NDArray[np.int64]
    products: NDArray[np.int64]
    scores: NDArray[np.float32]
    scale: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Recommendations:
    """A bundle over a graph, ready to answer. Users are known by their events in train and valid, never test.

    Attributes:
        bundle: the model.
        snapshot: the graph.
        history: the pairs known.
        parts: the recommenders in the rows of the graph.
        rerank: how candidates become lists; by default the model's own order.
        at: the time for which lists are asked, where the rules depend on it (UTC unless it says otherwise); None: now.
    """

    bundle: Bundle
    snapshot: Snapshot
    history: Interactions
    parts: dict[str, Fitted]
    rerank: RerankConfig = RAW
    at: datetime | None = None

    @classmethod
    def load(
        cls,
        folder: Path,
        snapshot: Snapshot,
        product_vectors: NDArray[np.float32] | None = None,
        rerank: RerankConfig = RAW,
    ) -> Recommendations:
        """Read the bundle in `folder` for `snapshot`.

        Args:
            folder: a bundle.
            snapshot: the graph; one other than that of training may know other users and products.
            product_vectors: unit text vectors, shape (n_products, width); needed only on another graph.
            rerank: how candidates become lists.

        Raises:
            GnnError: no usable bundle, or it knows none of the products.
        """
        bundle = Bundle.load(folder)
        history = make_split(snapshot, bundle.config).history("test")
        return cls(bundle, snapshot, history, align(bundle, snapshot, product_vectors, history), rerank)

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """Products that may be recommended, shape (n_items,)."""
        return recommendable(self.snapshot)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Variant group of each product, shape (n_items,)."""
        return variant_groups(self.snapshot)

    @cached_property
    def ties(self) -> Ties:
        """What joins products that users had to those that they are shown."""
        config = self.bundle.config
        dated = self.bundle.record["split"]["method"] == "time"
        return Ties(self.snapshot, self.history, self.allowed, config.graph.exclude_relations, dated)

    @cached_property
    def traits(self) -> Traits:
        """What re-ranking knows of the products."""
        return replace(Traits.of(self.snapshot, self.rerank.calibration_level), vectors=self.product_vectors)

    @cached_property
    def _fused(self) -> dict[str, Fused]:
        least = self.bundle.config.split.min_buyers
        reference = np.flatnonzero(self.allowed & (self.history.buyers >= least))
        return {name: self.bundle.fused(self.parts, reference, name) for name in (NEW, NEXT)}

    def scorer(self, repeats: Repeats) -> Fused:
        """The fused recommender of new products (`exclude`) or of the next purchase (`include`)."""
        if repeats not in ("exclude", "include"):
            raise GnnError(f"unknown value {repeats!r}", "--repeats", "use exclude or include")
        return self._fused[NEXT if repeats == "include" else NEW]

    def user_rows(self, user_ids: Sequence[str] | None) -> tuple[NDArray[np.int64], list[str]]:
        """Rows of the known ones of `user_ids` (None: all users) in their order, and the unknown ids.

        Raises:
            GnnError: none of them is known.
        """
        ids = self.snapshot.nodes["User"].ids
        if user_ids is None:
            return np.arange(len(ids)), []
        wanted = list(dict.fromkeys(user_ids))
        rows = ids.rows(wanted)
        unknown = [w for w, row in zip(wanted, rows, strict=True) if row < 0]
        if wanted and len(unknown) == len(wanted):
            some = repr(unknown[0]) + (f" and {len(unknown) - 1} more" if len(unknown) > 1 else "")
            raise GnnError(f"unknown user {some}", "--user", "see the ids with shopgraph query")
        return rows[rows >= 0], unknown

    def product_row(self, product_id: str) -> int:
        """Row of a product.

        Raises:
            GnnError: it is unknown.
        """
        row = self.snapshot.nodes["Product"].ids.row(product_id)
        if row < 0:
            raise GnnError(f"unknown product {product_id!r}", "--product", "see the ids with shopgraph query")
        return row

    def candidate_rows(self, candidates: str | Sequence[str]) -> NDArray[np.int64]:
        """Rows of the products to choose from, ascending.

        Args:
            candidates: `all` that may be recommended, `cold` (those of them without events), or product ids.

        Raises:
            GnnError: an unknown word, or none of the ids may be recommended.
        """
        if isinstance(candidates, str):
            if candidates not in ("all", "cold"):
                raise GnnError(f"unknown candidates {candidates!r}", "--candidates", "use all, cold or a file of ids")
            cold = self.history.buyers == 0
            return np.flatnonzero(self.allowed & cold if candidates == "cold" else self.allowed)
        rows = self.snapshot.nodes["Product"].ids.rows(list(candidates))
        rows = np.unique(rows[rows >= 0])
        rows = rows[self.allowed[rows]]
        if not len(rows):
            raise GnnError("none of the candidates may be recommended", "--candidates", "give ids of the graph")
        return rows

    def recommend(
        self,
        user_ids: Sequence[str] | None = None,
        k: int = 10,
        repeats: Repeats = "exclude",
        candidates: str | Sequence[str] = "all",
    ) -> pd.DataFrame:
        """Top-k lists.

        Args:
            user_ids: users; None: all of them. Unknown ones are skipped (`user_rows` counts them).
            k: longest list; shorter only where candidates run out.
            repeats: `exclude` leaves out what the user bought, and its variants unless `rerank.own_variants`;
                `include` predicts the next purchase.
            candidates: `all`, `cold`, or product ids.

        Returns:
            Columns user_id, rank (from 1), product_id, score (the model's; larger is better, comparable within a
            user; re-ranking leaves it as it is, so that it need not fall with the rank).

        Raises:
            GnnError: no user is known, k < 1, unusable candidates, or a rule that makes no sense.
        """
        parts = list(self.stream(user_ids, k, repeats, candidates))
        return pd.concat(parts, ignore_index=True) if parts else _frame([], [], [], [])

    def stream(
        self,
        user_ids: Sequence[str] | None = None,
        k: int = 10,
        repeats: Repeats = "exclude",
        candidates: str | Sequence[str] = "all",
    ) -> Iterator[pd.DataFrame]:
        """As `recommend`, one frame per block of users: memory does not grow with their number."""
        users = self.snapshot.nodes["User"].ids
        for block in self.blocks(user_ids, k, repeats, candidates):
            yield self._rows(users.take(block.users), block.products, block.scores)

    def _rows(self, names: Sequence[str], lists: NDArray[np.int64], scores: NDArray[np.float32]) -> pd.DataFrame:
        """The rows of lists (n, k) of users of these names."""
        where, place = np.nonzero(lists >= 0)
        products = self.snapshot.nodes["Product"].ids.take(lists[where, place])
        return _frame([names[row] for row in where.tolist()], place + 1, products, scores[where, place])

    def blocks(
        self,
        user_ids: Sequence[str] | None,
        k: int,
        repeats: Repeats,
        candidates: str | Sequence[str] = "all",
        cells: int | None = None,
    ) -> Iterator[Block]:
        """As `stream`, as rows of the graph and with the scale of the scores; `cells` scores at a time."""
        rows, _ = self.user_rows(user_ids)
        columns, scorer, reranker = self._ready(len(rows), k, repeats, candidates)
        for at in blocks(len(rows), max(1, len(columns)), cells or self.bundle.config.eval.block):
            users = rows[at]
            scores, scale = scaled_scores(scorer, users, columns)
            lists, kept = self._lists(self.history.take(users), scores, columns, scorer, reranker, k)
            yield Block(users, lists, kept, scale)

    def stream_for(
        self,
        names: Sequence[str],
        histories: Interactions,
        k: int = 10,
        repeats: Repeats = "exclude",
        candidates: str | Sequence[str] = "all",
    ) -> Iterator[pd.DataFrame]:
        """As `stream`, for users who have these histories instead, named `names`."""
        columns, scorer, reranker = self._ready(len(names), k, repeats, candidates)
        for at in blocks(len(names), max(1, len(columns)), self.bundle.config.eval.block):
            some = histories.take(np.arange(at.start, at.stop))
            scores = scorer.scores_for(some, columns)
            lists, kept = self._lists(some, scores, columns, scorer, reranker, k)
            yield self._rows(names[at], lists, kept)

    def _ready(
        self, users: int, k: int, repeats: Repeats, candidates: str | Sequence[str]
    ) -> tuple[NDArray[np.int64], Fused, Reranker]:
        """Candidates that the shop's rules let through, what scores them, and what makes lists of them."""
        if k < 1:
            raise GnnError(f"k is {k}", "--k", "ask for one product or more")
        columns, scorer = self.candidate_rows(candidates), self.scorer(repeats)
        columns = columns[sellable(self.snapshot, self.rerank, self.at)[columns]]
        pins = pinned_rows(checked(self.rerank), self.snapshot.nodes["Product"].ids)
        return columns, scorer, Reranker(self.rerank, self.traits, columns, users, pins)

    def _lists(
        self,
        histories: Interactions,
        scores: NDArray[np.float32],
        columns: NDArray[np.int64],
        scorer: Fused,
        reranker: Reranker,
        k: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Product rows (-1: the list is shorter) and their scores, shape (n, k) each."""
        if scorer.masks_seen:
            scores[seen_columns(histories, columns)] = MASKED
            if not self.rerank.own_variants:
                known = np.zeros((histories.n_users, int(self.groups.max(initial=0)) + 1), np.bool_)
                known[histories.users, self.groups[histories.items]] = True
                scores[known[:, self.groups[columns]]] = MASKED
        lists = reranker.lists(scores, histories, k)
        if not len(columns):
            return lists, np.zeros(lists.shape, np.float32)
        at = np.maximum(lists, 0)
        return np.where(lists >= 0, columns[at], -1), np.take_along_axis(scores, at, 1)

    @cached_property
    def product_vectors(self) -> NDArray[np.float32] | None:
        """The network's unit vectors of the products, shape (n_items, d); None for a model without the network."""
        network = self.parts.get(NETWORK)
        return network.items if isinstance(network, NetworkRecommender) else None


def _frame(
    users: Sequence[str],
    ranks: NDArray[np.int64] | list[int],
    products: Sequence[str],
    scores: NDArray[np.float32] | list[float],
) -> pd.DataFrame:
    values = (list(users), np.asarray(ranks, np.int64), list(products), np.asarray(scores, np.float64))
    frame = pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
    return frame.astype({"user_id": "str", "product_id": "str"})
