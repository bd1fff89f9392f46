"""The joint graph that messages flow over: users, products, brands, categories and outside entities."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnn.config import GraphConfig
from gnn.protocol.events import UNKNOWN
from gnn.protocol.interactions import Interactions
from kg.snapshot import EdgeTable, Snapshot

with warnings.catch_warnings():
    # torch says once per process that CSR tensors are in beta; the one made here takes the saying
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
    torch.sparse_csr_tensor(
        torch.tensor([0, 0]), torch.zeros(0, dtype=torch.int64), torch.zeros(0), (1, 1), check_invariants=False
    )

USER, PRODUCT = "User", "Product"
BOUGHT = "BOUGHT"
"""The relation of the target events; its edges are the pairs of the history."""


@dataclass(frozen=True)
class Adjacency:
    """Edges of one relation in one direction, between two ranges of joint rows.

    Attributes:
        name: relation and direction, `NAME>` as stored or `NAME<` reversed.
        sources: first and last + 1 joint row of the sources.
        targets: likewise of the targets.
        pattern: CSR (targets x sources) with the edge weights.
        back: CSR (sources x targets), its transpose, for the gradient.
    """

    name: str
    sources: tuple[int, int]
    targets: tuple[int, int]
    pattern: Tensor
    back: Tensor


@dataclass(frozen=True)
class MessageGraph:
    """The graph on one device.

    Attributes:
        offsets: first joint row per label; users come first, products second.
        n_nodes: joint rows.
        n_users: users.
        n_items: products.
        relations: every relation in both directions; the two of `BOUGHT` come first (to users, to products).
        other_degree: degree of each joint row outside `BOUGHT`, float32, shape (n_nodes,).
        by_item: positions of the pairs, sorted by product and user: takes weights to the reverse direction.
    """

    offsets: dict[str, int]
    n_nodes: int
    n_users: int
    n_items: int
    relations: tuple[Adjacency, ...]
    other_degree: Tensor
    by_item: Tensor

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the relations, direction included."""
        return tuple(r.name for r in self.relations)

    def degrees(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Joint degrees and buyers per product when pair i weighs `weights[i]`.

        Args:
            weights: 0 or 1 per pair of the history (sorted by user, product), shape (m,).

        Returns:
            Degrees, shape (n_nodes,), and sums of the weights per product, shape (n_items,).
        """
        # sums of zeros and ones are exact in float32 in whatever order they are added
        to_users, to_items = self.relations[0].pattern, self.relations[1].pattern
        users = _row_sums(to_users.crow_indices(), weights)
        items = _row_sums(to_items.crow_indices(), weights[self.by_item])
        degree = self.other_degree.clone()
        degree[: self.n_users] += users
        degree[self.n_users : self.n_users + self.n_items] += items
        return degree, items

    def weighted(self, weights: Tensor) -> MessageGraph:
        """The graph with pair i weighing `weights[i]` in both directions (0: no message either way)."""
        to_users, to_items = self.relations[:2]
        forward = _with_values(to_users.pattern, weights)
        reverse = _with_values(to_items.pattern, weights[self.by_item])
        both = (replace(to_users, pattern=forward, back=reverse), replace(to_items, pattern=reverse, back=forward))
        return replace(self, relations=both + self.relations[2:])

    def to(self, device: torch.device) -> MessageGraph:
        """The graph on `device`."""
        moved = tuple(replace(r, pattern=r.pattern.to(device), back=r.back.to(device)) for r in self.relations)
        return replace(
            self, relations=moved, other_degree=self.other_degree.to(device), by_item=self.by_item.to(device)
        )


def _row_sums(indptr: Tensor, values: Tensor) -> Tensor:
    running = torch.cat([values.new_zeros(1, dtype=torch.float64), values.double().cumsum(0)])
    return (running[indptr[1:]] - running[indptr[:-1]]).float()


def _with_values(pattern: Tensor, values: Tensor) -> Tensor:
    return torch.sparse_csr_tensor(
        pattern.crow_indices(), pattern.col_indices(), values, pattern.shape, check_invariants=False
    )


def tensor_of(matrix: sp.csr_matrix) -> Tensor:
    """A scipy CSR matrix as a torch CSR tensor with int64 indices."""
    return torch.sparse_csr_tensor(
        torch.from_numpy(matrix.indptr.astype(np.int64)),
        torch.from_numpy(matrix.indices.astype(np.int64)),
        torch.from_numpy(matrix.data.astype(np.float32)),
        matrix.shape,
        check_invariants=False,
    )


def build_message_graph(snapshot: Snapshot, history: Interactions, config: GraphConfig) -> MessageGraph:
    """The joint graph of `history` and the relations between products, brands, categories and entities.

    Edges of events beyond the history, of what earlier runs wrote, of `config.exclude_relations` and those that date
    from `history.until` or later are not in it.

    Args:
        snapshot: the graph.
        history: the pairs that may carry messages.
        config: which relations take part.
    """
    blocks = relation_edges(snapshot, config, history.until)
    labels = [USER, PRODUCT]
    for source, _, target, *_ in blocks:
        labels += [label for label in (source, target) if label not in labels]
    offsets, n_nodes = {}, 0
    for label in labels:
        offsets[label] = n_nodes
        n_nodes += len(snapshot.nodes[label])
    sizes = {label: len(snapshot.nodes[label]) for label in labels}
    pairs = history.matrix()
    relations = list(_both_ways(BOUGHT, (USER, PRODUCT), pairs, offsets, sizes))
    other = np.zeros(n_nodes)
    for source, name, target, rows, columns in blocks:
        edges = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (sizes[source], sizes[target]))
        edges.data[:] = 1  # doubles count once
        relations += _both_ways(name, (source, target), edges, offsets, sizes)
        other[offsets[source] : offsets[source] + sizes[source]] += np.diff(edges.indptr)
        other[offsets[target] : offsets[target] + sizes[target]] += np.bincount(edges.indices, minlength=sizes[target])
    return MessageGraph(
        offsets,
        n_nodes,
        sizes[USER],
        sizes[PRODUCT],
        tuple(relations),
        torch.from_numpy(other.astype(np.float32)),
        torch.from_numpy(np.lexsort((history.users, history.items))),
    )


def _both_ways(
    name: str, labels: tuple[str, str], edges: sp.csr_matrix, offsets: dict[str, int], sizes: dict[str, int]
) -> tuple[Adjacency, Adjacency]:
    """Messages from the relation's target to its source (`<`), and from its source to its target (`>`)."""
    source, target = ((offsets[label], offsets[label] + sizes[label]) for label in labels)
    edges.sort_indices()
    pattern = tensor_of(edges)
    back = tensor_of(edges.T.tocsr())
    return Adjacency(f"{name}<", target, source, pattern, back), Adjacency(f"{name}>", source, target, back, pattern)


Edges = tuple[str, str, str, NDArray[np.int64], NDArray[np.int64]]
"""What `relation_edges` tells of a relation."""


def relation_edges(snapshot: Snapshot, config: GraphConfig, until: int | None) -> list[Edges]:
    """Every relation beside the events that has edges.

    Those of `config.exclude_relations`, what dates from `until` or later and what earlier runs wrote are not in it.

    Args:
        snapshot: the graph.
        config: which relations take part.
        until: instant in microseconds since 1970 before which an edge must date; None: any.

    Returns:
        (source label, name, target label, rows of the sources, rows of the targets) each; outside triples have the
        name `RELATED:SOURCE:RELATION:TARGET`.
    """
    wanted = [("Product", "VARIANT_OF", "Product")]
    if config.use_brands:
        wanted.append(("Product", "MADE_BY", "Brand"))
    if config.use_categories:
        wanted += [("Product", "IN_CATEGORY", "Category"), ("Category", "CHILD_OF", "Category")]
    found: list[Edges] = []
    for source, name, target in wanted:
        table = snapshot.edges.get((source, name, target))
        if table is not None and len(table):
            found.append((source, name, target, np.asarray(table.src), np.asarray(table.dst)))
    if not config.use_related:
        return found
    for (source, name, target), table in sorted(snapshot.edges.items()):
        if name == "RELATED" and len(table):
            for kind, at in related_kinds(table, config, until):
                label = f"RELATED:{source}:{kind}:{target}"
                found.append((source, label, target, np.asarray(table.src)[at], np.asarray(table.dst)[at]))
    return found


def related_kinds(table: EdgeTable, config: GraphConfig, until: int | None) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Kinds of outside relations that may be used, and which edges are of each: dated before `until` or undated."""
    kinds = np.asarray(table.columns["relation"].fill_null("").to_pylist(), dtype=np.str_)
    at = table.at()
    early = np.ones(len(kinds), np.bool_) if until is None or at is None else at < until
    for kind in np.unique(kinds[early]):
        if kind not in config.exclude_relations:
            yield str(kind), early & (kinds == kind)


def latest_relations(snapshot: Snapshot, config: GraphConfig, until: int | None) -> dict[str, int]:
    """The latest date (microseconds since 1970) of each dated outside relation that may be used, by its kind."""
    latest: dict[str, int] = {}
    for (_, name, _), table in snapshot.edges.items():
        at = table.at() if name == "RELATED" and len(table) and config.use_related else None
        if at is not None:
            for kind, edges in related_kinds(table, config, until):
                newest = int(at[edges].max())
                if newest != UNKNOWN:
                    latest[kind] = max(newest, latest.get(kind, newest))
    return latest
