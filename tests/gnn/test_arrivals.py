"""What a product that nobody has had is promised."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from gnn.config import GnnConfig, GraphConfig, SplitConfig
from gnn.network.arrivals import FOLDS, PENALTY, settle_arrivals, told_of
from gnn.network.graph_network import GraphNetwork, TextFeatures
from gnn.network.joint import JointGraph
from gnn.network.message_graph import build_message_graph
from gnn.network.reading import Reading
from gnn.network.recommender import Network, NetworkRecommender, make_network
from gnn.protocol.events import read_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Given
from gnn.protocol.splits import split_events
from ingest.config_dict import from_dict
from kg.snapshot import Snapshot

COLD = 7
"""The product that nobody has had."""


def known(shop: Snapshot) -> Interactions:
    history = split_events(read_events(shop, ()), SplitConfig("column")).history("valid")
    return history.where(history.items != COLD)


@dataclass(frozen=True)
class Trained:
    """A network and what it has learned from."""

    network: Network
    graph: JointGraph
    history: Interactions
    text: TextFeatures

    @property
    def offset(self) -> torch.Tensor:
        if isinstance(self.network, GraphNetwork):
            return self.network.whole(self.graph, self.text).offset
        buyers = torch.from_numpy(self.history.buyers.astype(np.float32))
        return self.network.views(self.graph, self.text, buyers).offset


def graph_of(shop: Snapshot, history: Interactions, user: Reading) -> JointGraph:
    return build_message_graph(shop, history, GraphConfig(), users=user == "set")


def trained(shop: Snapshot, text: NDArray[np.float32], user: Reading) -> Trained:
    """A network whose weights are all far from their start."""
    history, features = known(shop), TextFeatures.of(text)
    graph = graph_of(shop, history, user)
    network = make_network(graph, history, features, from_dict(GnnConfig, {"model": {"dim": 8}}, "test"), user)
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.add_(torch.randn(weight.shape, generator=noise), alpha=0.3)
            if name in ("item_ids", "bias"):
                weight[COLD] = 0
    return Trained(network.eval(), graph, history, features)


@pytest.mark.parametrize("user", ["set", "sequence"])
def test_the_promise_is_the_ridge_of_offsets_on_the_vectors_of_new_products(
    shop: Snapshot, text: NDArray[np.float32], user: Reading
) -> None:
    """scikit-learn's ridge, on vectors from graphs in which a tenth of the products has no users and no id."""
    made = trained(shop, text, user)
    network, history, offset = made.network, made.history, made.offset
    settle_arrivals(network, made.graph, made.text, history, offset)
    rows = np.flatnonzero(history.buyers > 0)
    vectors = np.zeros((len(offset), 8))
    with torch.no_grad():
        for fold in range(FOLDS):
            new = rows[fold::FOLDS]
            left = graph_of(shop, history.where(~np.isin(history.items, new)), user)
            kept = network.item_ids[new].clone()
            network.item_ids[new] = 0
            vectors[new] = network.items(left, left.whole(), made.text)[new].numpy()
            network.item_ids[new] = kept
    apart = vectors[rows] - vectors[rows].mean(0)
    ridge = Ridge(alpha=PENALTY * (apart**2).sum(0).mean() / len(rows)).fit(vectors[rows], offset.numpy()[rows])
    np.testing.assert_allclose(network.arrival[:-1].numpy(), ridge.coef_, rtol=2e-3, atol=1e-4)
    assert network.arrival[-1].item() == pytest.approx(float(ridge.intercept_), rel=1e-3)


@pytest.mark.parametrize("user", ["set", "sequence"])
def test_only_a_product_that_nobody_had_takes_what_is_promised(
    shop: Snapshot, text: NDArray[np.float32], user: Reading
) -> None:
    made = trained(shop, text, user)
    before = made.offset
    assert before[COLD] == 0  # nothing has been promised yet
    made.network.arrival[-1] = 1.5
    after = made.offset
    assert after[COLD] == 1.5
    others = np.arange(len(before)) != COLD
    torch.testing.assert_close(after[others], before[others], rtol=0, atol=0)
    # a promise that its first users have overtaken is none any more
    made.network.arrival[-1] = -9.0
    assert made.offset[COLD] == 0


def test_training_settles_it_and_another_graph_keeps_it(shop: Snapshot, text: NDArray[np.float32]) -> None:
    given_as = {"model": {"user": "set"}, "train": {"device": "cpu", "epochs": 2}}
    config = from_dict(GnnConfig, given_as, "test")
    history, given = known(shop), Given(shop, text)
    fitted = NetworkRecommender(config, given)
    fitted.fit(history)
    arrival = fitted.weights["arrival"]
    assert arrival.isfinite().all()
    assert arrival.any()
    promise = fitted.items[COLD] @ arrival[:-1].numpy() + arrival[-1].item()
    assert fitted.inner.offset[COLD] == pytest.approx(max(0.0, float(promise)), abs=1e-5)
    moved = fitted.moved(given, history, {label: table.ids for label, table in shop.nodes.items()})
    torch.testing.assert_close(moved.weights["arrival"], arrival, rtol=0, atol=0)
    np.testing.assert_allclose(moved.inner.offset, fitted.inner.offset, atol=1e-6)


def test_where_nothing_tells_of_products_nothing_is_promised(shop: Snapshot) -> None:
    history = known(shop)
    config = from_dict(
        GnnConfig,
        {
            "graph": {"use_brands": False, "use_categories": False, "use_related": False, "use_text": False},
            "train": {"device": "cpu", "epochs": 1},
        },
        "test",
    )
    assert not told_of(build_message_graph(shop, history, config.graph), None).any()
    fitted = NetworkRecommender(config, Given(shop, None))
    fitted.fit(history)
    assert not fitted.weights["arrival"].any()
