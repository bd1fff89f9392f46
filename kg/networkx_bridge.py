"""A graph store, or the neighbourhood of one node, as a NetworkX graph.

Nodes are (label, id) pairs with the attributes `label`, `id` and their properties; edges have `type` and theirs. A
missing property is left out. Of what runs wrote only the current run's relationships are there; bookkeeping is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import networkx as nx
import pyarrow as pa

from kg.errors import GraphError
from kg.property_names import property_name
from kg.runs import current_run
from kg.schema import LABELS, LEDGER_LABELS, RELATIONSHIPS, WRITTEN_BACK
from kg.stores import Store

MOST = 2_000_000
"""Relationships of a graph in one call, about a gigabyte."""
_IDS = 1_000
_SECONDS = 600.0

Node = tuple[str, str]
Key = tuple[str, str, str]
Found = tuple[Node, Node, dict[str, Any]]
"""A relationship: source, target, type and properties."""


def to_networkx(
    store: Store,
    *,
    labels: Collection[str] | None = None,
    types: Collection[str] | None = None,
    ids: Mapping[str, Collection[str]] | None = None,
    most: int = MOST,
) -> nx.MultiDiGraph[Node]:
    """The graph of the store, or the part of it that the filters let through.

    Args:
        store: either store.
        labels: node labels to take; None: all but bookkeeping.
        types: relationship types to take; None: all. A relationship needs both of its ends among the nodes.
        ids: per label, the ids to take; labels that it does not name are taken whole.
        most: relationships allowed, before `ids` are looked at.

    Raises:
        GraphError: no graph, an unknown label or type, or more relationships than `most`.
    """
    wanted = _known("label", labels, [label for label in LABELS if label not in LEDGER_LABELS])
    kinds = _known("type", types, RELATIONSHIPS)
    counts = store.counts()
    total = sum(counts[kind] for kind in kinds)
    if total > most:
        what = f"{total:,} relationships are more than {most:,}"
        raise GraphError(what, store.url, "name fewer types, take an ego net, or raise `most`")
    graph: nx.MultiDiGraph[Node] = nx.MultiDiGraph()
    properties = store.labels()
    for label in wanted:
        chosen = None if ids is None or label not in ids else set(ids[label])
        for row in _rows(store.nodes(label, list(properties[label]))):
            if chosen is None or row["id"] in chosen:
                graph.add_node((label, row["id"]), label=label, **row)
    run = current_run(store) if WRITTEN_BACK & set(kinds) else None
    for key, names in store.patterns().items():
        source, kind, target = key
        if kind in kinds and source in wanted and target in wanted:
            for row in _rows(store.relationships(key, list(names))):
                ends = (source, row.pop("source")), (target, row.pop("target"))
                if ends[0] in graph and ends[1] in graph and (kind not in WRITTEN_BACK or row.get("run") == run):
                    graph.add_edge(*ends, type=kind, **row)
    return graph


def ego_net(
    store: Store, label: str, node: str, *, hops: int = 1, types: Collection[str] | None = None, limit: int = 10_000
) -> nx.MultiDiGraph[Node]:
    """All within `hops` relationships of a node, in either direction.

    Args:
        store: either store.
        label: label of the node.
        node: its id.
        hops: how far; 0: the node alone.
        types: relationship types to follow; None: all.
        limit: most relationships per pattern, direction and hop. Where more are there, those with the smallest ids
            are taken and `graph.graph["truncated"]` is true.

    Raises:
        GraphError: no such node, an unknown label or type.
    """
    (label,) = _known("label", [label], LABELS)
    kinds = _known("type", types, RELATIONSHIPS)
    graph: nx.MultiDiGraph[Node] = nx.MultiDiGraph(truncated=False)
    _add_nodes(store, graph, {(label, node)})
    if (label, node) not in graph:
        raise GraphError(f"unknown {label} {node!r}", store.url, "see the ids with shopgraph query")
    run = current_run(store) if WRITTEN_BACK & set(kinds) else None
    patterns = {key: names for key, names in store.patterns().items() if key[1] in kinds and "Batch" not in key}
    seen: dict[tuple[Any, ...], int] = {}
    frontier = {(label, node)}
    for _ in range(hops):
        answers: list[list[Found]] = []
        for key, names in patterns.items():
            for forward in (True, False):
                ids = sorted(i for kind, i in frontier if kind == key[0 if forward else 2])
                edges, more = _edges(store, key, list(names), ids, forward=forward, limit=limit)
                graph.graph["truncated"] |= more
                answers.append([e for e in edges if key[1] not in WRITTEN_BACK or e[2].get("run") == run])
        frontier = {end for found in answers for edge in found for end in edge[:2]} - set(graph)
        _add_nodes(store, graph, frontier)
        for found in answers:
            _add_edges(graph, found, seen)
    return graph


def _add_edges(graph: nx.MultiDiGraph[Node], found: list[Found], seen: dict[tuple[Any, ...], int]) -> None:
    """Add what was not there: a relationship is found from either end.

    Relationships that are alike in everything count as often as one question found them.
    """
    now: Counter[tuple[Any, ...]] = Counter()
    for source, target, row in found:
        mark = (source, target, *sorted((name, repr(value)) for name, value in row.items()))
        now[mark] += 1
        if now[mark] > seen.get(mark, 0):
            seen[mark] = now[mark]
            graph.add_edge(source, target, **row)


def _edges(
    store: Store, key: Key, names: Sequence[str], ids: Sequence[str], *, forward: bool, limit: int
) -> tuple[list[Found], bool]:
    """Relationships of a pattern that begin (or end) at the nodes `ids`, and whether there are more than `limit`."""
    source, kind, target = key
    found: list[Found] = []
    columns = "".join(f", r.{property_name(name)} AS {property_name(name)}" for name in names)
    here, there = ("a", "b") if forward else ("b", "a")
    query = (
        f"MATCH (a:`{source}`)-[r:`{kind}`]->(b:`{target}`) WHERE {here}.id IN $ids "
        f"RETURN a.id AS source, b.id AS target{columns} ORDER BY {here}.id, {there}.id"
    )
    for start in range(0, len(ids), _IDS):
        part = ids[start : start + _IDS]
        answer = store.run(query, {"ids": part}, timeout_s=_SECONDS, max_rows=max(1, limit - len(found)))
        for row in answer.rows:
            values = {name: value for name, value in zip(names, row[2:], strict=True) if value is not None}
            found.append(((source, row[0]), (target, row[1]), {"type": kind, **values}))
        if answer.truncated or (len(found) >= limit and start + _IDS < len(ids)):
            return found, True
    return found, False


def _add_nodes(store: Store, graph: nx.MultiDiGraph[Node], nodes: Collection[Node]) -> None:
    properties = store.labels()
    for label in sorted({label for label, _ in nodes}):
        names = list(properties[label])
        columns = "".join(f", n.{property_name(name)} AS {property_name(name)}" for name in names)
        query = f"MATCH (n:`{label}`) WHERE n.id IN $ids RETURN n.id AS id{columns}"
        ids = sorted(i for kind, i in nodes if kind == label)
        for start in range(0, len(ids), _IDS):
            part = ids[start : start + _IDS]
            for row in store.run(query, {"ids": part}, timeout_s=_SECONDS, max_rows=_IDS).rows:
                values = {name: value for name, value in zip(names, row[1:], strict=True) if value is not None}
                graph.add_node((label, row[0]), label=label, id=row[0], **values)


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterable[dict[str, Any]]:
    for batch in batches:
        for row in batch.to_pylist():
            yield {name: value for name, value in row.items() if value is not None}


def _known(what: str, names: Collection[str] | None, every: Iterable[str]) -> list[str]:
    known = list(every)
    for name in names or ():
        if name not in known:
            raise GraphError(f"unknown {what} {name!r}", "filter", f"known are {', '.join(known)}")
    return known if names is None else [name for name in known if name in names]
