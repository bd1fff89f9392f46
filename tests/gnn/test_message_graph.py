import numpy as np
import torch

from gnn.config import GnnConfig, GraphConfig, SplitConfig, TrainConfig
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import GraphNetwork
from gnn.network.joint import JointGraph, Weighed
from gnn.network.message_graph import build_message_graph
from gnn.protocol.events import read_events
from gnn.protocol.splits import split_events
from kg.snapshot import EdgeTable, Snapshot


def edges_of(graph: JointGraph, edges: Weighed | None = None) -> set[tuple[str, int, int]]:
    """(relation, joint row of the source, joint row of the target) of every edge that carries a message."""
    rows, sources = graph.matrix((edges or graph.whole()).values).to_dense().nonzero().T
    names, targets = graph.relation[rows].tolist(), graph.target[rows].tolist()
    return {(graph.names[n], s, t) for n, s, t in zip(names, sources.tolist(), targets, strict=True)}


def test_no_event_beyond_the_history_is_reachable(shop: Snapshot) -> None:
    split = split_events(read_events(shop, ()), SplitConfig("column"))
    graph = build_message_graph(shop, split.history("valid"), GraphConfig())
    found = {(s, t - graph.n_users) for name, s, t in edges_of(graph) if name == "BOUGHT>"}
    want = set(zip(split.train.users.tolist(), split.train.items.tolist(), strict=True))
    assert found == want
    later = zip(split.test.users.tolist(), split.test.items.tolist(), strict=True)
    assert not found & set(later)


def test_both_directions_mirror_each_other_and_degrees_count_them(shop: Snapshot) -> None:
    history = split_events(read_events(shop, ()), SplitConfig("column")).history("valid")
    graph = build_message_graph(shop, history, GraphConfig())
    found = edges_of(graph)
    reverse = {(n[:-1] + {"<": ">", ">": "<"}[n[-1]], t, s) for n, s, t in found}
    assert found == reverse
    arriving = np.bincount([t for _, _, t in found], minlength=graph.n_nodes)
    np.testing.assert_array_equal(graph.whole().degree.numpy(), arriving)
    np.testing.assert_array_equal(graph.whole().had.numpy(), [history.buyers])


def test_weighted_edges_leave_in_both_directions_and_degrees_follow(shop: Snapshot) -> None:
    history = split_events(read_events(shop, ()), SplitConfig("column")).history("valid")
    graph = build_message_graph(shop, history, GraphConfig())
    weights = (torch.arange(len(history)) % 3 != 0).float()
    gone = {(int(history.users[p]), int(history.items[p])) for p in range(0, len(history), 3)}
    weighed = graph.weigh(weights)
    left = edges_of(graph, weighed)
    assert {(s, t - graph.n_users) for n, s, t in left if n == "BOUGHT>"}.isdisjoint(gone)
    assert {(t, s - graph.n_users) for n, s, t in left if n == "BOUGHT<"}.isdisjoint(gone)
    assert len(edges_of(graph)) - len(left) == 2 * len(gone)
    np.testing.assert_array_equal(weighed.degree.numpy(), np.bincount([t for _, _, t in left], minlength=graph.n_nodes))
    assert int(weighed.had.sum()) == len(history) - len(gone)


def test_relations_that_post_date_purchases_stay_out(shop: Snapshot) -> None:
    table = shop.edges[("Product", "RELATED", "Product")]
    kind = table.columns.set_column(0, "relation", [["also_bought"]])
    changed = {**shop.edges, ("Product", "RELATED", "Product"): EdgeTable(table.src, table.dst, kind)}
    written = {("User", "RECOMMENDED", "Product"): table, ("Product", "SIMILAR", "Product"): table}
    snapshot = Snapshot(shop.nodes, {**changed, **written})
    history = split_events(read_events(shop, ()), SplitConfig("column")).history("valid")
    names = build_message_graph(snapshot, history, GraphConfig()).names
    assert not [n for n in names if "also_bought" in n or "RECOMMENDED" in n or "SIMILAR" in n]
    names = build_message_graph(snapshot, history, GraphConfig(exclude_relations=())).names
    assert [n for n in names if "also_bought" in n] == [
        "RELATED:Product:also_bought:Product<",
        "RELATED:Product:also_bought:Product>",
    ]
    assert len(build_message_graph(shop, history, GraphConfig(use_brands=False)).names) == 8


def test_a_step_never_sends_what_it_predicts(shop: Snapshot) -> None:
    """The held-out pairs' vectors do not depend on the pairs: messages of other values for them change nothing."""
    history = split_events(read_events(shop, ()), SplitConfig("column")).history("valid")
    graph = build_message_graph(shop, history, GraphConfig())
    network = GraphNetwork(graph.n_users, graph.n_items, graph.n_nodes - 140, len(graph.names), 0, GnnConfig().model)
    quiet = TrainConfig(dropout=0, user_dropout=0, edge_dropout=0, product_dropout=0, device="cpu")
    trainer = NetworkTrainer(network, graph, history, None, quiet)
    batch = trainer.batches.plan(np.array([3, 8]))
    assert 0 < len(batch.hidden) < 20
    views = trainer.forward(batch)
    rest = history.where(~np.isin(np.arange(len(history)), batch.hidden.numpy()))
    without = network.whole(build_message_graph(shop, rest, GraphConfig()), None)
    torch.testing.assert_close(views.users, without.users)
    torch.testing.assert_close(views.items, without.items)
    torch.testing.assert_close(views.offset, without.offset)
