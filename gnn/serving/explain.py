"""Why a product is recommended: paths over the user's own products, each with its exact deletion effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnn.serving.deletions import scaled_deletions
from gnn.serving.recommend import Recommendations, Repeats
from gnn.serving.ties import KINDS, NONE, Kind, Pairs


@dataclass(frozen=True)
class Path:
    """One way from the user to the product.

    Attributes:
        kind: what joins the user's product and the recommended one.
        product_id: the user's product.
        product_name: its title.
        via_id: brand or category between the two, empty otherwise.
        via_name: its name.
        shared: shoppers of the history who bought both.
        contribution: the fused score minus the fused score without the user's product in the history; the scale on
            which the user's scores are standardised is kept.
        evidence: ids of the nodes along the path, user first.
    """

    kind: Kind
    product_id: str
    product_name: str
    via_id: str
    via_name: str
    shared: int
    contribution: float
    evidence: list[str]


@dataclass(frozen=True)
class Explanation:
    """Why a user is shown a product.

    Attributes:
        user_id: the user.
        product_id: the product.
        product_name: its title.
        score: its fused score for the user.
        reason_kind: kind of the strongest path, `popular` without one.
        reason: one sentence.
        evidence: the strongest path's node ids.
        paths: by falling contribution.
    """

    user_id: str
    product_id: str
    product_name: str
    score: float
    reason_kind: Kind
    reason: str
    evidence: list[str]
    paths: list[Path]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


@dataclass(frozen=True)
class Explainer:
    """Explains what `served` recommends.

    Attributes:
        served: the recommender.
        most: paths per explanation.
    """

    served: Recommendations
    most: int = 5

    def explain(self, user_id: str, product_id: str) -> Explanation:
        """Why `product_id` is, or would be, recommended to `user_id`.

        A product that the user has bought is scored as a next purchase, any other as a new product.

        Raises:
            GnnError: an unknown user or product.
        """
        return self.explain_all(user_id, [product_id])[0]

    def explain_all(self, user_id: str, product_ids: Sequence[str]) -> list[Explanation]:
        """As `explain`, for several products of one user: what is common to them is computed once."""
        user = int(self.served.user_rows([user_id])[0][0])
        history = self.served.history.take(np.asarray([user]))
        rows = np.asarray([self.served.product_row(p) for p in product_ids], dtype=np.int64)
        again = np.isin(rows, history.items)
        falls = np.zeros((len(history), len(rows)), np.float32)
        scores = np.zeros(len(rows), np.float32)
        modes: tuple[tuple[Repeats, NDArray[np.int64]], ...] = (
            ("exclude", np.flatnonzero(~again)),
            ("include", np.flatnonzero(again)),
        )
        for mode, some in modes:
            if len(some):
                scorer = self.served.scorer(mode)
                wanted, at = np.unique(rows[some], return_inverse=True)
                found = scaled_deletions(scorer, wanted)(history, np.arange(len(wanted)), scorer.deviations(history))
                falls[:, some] = found[:, at]
                scores[some] = scorer.scores_for(history, wanted)[0][at]
        codes, shared = self.served.ties.between(history.items, rows)
        paths = [
            self._paths(user, history.items, row, falls[:, n], codes[:, n], shared[:, n])
            for n, row in enumerate(rows.tolist())
        ]
        return [
            self._explanation(user, row, float(score), found)
            for row, score, found in zip(rows.tolist(), scores, paths, strict=True)
        ]

    def reasons(self, user_id: str, product_ids: Sequence[str]) -> list[str]:
        """One sentence per product."""
        return [e.reason for e in self.explain_all(user_id, product_ids)]

    def _paths(
        self,
        user: int,
        own: NDArray[np.int64],
        row: int,
        falls: NDArray[np.float32],
        codes: NDArray[np.int64],
        shared: NDArray[np.int64],
    ) -> tuple[list[Path], list[str]]:
        """The strongest paths to one product, and their sentences."""
        order = np.argsort(-falls, kind="stable")
        at = order[(falls[order] > 0) & (codes[order] != NONE)][: self.most]
        some = np.ones(len(at), np.int64)
        ties = self.served.ties
        said = ties.describe(Pairs(some * user, own[at], some * row, codes[at], shared[at]))
        ids, names = self.served.snapshot.nodes["Product"].ids.take(own[at]), ties.names("Product", "title", own[at])
        columns = (codes[at].tolist(), ids, names, said.via_ids, said.via_names, shared[at].tolist())
        rest = (falls[at].tolist(), said.evidence)
        return [Path(KINDS[code], *values) for code, *values in zip(*columns, *rest, strict=True)], said.sentences

    def _explanation(self, user: int, row: int, score: float, found: tuple[list[Path], list[str]]) -> Explanation:
        paths, sentences = found
        ties, one = self.served.ties, np.asarray([row])
        user_id, product_id = (
            self.served.snapshot.nodes["User"].ids.id(user),
            ties.snapshot.nodes["Product"].ids.id(row),
        )
        name = ties.names("Product", "title", one)[0]
        if paths:
            best = paths[0]
            return Explanation(user_id, product_id, name, score, best.kind, sentences[0], best.evidence, paths)
        none = np.zeros(1, np.int64)
        said = ties.describe(Pairs(none + user, one, one, none + NONE, none))
        return Explanation(user_id, product_id, name, score, KINDS[NONE], said.sentences[0], said.evidence[0], [])
