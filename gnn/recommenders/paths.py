"""Paths of the graph alone: from the user's products over brands, categories, triples and buyers to others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gnn.config import GraphConfig
from gnn.errors import GnnError
from gnn.measure.ranking import blocks
from gnn.models_config import PathsConfig
from gnn.network.sparse import times
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import QUIET, Fitted, Given, Items, Work
from gnn.protocol.relations import PRODUCT, Edges, relation_edges
from kg.snapshot import IdMap

BUYERS = "buyers"
CELLS = 16_000_000
"""Cells (histories x nodes between) held at a time."""


@dataclass(frozen=True)
class Ways:
    """The paths of one kind, from a product over a node between to a product.

    Attributes:
        out: what a product passes on to each node between, CSR (n_items x nodes).
        back: a one where a node between leads to a product, CSR (n_items x nodes).
        total: sum of `back` per node, shape (nodes,).
    """

    out: sp.csr_matrix
    back: sp.csr_matrix
    total: NDArray[np.float32]

    @classmethod
    def of(cls, out: sp.csr_matrix, back: sp.csr_matrix) -> Ways:
        """Ways by their two matrices."""
        return cls(out, back, np.asarray(back.sum(0), dtype=np.float32).ravel())


class Paths(Fitted):
    """Score(u, i) = sum over kinds of weight * share of the paths of that kind from u's products that end at i.

    A path steps from a product of the user to a node that it shares with another product (brand, category or one
    above it, the other end of an outside triple, buyer) and from there to that product; variants and products that a
    triple joins are one step away. Each step out of a node with n neighbours over the relation counts 1 / n **
    hub_power; over buyers this is P3-alpha (Cooper et al. 2014). Nothing is learned. A path may end where it began.

    Args:
        config: weights of the kinds, hub power.
        graph: which relations may be used.
        given: the graph; None: the arrays of a saved state are all that is needed.
    """

    name = "paths"

    def __init__(
        self, config: PathsConfig | None = None, graph: GraphConfig | None = None, given: Given | None = None
    ) -> None:
        self.config, self.graph, self.given = config or PathsConfig(), graph or GraphConfig(), given

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        """Collect the ways of each kind that the graph has.

        Raises:
            GnnError: there is no graph.
        """
        super().fit(history, work)
        if self.given is None:
            raise GnnError("the model `paths` has no graph", "train", "give it a snapshot")
        edges = relation_edges(self.given.snapshot, self.graph, history.until)
        sizes = {label: len(table) for label, table in self.given.snapshot.nodes.items()}
        found: dict[str, list[tuple[sp.csr_matrix, sp.csr_matrix]]] = {}
        for kind, way in _ways(edges, sizes, self.config.hub_power):
            found.setdefault(kind, []).append(way)
        self._adopt(
            {
                kind: Ways.of(*(sp.hstack([way[n] for way in ways], format="csr") for n in (0, 1)))
                for kind, ways in found.items()
            }
        )

    def _adopt(self, ways: dict[str, Ways]) -> None:
        """Ways of the graph, and those over the buyers of the history."""
        self.facts = {"nodes": {kind: way.out.shape[1] for kind, way in ways.items()}}
        both = ways | {BUYERS: Ways.of(*_shared(sp.csr_matrix(self.history.matrix().T), self.config.hub_power))}
        self.ways = {kind: way for kind, way in both.items() if getattr(self.config, kind)}

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        """Weighted shares, shape (histories.n_users, len(items)); zeros for an empty history."""
        wanted = histories.n_items if items is None else len(items)
        out = np.zeros((histories.n_users, wanted), np.float32)
        had = histories.matrix()
        for kind, way in self.ways.items():
            back = way.back if items is None else way.back[items]
            for at in blocks(histories.n_users, len(way.total), CELLS):
                between = np.asarray((had[at] @ way.out).toarray(), dtype=np.float32)
                whole = (between @ way.total)[:, None]
                between *= np.float32(getattr(self.config, kind)) / np.where(whole > 0, whole, np.float32(1))
                out[at] += times(back, between.T).T
        return out

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        """What each product's paths add to both sides of the shares. Shape (m,)."""
        return self.falls(user, np.asarray([item]))[:, 0]

    def falls(self, user: Interactions, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """The losses of several products at once, shape (m, len(items))."""
        fall = np.zeros((len(user), len(items)), np.float64)
        for kind, way in self.ways.items():
            own = way.out[user.items].astype(np.float64)
            reached = np.asarray((own @ way.back[items].T.astype(np.float64)).todense())
            every = own @ way.total.astype(np.float64)
            rest = every.sum() - every
            rest[rest <= 1e-9 * every.sum()] = 0  # rounding, where no other product has such a path
            left = np.where(rest > 0, 1 / np.where(rest > 0, rest, 1), 0)
            share = (reached.sum(0) - reached) * left[:, None]
            fall += getattr(self.config, kind) * (reached.sum(0) / max(every.sum(), 1e-30) - share)
        return fall.astype(np.float32)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The ways of the graph; those over buyers are in the history."""
        parts = {(kind, side): getattr(way, side) for kind, way in self.ways.items() for side in ("out", "back")}
        return {
            f"{kind}.{side}.{name}": getattr(matrix, name)
            for (kind, side), matrix in parts.items()
            if kind != BUYERS
            for name in ("data", "indices", "indptr")
        }

    def restore(
        self, history: Interactions, state: Mapping[str, NDArray[np.generic]], facts: Mapping[str, Any]
    ) -> None:
        """Take the ways of `state`."""
        self.history = history
        ways = {}
        for kind, nodes in facts["nodes"].items():
            if f"{kind}.out.data" in state:
                matrices = (
                    sp.csr_matrix(
                        (
                            state[f"{kind}.{side}.data"].astype(np.float32),
                            state[f"{kind}.{side}.indices"].astype(np.int64),
                            state[f"{kind}.{side}.indptr"].astype(np.int64),
                        ),
                        shape=(history.n_items, nodes),
                    )
                    for side in ("out", "back")
                )
                ways[kind] = Ways.of(*matrices)
        self._adopt(ways)

    def moved(self, given: Given, history: Interactions, ids: Mapping[str, IdMap]) -> Paths:  # noqa: ARG002
        """The same paths in another graph, over the buyers known there."""
        there = Paths(self.config, self.graph, given)
        there.fit(history)
        return there


def _ways(
    edges: list[Edges], sizes: Mapping[str, int], power: float
) -> Iterator[tuple[str, tuple[sp.csr_matrix, sp.csr_matrix]]]:
    """(kind, (out, back)) of each relation."""
    member, child = None, None
    for source, name, target, rows, columns in edges:
        matrix = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (sizes[source], sizes[target]))
        matrix.data[:] = 1  # doubles count once
        if name == "MADE_BY":
            yield "brand", _shared(matrix, power)
        elif name == "IN_CATEGORY":
            member = matrix
        elif name == "CHILD_OF":
            child = matrix
        elif source == PRODUCT and target == PRODUCT:
            yield "variant" if name == "VARIANT_OF" else "related", _direct(matrix, power)
        elif source == PRODUCT:
            yield "related", _shared(matrix, power)
        elif target == PRODUCT:
            yield "related", _shared(sp.csr_matrix(matrix.T), power)
    if member is not None:
        yield "category", _shared(member if child is None else _upwards(member, child), power)


def _upwards(member: sp.csr_matrix, child: sp.csr_matrix) -> sp.csr_matrix:
    """Products x categories, those above a product's own included."""
    whole, above = member, member
    while True:
        above = sp.csr_matrix(above @ child)
        before = whole.nnz
        whole = sp.csr_matrix(whole + above)
        above.data[:] = whole.data[:] = 1
        if whole.nnz == before:  # the top, or a circle
            return whole


def _shared(matrix: sp.csr_matrix, power: float) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Ways over the nodes (columns) that products share; `matrix` holds a one per edge."""
    used = np.flatnonzero(matrix.getnnz(0))
    back = sp.csr_matrix(matrix[:, used])
    out = _damped(back, power)
    out.data /= back.getnnz(0).astype(np.float32)[out.indices] ** np.float32(power)
    return out, back


def _direct(matrix: sp.csr_matrix, power: float) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Ways along edges between products, in either direction: the node between is the product itself."""
    either = sp.csr_matrix(matrix + matrix.T)
    either.data[:] = 1
    return _damped(either, power), sp.csr_matrix(sp.identity(matrix.shape[0], dtype=np.float32))


def _damped(matrix: sp.csr_matrix, power: float) -> sp.csr_matrix:
    """Each row divided by its number of entries to the `power`."""
    out = matrix.copy()
    many = np.diff(matrix.indptr)
    out.data /= np.repeat(many, many).astype(np.float32) ** np.float32(power)
    return out
