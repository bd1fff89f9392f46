"""Stores and ego nets as NetworkX graphs, against a shop made by hand and against the store's own counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import pytest

from ingest.progress import SilentProgress
from kg.errors import GraphError
from kg.networkx_bridge import ego_net, to_networkx
from kg.schema import LEDGER_LABELS
from kg.shape import shape_graph
from kg.stores import GraphFiles, Store

QUIET = SilentProgress()
WriteTables = Callable[..., Path]


@pytest.fixture
def shop(write_tables: WriteTables, tmp_path: Path) -> GraphFiles:
    """Ann had tea twice and cake, Bob cake and jam; tea and jam are of one brand; jam is related to itself twice."""
    bought = [("ann", "tea", "1"), ("ann", "tea", "2"), ("ann", "cake", "3"), ("bob", "cake", "4"), ("bob", "jam", "5")]
    tables = {
        "products": [
            {"product_id": "tea", "title": "Tea", "brand": "Leaf", "category": "food > drinks", "price": 2.5},
            {"product_id": "cake", "title": None},
            {"product_id": "jam", "title": "Jam", "brand": "Leaf"},
        ],
        "events": [
            {"event_id": e, "user_id": u, "product_id": p, "event": "purchase", "quantity": 1.0} for u, p, e in bought
        ],
        "triples": [{"head": "jam", "relation": "like", "tail": "jam"}] * 2,
    }
    return shape_graph(write_tables(tmp_path / "tables", tables), tmp_path / "graph", QUIET)


def edges(graph: nx.MultiDiGraph[tuple[str, str]]) -> Counter[tuple[str, str, str]]:
    return Counter((a[1], kind, b[1]) for a, b, kind in graph.edges(data="type"))


PURCHASES = {
    ("ann", "PURCHASED", "tea"): 2, ("ann", "PURCHASED", "cake"): 1, ("bob", "PURCHASED", "cake"): 1,
    ("bob", "PURCHASED", "jam"): 1,
}  # fmt: skip
REST = {
    ("tea", "MADE_BY", "Leaf"): 1, ("jam", "MADE_BY", "Leaf"): 1, ("tea", "IN_CATEGORY", "food > drinks"): 1,
    ("food > drinks", "CHILD_OF", "food"): 1, ("jam", "RELATED", "jam"): 2,
}  # fmt: skip


def test_the_whole_graph(store: Store, shop: GraphFiles) -> None:
    store.load(shop, QUIET)
    graph = to_networkx(store)
    assert edges(graph) == PURCHASES | REST
    assert graph.nodes["Product", "tea"] == {
        "label": "Product", "id": "tea", "title": "Tea", "price": 2.5, "recommendable": True
    }  # fmt: skip
    assert "title" not in graph.nodes["Product", "cake"]
    assert {data["id"] for _, _, data in graph.edges(("User", "ann"), data=True)} == {"1", "2", "3"}


def test_filters(store: Store, shop: GraphFiles) -> None:
    store.load(shop, QUIET)
    some = to_networkx(store, labels=["User", "Product"], types=["PURCHASED"], ids={"User": ["bob"]})
    assert edges(some) == {k: v for k, v in PURCHASES.items() if k[0] == "bob"}
    assert {label for label, _ in some} == {"User", "Product"}
    assert edges(to_networkx(store, labels=["Brand", "Product"])) == {
        k: v for k, v in REST.items() if "Leaf" in k or k[0] == "jam"
    }
    for call, named in (
        (lambda: to_networkx(store, labels=["Shop"]), "unknown label 'Shop'"),
        (lambda: to_networkx(store, types=["LIKES"]), "unknown type 'LIKES'"),
        (lambda: to_networkx(store, most=9), "11 relationships are more than 9"),
        (lambda: ego_net(store, "Product", "beer"), "unknown Product 'beer'"),
    ):
        with pytest.raises(GraphError, match=named):
            call()


def test_ego_nets(store: Store, shop: GraphFiles) -> None:
    store.load(shop, QUIET)
    assert list(ego_net(store, "User", "ann", hops=0)) == [("User", "ann")]
    one = ego_net(store, "User", "ann")
    assert edges(one) == {k: v for k, v in PURCHASES.items() if k[0] == "ann"}
    two = ego_net(store, "User", "ann", hops=2)
    assert edges(two) == {
        k: v for k, v in (PURCHASES | REST).items() if k[0] in ("ann", "tea") or k[:3:2] == ("bob", "cake")
    }
    assert edges(ego_net(store, "User", "ann", hops=4)) == PURCHASES | REST
    assert two.nodes["Brand", "Leaf"]["name"] == "Leaf"
    jam = ego_net(store, "Product", "jam", types=["RELATED"], hops=3)
    assert edges(jam) == {("jam", "RELATED", "jam"): 2}
    few = ego_net(store, "User", "ann", limit=2)
    assert (few.number_of_edges(), few.graph["truncated"], one.graph["truncated"]) == (2, True, False)


def test_counts_are_the_stores(store: Store, rich_graph: GraphFiles) -> None:
    store.load(rich_graph, QUIET)
    graph = to_networkx(store)
    counts = {name: n for name, n in store.counts().items() if n and name not in LEDGER_LABELS}
    found = Counter(label for _, label in graph.nodes(data="label")) + Counter(t for *_, t in graph.edges(data="type"))
    assert found == counts
    near = ego_net(store, "Product", "p001", hops=2)
    undirected = nx.ego_graph(graph.to_undirected(as_view=True), ("Product", "p001"), radius=2)
    assert set(near) == set(undirected)
    within = {(a, b) for a, b in nx.ego_graph(graph.to_undirected(as_view=True), ("Product", "p001"), radius=1).edges()}
    assert within
    first = set(nx.ego_graph(graph.to_undirected(as_view=True), ("Product", "p001"), radius=1))
    assert near.number_of_edges() == sum(1 for a, b in graph.edges() if a in first or b in first)
