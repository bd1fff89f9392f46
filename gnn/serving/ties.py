"""What joins a product of a user's history to a recommended one, and how that is said: for many pairs at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.protocol.events import UNKNOWN
from gnn.protocol.interactions import Interactions
from gnn.protocol.labels import brand_of, deepest_category
from kg.snapshot import Snapshot

Kind = Literal["bought-before", "same-category", "same-brand", "same-aisle", "related", "bought-together", "popular"]
"""`same-aisle`: different categories under one parent below the top level; `related`: by outside triples."""

NONE, BEFORE, CATEGORY, BRAND, AISLE, RELATED, TOGETHER = range(7)
KINDS: tuple[Kind, ...] = (
    "popular", "bought-before", "same-category", "same-brand", "same-aisle", "related", "bought-together",
)  # fmt: skip
"""Kind of each code; a pair that nothing joins leaves `popular`."""

DENSE_USERS = 50_000
"""Most users for whom the buyers of a list are held as a dense array, which is faster than a sparse one."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Users, a product of each one's history and a recommended one, with what joins the two; r rows.

    Attributes:
        users: user rows, shape (r,).
        own: rows of the users' products, shape (r,).
        items: rows of the recommended products, shape (r,).
        codes: what joins them, one of `NONE` … `TOGETHER`, shape (r,).
        shared: other users of the history with both products, shape (r,).
    """

    users: Rows
    own: Rows
    items: Rows
    codes: Rows
    shared: Rows


@dataclass(frozen=True)
class Described:
    """Pairs in words and node ids; r entries each.

    Attributes:
        via_ids: category, brand or entity between the two products, empty without.
        via_names: its name.
        evidence: ids of the nodes along the path, user first; of `popular` user and product, which no path joins.
        sentences: one per pair.
    """

    via_ids: list[str]
    via_names: list[str]
    evidence: list[list[str]]
    sentences: list[str]


@dataclass(frozen=True)
class Ties:
    """Finds the closest tie of two products: category, then a small brand, aisle, outside relation, common buyers.

    Attributes:
        snapshot: the graph.
        history: the pairs known; every path is made of these and of the graph's.
        allowed: products that may be shown, shape (n_items,): fuel or a coupon line is no reason to a shopper.
        excluded: values of RELATED.relation that make no tie.
        dated: whether the order of the history is a time.
    """

    snapshot: Snapshot
    history: Interactions
    allowed: NDArray[np.bool_]
    excluded: tuple[str, ...] = ()
    dated: bool = True

    def between(self, own: Rows, items: Rows) -> tuple[Rows, Rows]:
        """Codes of the closest ties, and other users with both products; shape (len(own), len(items)) each.

        Args:
            own: product rows of one user's history, shape (m,).
            items: product rows, shape (k,).
        """
        again = np.isin(items, own)
        mine_too, theirs_too = self._buyers[own], self._buyers[items]
        if self.history.n_users <= DENSE_USERS:
            both = mine_too @ theirs_too.toarray().T
        else:
            both = sp.csr_matrix(mine_too @ theirs_too.T).toarray()
        shared = both.astype(np.int64) - again
        codes = np.where(shared > 0, TOGETHER, NONE)
        if self._entities is not None and self._direct is not None:
            through = (self._entities[own] @ self._entities[items].T).toarray() > 0
            codes[through | (self._direct[own][:, items].toarray() > 0)] = RELATED
        category, brand = self._category, self._brand
        mine, theirs = category[own][:, None], category[items]
        inner = np.append(self._aisle, -1)  # the row -1 of a product without category finds the last
        codes[(inner[mine] == inner[theirs]) & (inner[theirs] >= 0)] = AISLE
        small = np.append(self._brand_size <= self._small_brand, np.False_)[brand[items]]
        codes[(brand[own][:, None] == brand[items]) & small] = BRAND
        codes[(mine == theirs) & (theirs >= 0)] = CATEGORY
        codes[own[:, None] == items] = BEFORE
        codes[~self.allowed[own]] = NONE
        return codes, shared

    def describe(self, pairs: Pairs) -> Described:
        """Node ids and sentences of the pairs."""
        n = len(pairs.users)
        users, products = self.snapshot.nodes["User"].ids, self.snapshot.nodes["Product"].ids
        who, own_ids = _taken(users.ids, pairs.users), _taken(products.ids, pairs.own)
        item_ids, titles = _taken(products.ids, pairs.items), self.names("Product", "title", pairs.own)
        via_ids, via_names, between = [""] * n, [""] * n, [list[str]() for _ in range(n)]
        for code, label in ((CATEGORY, "Category"), (BRAND, "Brand"), (AISLE, "Category"), (RELATED, "Entity")):
            at = np.flatnonzero(pairs.codes == code)
            rows = self._via(pairs, at, code)
            at, rows = at[rows >= 0], rows[rows >= 0]
            ids, names = _taken(self.snapshot.nodes[label].ids.ids, rows), self.names(label, "name", rows)
            ends = [[i] for i in ids]
            if code == AISLE:
                first, last = (_taken(self.snapshot.nodes[label].ids.ids, self._category[side[at]])
                               for side in (pairs.own, pairs.items))  # fmt: skip
                ends = [list(three) for three in zip(first, ids, last, strict=True)]
            for n_, place in enumerate(at.tolist()):
                via_ids[place], via_names[place], between[place] = ids[n_], names[n_], ends[n_]
        at = np.flatnonzero(pairs.codes == TOGETHER)
        for place, other in zip(at.tolist(), _taken(users.ids, self._other_buyer(pairs, at)), strict=True):
            between[place] = [other]
        evidence = []
        for place, code in enumerate(pairs.codes.tolist()):
            path = [who[place]] if code == NONE else [who[place], own_ids[place], *between[place]]
            evidence.append(path if code == BEFORE else [*path, item_ids[place]])
        return Described(via_ids, via_names, evidence, self._sentences(pairs, titles, via_names))

    def names(self, label: str, column: str, rows: Rows) -> list[str]:
        """What people call the nodes: `column`, else their ids."""
        node = self.snapshot.nodes[label]
        ids = _taken(node.ids.ids, rows)
        if column not in node.columns.column_names:
            return ids
        named = node.columns[column].take(pa.array(rows)).to_pylist()
        return [str(name) if name else one for name, one in zip(named, ids, strict=True)]

    def _sentences(self, pairs: Pairs, titles: list[str], via_names: list[str]) -> list[str]:
        known = np.minimum(np.searchsorted(self.history.keys, pairs.users * self.history.n_items + pairs.own),
                           max(0, len(self.history) - 1))  # fmt: skip
        some = len(self.history) > 0
        times = self.history.counts[known] if some else np.zeros(len(known), np.float32)
        last = self.history.last[known] if some else np.zeros(len(known), np.int64)
        buyers = self.history.buyers[pairs.items]
        rows = zip(pairs.codes.tolist(), titles, via_names, pairs.shared.tolist(), times.tolist(), last.tolist(),
                   buyers.tolist(), strict=True)  # fmt: skip
        return [self._sentence(*row) for row in rows]

    def _sentence(self, code: int, title: str, via: str, shared: int, times: float, last: int, buyers: int) -> str:
        if code == NONE:
            return f"{buyers} shoppers bought it" if buyers else "It is new in the shop"
        if code == BEFORE:
            dated = self.dated and last != UNKNOWN
            when = f", last on {datetime.fromtimestamp(last / 1e6, UTC):%Y-%m-%d}" if dated else ""
            return f"You bought it {'once' if times == 1 else f'{int(times)} times'}{when}"
        if code in (CATEGORY, AISLE):
            return f"You bought {title}, also in {via}"
        if code == BRAND:
            return f"You bought {title}, also of {via}"
        if code == RELATED:
            return f"You bought {title}, also tied to {via}" if via else f"You bought {title}, which is tied to it"
        return f"{shared} other shopper{'s' * (shared > 1)} bought it and {title}, as you did"

    def _via(self, pairs: Pairs, at: Rows, code: int) -> Rows:
        """Row of the node that names each tie, -1 where two products are related without one between them."""
        if code == RELATED:
            return self._entity(pairs.own[at], pairs.items[at])
        if code == BRAND:
            return self._brand[pairs.items[at]]
        category = self._category[pairs.items[at]]
        return np.append(self._aisle, -1)[category] if code == AISLE else category

    def _entity(self, own: Rows, items: Rows) -> Rows:
        """The entity of fewest products that both are related to, -1 without."""
        out = np.full(len(own), -1)
        if self._entities is None or self._direct is None or not len(own):
            return out
        both = sp.csr_matrix(self._entities[own].multiply(self._entities[items])).tocoo()
        size = np.diff(self._entities.tocsc().indptr)
        order = np.lexsort((both.col, size[both.col], both.row))[::-1]
        out[both.row[order]] = both.col[order]  # the last one written wins: the smallest
        out[np.asarray(self._direct[own, items]).ravel() > 0] = -1
        return out

    def _other_buyer(self, pairs: Pairs, at: Rows) -> Rows:
        """The first other user with both products."""
        out = np.zeros(len(at), np.int64)
        for start in range(0, len(at), 2000):  # the buyers of so many pairs fit in memory
            part = at[start : start + 2000]
            both = sp.csr_matrix(self._buyers[pairs.own[part]].multiply(self._buyers[pairs.items[part]])).tocoo()
            others = both.col != pairs.users[part][both.row]
            row, column = both.row[others], both.col[others].astype(np.int64)
            order = np.lexsort((column, row))[::-1]
            out[start + row[order]] = column[order]
        return out

    @cached_property
    def _buyers(self) -> sp.csr_matrix:
        return self.history.matrix().T.tocsr()

    @cached_property
    def _category(self) -> Rows:
        return deepest_category(self.snapshot)

    @cached_property
    def _aisle(self) -> Rows:
        """Row of each category's parent where that lies below the top level, else -1."""
        out = np.full(len(self.snapshot.nodes["Category"]), -1)
        table = self.snapshot.edges.get(("Category", "CHILD_OF", "Category"))
        if table is None or not len(table):
            return out
        inner = np.isin(table.dst, table.src)
        out[np.asarray(table.src)[inner]] = np.asarray(table.dst)[inner]
        return out

    @cached_property
    def _brand(self) -> Rows:
        return brand_of(self.snapshot)

    @cached_property
    def _brand_size(self) -> Rows:
        return np.bincount(self._brand[self._brand >= 0], minlength=len(self.snapshot.nodes["Brand"]))

    @property
    def _small_brand(self) -> float:
        """Most products of a brand or an entity that says something: a store's own brand over all of it does not."""
        return max(20.0, 0.01 * len(self._brand))

    @cached_property
    def _entities(self) -> sp.csr_matrix | None:
        """Products x entities of few products, ones where RELATED joins them in either direction; None without any."""
        forth = self._related("Product", "Entity")
        back = self._related("Entity", "Product")
        joined = sp.csr_matrix(((forth + back.T) > 0).astype(np.float32))
        return None if self._direct is None else sp.csr_matrix(
            joined.multiply(np.asarray(joined.sum(0) <= self._small_brand))
        )  # fmt: skip

    @cached_property
    def _direct(self) -> sp.csr_matrix | None:
        """Products x products, ones where RELATED joins them in either direction; None in a graph without RELATED."""
        if not any(len(table) for key, table in self.snapshot.edges.items() if key[1] == "RELATED"):
            return None
        forth = self._related("Product", "Product")
        return sp.csr_matrix(((forth + forth.T) > 0).astype(np.float32))

    def _related(self, source: str, target: str) -> sp.csr_matrix:
        shape = (len(self.snapshot.nodes[source]), len(self.snapshot.nodes[target]))
        table = self.snapshot.edges.get((source, "RELATED", target))
        if table is None or not len(table):
            return sp.csr_matrix(sp.coo_array(shape, dtype=np.float32))
        named = pc.is_in(table.columns["relation"], value_set=pa.array(self.excluded, pa.large_string()))
        kept = ~np.asarray(named.to_numpy(), dtype=np.bool_)
        ones = np.ones(int(kept.sum()), np.float32)
        return sp.csr_matrix((ones, (np.asarray(table.src)[kept], np.asarray(table.dst)[kept])), shape=shape)


def _taken(ids: pa.Array, rows: Rows) -> list[str]:
    taken: list[str] = ids.take(pa.array(rows)).to_pylist()
    return taken
