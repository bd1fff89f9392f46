"""Draws a few neighbours per node and relation, several hops deep, whole batches of nodes at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnn.network.joint import JointGraph
from gnn.protocol.events import UNKNOWN

Ints = NDArray[np.int64]
_MIX = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Draw:
    """What some nodes draw in one hop; r rows (a node and a relation each), e edges, row by row.

    Attributes:
        rows: rows of the joint graph, shape (r,).
        target: place of each row's node among the sample's nodes, ascending, shape (r,).
        indptr: where each row's edges begin, shape (r + 1,).
        edges: positions among the joint graph's edges, shape (e,).
        sources: place of each edge's source among the sample's nodes, shape (e,).
        weight: edges of the row that each drawn one stands for, float32, shape (e,).
    """

    rows: Ints
    target: Ints
    indptr: Ints
    edges: Ints
    sources: Ints
    weight: NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """The neighbourhood of some seeds.

    Attributes:
        nodes: joint rows, the seeds first, then what each hop has found, shape (n,).
        sizes: nodes before the first hop (the seeds) and after each.
        draws: what the first `sizes[h]` nodes draw, hop by hop.
        tree: seed that each node belongs to, shape (n,), where every seed has a neighbourhood of its own, else None.
    """

    nodes: Ints
    sizes: tuple[int, ...]
    draws: tuple[Draw, ...]
    tree: Ints | None = None


class Neighbours:
    """Neighbours drawn over a joint graph, evenly within each node's edges of a relation.

    A node with more edges than the fan-out parts them into as many stretches of equal length as it may draw, and takes
    one edge of each; what is drawn then stands for all (weight = edges / drawn), so that a weighed sum over the drawn
    edges is right on average. Every hop draws anew for the nodes of the hops before, and a draw depends on nothing but
    node, relation, hop and key: sums over several hops are right on average too, and a node draws the same whoever
    asks. There is no loop over nodes or relations.

    Args:
        graph: the joint graph.
        fan_out: most edges that a node draws per relation, one for all or one each.
        at: moment of each edge, int64, shape (e,), `UNKNOWN` where it has none; None: nothing is timed.
    """

    def __init__(self, graph: JointGraph, fan_out: int | Sequence[int], at: Ints | None = None) -> None:
        fields = (graph.indptr, graph.sources, graph.target, graph.relation, graph.spread)
        self.indptr, self.sources, self.target, self.relation, self.spread = (t.cpu().numpy() for t in fields)
        self.n_nodes = graph.n_nodes
        self.fan_out = np.broadcast_to(np.asarray(fan_out, np.int64), len(graph.names))
        self._place, self._found = np.full(self.n_nodes, -1), np.zeros(self.n_nodes, np.bool_)
        self._out = np.zeros(len(self.sources), np.bool_)
        self.order, self.at = None, None
        if at is not None:
            self.order = np.lexsort((at, np.repeat(np.arange(len(self.target)), np.diff(self.indptr))))
            self.at = at[self.order]

    def sample(
        self, seeds: Ints, hops: int, key: int, without: Ints | None = None, until: Ints | None = None
    ) -> Sample:
        """The neighbourhood of `seeds`.

        Args:
            seeds: joint rows, distinct unless `until` is given, shape (s,).
            hops: how deep.
            key: of chance: equal keys draw equally.
            without: positions of edges that are not to be drawn; the others keep their weights.
            until: a moment per seed: each gets a neighbourhood of its own, of edges that are older or have no moment.
        """
        nodes, tree = seeds, None if until is None else np.arange(len(seeds))
        sizes, draws = [len(seeds)], []
        if without is not None:
            self._out[without] = True
        for hop in range(hops):
            end = None if until is None or tree is None else until[tree]
            draw, found = self._draw(nodes, _mixed(key, hop), end)
            nodes, tree, sources = self._met(nodes, tree, draw, found)
            sizes.append(len(nodes))
            draws.append(Draw(draw.rows, draw.target, draw.indptr, draw.edges, sources, draw.weight))
        if without is not None:
            self._out[without] = False
        return Sample(nodes, tuple(sizes), tuple(draws), tree)

    def _draw(self, nodes: Ints, key: np.uint64, until: Ints | None) -> tuple[Draw, Ints]:
        """What `nodes` draw, and the joint row of each drawn edge's source."""
        first, many = self.spread[nodes], self.spread[nodes + 1] - self.spread[nodes]
        target = np.repeat(np.arange(len(nodes)), many)
        rows = ranges(first, many)
        begin = self.indptr[rows]
        degree = self.indptr[rows + 1] - begin
        if until is not None:
            degree = self._older(begin, degree, until[target])
        taken = np.minimum(degree, self.fan_out[self.relation[rows]])
        row = np.repeat(np.arange(len(rows)), taken)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(taken) - taken, taken)
        some = np.flatnonzero((taken < degree) & (taken > 0))
        at = np.flatnonzero((taken < degree)[row])
        share = degree[row[at]] / taken[row[at]]
        place = nth.copy()
        place[at] = np.minimum((nth[at] + _chance(rows[row[at]], nth[at], key)) * share, degree[row[at]] - 1)
        edges = begin[row] + place
        if self.order is not None:
            edges = self.order[edges]
        stands = np.ones(len(rows), np.float32)
        stands[some] = degree[some] / taken[some]
        kept = ~self._out[edges]
        row, edges = row[kept], edges[kept]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(rows)))])
        return Draw(rows, target, indptr, edges, edges, stands[row]), self.sources[edges]

    def _older(self, begin: Ints, degree: Ints, until: Ints) -> Ints:
        """How many of each row's edges, which stand by time, are older than `until`."""
        if self.at is None:
            return degree
        low, high = begin.copy(), begin + degree
        while (open_ := np.flatnonzero(low < high)).size:
            middle = (low[open_] + high[open_]) // 2
            older = self.at[middle] < until[open_]
            older |= self.at[middle] == UNKNOWN
            low[open_[older]] = middle[older] + 1
            high[open_[~older]] = middle[~older]
        return low - begin

    def _met(self, nodes: Ints, tree: Ints | None, draw: Draw, found: Ints) -> tuple[Ints, Ints | None, Ints]:
        """Nodes and trees with those that were not there before, and the place of each of `found` among them."""
        if tree is None:
            self._place[nodes] = np.arange(len(nodes))
            self._found[found[self._place[found] < 0]] = True
            new = np.flatnonzero(self._found)
            self._found[new] = False
            self._place[new] = len(nodes) + np.arange(len(new))
            both = np.concatenate([nodes, new])
            sources = self._place[found]
            self._place[both] = -1
            return both, None, sources
        edge_tree = np.repeat(tree[draw.target], np.diff(draw.indptr))
        known, asked = tree * self.n_nodes + nodes, edge_tree * self.n_nodes + found
        fresh = np.setdiff1d(asked, known)
        every = np.concatenate([known, fresh])
        by_key = np.argsort(every)
        sources = by_key[np.searchsorted(every[by_key], asked)]
        return every % self.n_nodes, every // self.n_nodes, sources


def ranges(first: Ints, many: Ints) -> Ints:
    """first, first + 1, …: `many` of each, one after another."""
    return np.repeat(first - (np.cumsum(many) - many), many) + np.arange(int(many.sum()))


def _mixed(*words: int) -> np.uint64:
    """One word that depends on every bit of all."""
    out = np.zeros(1, np.uint64)
    for word in words:
        out = _shuffled(out * _MIX[2] + np.uint64(word % 2**64))
    return np.uint64(out[0])


def _chance(rows: Ints, nth: Ints, key: np.uint64) -> NDArray[np.float64]:
    """A number from 0 to below 1 for each row and place, the same whenever the key is the same."""
    bits = _shuffled(rows.astype(np.uint64) * _MIX[2] + key)
    return np.asarray((_shuffled(bits + nth.astype(np.uint64) * _MIX[2]) >> np.uint64(11)) * 2.0**-53)


def _shuffled(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The last step of SplitMix64 (Steele, Lea and Flood 2014): every bit depends on every bit."""
    x = (x ^ (x >> np.uint64(30))) * _MIX[0]
    x = (x ^ (x >> np.uint64(27))) * _MIX[1]
    return x ^ (x >> np.uint64(31))
