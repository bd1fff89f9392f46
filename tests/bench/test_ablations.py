"""What the ablations switch off, and nothing else."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from bench.ablations import VARIANTS, leaking, shuffled
from gnn.config import GnnConfig
from gnn.network.fit import NetworkTrainer
from gnn.network.graph_network import GraphNetwork
from gnn.network.message_graph import build_message_graph
from gnn.network.recommender import make_network
from gnn.protocol.events import read_events
from gnn.protocol.interactions import Interactions
from gnn.tuning.spaces import applied
from ingest.config_dict import from_dict
from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot


def nodes(prefix: str, many: int) -> NodeTable:
    return NodeTable(IdMap.of([f"{prefix}{n:02d}" for n in range(many)]), bare(many))


def bare(many: int) -> pa.Table:
    return pa.table({"_": pa.nulls(many)}).drop_columns(["_"])


@pytest.fixture
def shop() -> Snapshot:
    """Ten users who bought five of thirty products each, of three brands; two products are variants."""
    rng = np.random.default_rng(0)
    bought = np.concatenate([np.sort(rng.choice(30, 5, replace=False)) for _ in range(10)])
    edges = {
        ("User", "PURCHASED", "Product"): EdgeTable(np.repeat(np.arange(10), 5), bought, bare(50)),
        ("Product", "MADE_BY", "Brand"): EdgeTable(np.arange(30), np.arange(30) % 3, bare(30)),
        ("Product", "VARIANT_OF", "Product"): EdgeTable(np.array([4]), np.array([7]), bare(1)),
    }
    return Snapshot({"User": nodes("u", 10), "Product": nodes("p", 30), "Brand": nodes("b", 3)}, edges)


def test_a_shuffled_graph_has_the_same_sizes_and_other_neighbours(shop: Snapshot) -> None:
    found = shuffled(shop)
    brand = ("Product", "MADE_BY", "Brand")
    assert sorted(found.edges[brand].src) == list(range(30))
    np.testing.assert_array_equal(np.bincount(found.edges[brand].dst), [10, 10, 10])
    made = np.empty(30, np.int64)
    made[found.edges[brand].src] = found.edges[brand].dst
    assert 5 < np.count_nonzero(made != np.arange(30) % 3) < 29
    for key in (("User", "PURCHASED", "Product"), ("Product", "VARIANT_OF", "Product")):
        assert found.edges[key] is shop.edges[key]


def test_a_leaking_step_sees_what_it_predicts(shop: Snapshot) -> None:
    quiet = dict.fromkeys(("dropout", "user_dropout", "product_dropout", "edge_dropout"), 0.0)
    config = from_dict(GnnConfig, {"train": {"device": "cpu", **quiet}}, "test")
    history = Interactions.from_events(read_events(shop, ()))
    graph = build_message_graph(shop, history, config.graph)
    network = make_network(graph, history, None, config)
    assert isinstance(network, GraphNetwork)
    trainer = NetworkTrainer(network, graph, history, None, config.train)
    batch = trainer.batches.plan(np.arange(10))
    whole = trainer.views()
    torch.testing.assert_close(leaking(trainer, batch).items, whole.items)
    assert not torch.allclose(trainer.forward(batch).items, whole.items)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_changes_the_settings_that_it_names(name: str) -> None:
    variant = VARIANTS[name]
    changed = applied(GnnConfig(), variant.settings) != GnnConfig()
    assert changed == bool(variant.settings)
    assert changed or variant.shuffled or variant.leaking or name == "whole"
