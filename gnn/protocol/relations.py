"""Relations of the graph beside the users' events: which of them may carry messages, and their edges."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gnn.config import GraphConfig
from gnn.protocol.events import UNKNOWN
from kg.snapshot import EdgeTable, Snapshot

USER, PRODUCT = "User", "Product"

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
