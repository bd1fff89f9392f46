"""Why a product is recommended: paths over the user's own products, each with its exact deletion effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gnn.protocol.events import UNKNOWN
from gnn.protocol.interactions import Interactions
from gnn.protocol.labels import brand_of, deepest_category
from gnn.serving.recommend import Recommendations, Repeats

Kind = Literal["bought-before", "same-category", "same-brand", "same-aisle", "bought-together", "popular"]
"""`same-aisle`: different categories under one parent below the top level."""


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
        falls: dict[int, NDArray[np.float32]] = {}
        scores: dict[int, float] = {}
        modes: tuple[tuple[Repeats, NDArray[np.int64]], ...] = (("exclude", rows[~again]), ("include", rows[again]))
        for mode, some in modes:
            if len(some):
                scorer, wanted = self.served.scorer(mode), np.unique(some)
                scale = scorer.deviations(history)
                falls |= {int(row): scorer.losses(history, int(row), scale) for row in wanted}
                scores |= dict(zip(wanted.tolist(), scorer.scores_for(history, wanted)[0].tolist(), strict=True))
        return [self._explanation(user_id, user, history, r, falls[r], scores[r]) for r in rows.tolist()]

    def reasons(self, user_id: str, product_ids: Sequence[str]) -> list[str]:
        """One sentence per product."""
        return [e.reason for e in self.explain_all(user_id, product_ids)]

    def _explanation(
        self, user_id: str, user: int, history: Interactions, row: int, falls: NDArray[np.float32], score: float
    ) -> Explanation:
        order = np.argsort(-falls, kind="stable")
        paths: list[Path] = []
        for at in order[falls[order] > 0]:
            path = self._path(user_id, user, int(history.items[at]), row, float(falls[at]))
            if path is not None:
                paths.append(path)
            if len(paths) == self.most:
                break
        name = self._name(row)
        product_id = self.served.snapshot.nodes["Product"].ids.id(row)
        if not paths:
            buyers = int(self.served.history.buyers[row])
            reason = f"{buyers} shoppers bought it" if buyers else "It is new in the shop"
            return Explanation(user_id, product_id, name, score, "popular", reason, [user_id, product_id], [])
        best = paths[0]
        reason = self._sentence(best, history, row)
        return Explanation(user_id, product_id, name, score, best.kind, reason, best.evidence, paths)

    def _path(self, user_id: str, user: int, own: int, row: int, contribution: float) -> Path | None:
        """The closest tie between the user's product `own` and `row`; None without one, or where `own` is not shown."""
        if not self.served.allowed[own]:  # fuel or a coupon line is no reason that a shopper would accept
            return None
        products = self.served.snapshot.nodes["Product"].ids
        own_id, row_id = products.id(own), products.id(row)
        others = np.setdiff1d(np.intersect1d(self._buyers(own), self._buyers(row)), [user])
        kind, via, between = self._tie(own, row, others)
        if kind is None:
            return None
        name = self._label(*via) if via else ""
        via_id = self.served.snapshot.nodes[via[0]].ids.id(via[1]) if via else ""
        evidence = [user_id, own_id, *between] + ([row_id] if own != row else [])
        return Path(kind, own_id, self._name(own), via_id, name, len(others), contribution, evidence)

    def _tie(
        self, own: int, row: int, others: NDArray[np.int64]
    ) -> tuple[Kind | None, tuple[str, int] | None, list[str]]:
        """Kind of the tie, label and row of the node that names it, ids of the nodes between the two products."""
        if own == row:
            return "bought-before", None, []
        nodes = self.served.snapshot.nodes
        category, mine, brand = int(self._category[row]), int(self._category[own]), int(self._brand[row])
        if category >= 0 and category == mine:
            return "same-category", ("Category", category), [nodes["Category"].ids.id(category)]
        if brand >= 0 and brand == self._brand[own] and self._brand_size[brand] <= self._small_brand:
            return "same-brand", ("Brand", brand), [nodes["Brand"].ids.id(brand)]
        aisle = int(self._aisle[category]) if category >= 0 and mine >= 0 else -1
        if aisle >= 0 and aisle == self._aisle[mine]:
            return "same-aisle", ("Category", aisle), nodes["Category"].ids.take(np.asarray([mine, aisle, category]))
        if len(others):
            return "bought-together", None, [nodes["User"].ids.id(int(others[0]))]
        return None, None, []

    def _sentence(self, path: Path, history: Interactions, row: int) -> str:
        if path.kind == "bought-before":
            at = int(np.searchsorted(history.items, row))
            times, last = int(history.counts[at]), int(history.last[at])
            when = ""
            if self.served.bundle.record["split"]["method"] == "time" and last != UNKNOWN:
                when = f", last on {datetime.fromtimestamp(last / 1e6, UTC):%Y-%m-%d}"
            return f"You bought it {'once' if times == 1 else f'{times} times'}{when}"
        if path.kind in ("same-category", "same-aisle"):
            return f"You bought {path.product_name}, also in {path.via_name}"
        if path.kind == "same-brand":
            return f"You bought {path.product_name}, also of {path.via_name}"
        return f"{path.shared} other shopper{'s' * (path.shared > 1)} bought it and {path.product_name}, as you did"

    def _name(self, row: int) -> str:
        columns = self.served.snapshot.nodes["Product"].columns
        title = columns["title"][row].as_py() if "title" in columns.column_names else None
        return str(title) if title else self.served.snapshot.nodes["Product"].ids.id(row)

    def _label(self, label: str, row: int) -> str:
        node = self.served.snapshot.nodes[label]
        name = node.columns["name"][int(row)].as_py() if "name" in node.columns.column_names else None
        return str(name) if name else node.ids.id(int(row))

    @cached_property
    def _by_item(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        history = self.served.history
        order = np.lexsort((history.users, history.items))
        starts = np.concatenate([[0], np.cumsum(history.buyers)])
        return starts, history.users[order]

    def _buyers(self, row: int) -> NDArray[np.int64]:
        starts, users = self._by_item
        return users[starts[row] : starts[row + 1]]

    @cached_property
    def _category(self) -> NDArray[np.int64]:
        return deepest_category(self.served.snapshot)

    @cached_property
    def _aisle(self) -> NDArray[np.int64]:
        """Row of each category's parent where that lies below the top level, else -1."""
        out = np.full(len(self.served.snapshot.nodes["Category"]), -1)
        table = self.served.snapshot.edges.get(("Category", "CHILD_OF", "Category"))
        if table is None or not len(table):
            return out
        inner = np.isin(table.dst, table.src)
        out[np.asarray(table.src)[inner]] = np.asarray(table.dst)[inner]
        return out

    @cached_property
    def _brand(self) -> NDArray[np.int64]:
        return brand_of(self.served.snapshot)

    @cached_property
    def _brand_size(self) -> NDArray[np.int64]:
        return np.bincount(self._brand[self._brand >= 0], minlength=len(self.served.snapshot.nodes["Brand"]))

    @property
    def _small_brand(self) -> float:
        """Most products of a brand that says something: a store's own brand over the whole shop does not."""
        return max(20.0, 0.01 * len(self._brand))
