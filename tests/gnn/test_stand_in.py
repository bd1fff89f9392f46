"""What stands for parts that count where they can say nothing: products that nobody has had."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gnn.config import FusionConfig, GnnConfig, SplitConfig
from gnn.measure.lists import quality
from gnn.model.align import Realigned
from gnn.model.bundle import Bundle
from gnn.model.catalogue import CATALOGUE, make
from gnn.model.fusion import Fused, StandIn
from gnn.model.weights import find_stand_in, make_pools
from gnn.models_config import EaseConfig, ItemKnnConfig
from gnn.protocol.events import read_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Given, Items
from gnn.protocol.splits import split_events
from gnn.protocol.tasks import Task
from gnn.recommenders.ease import Ease
from gnn.recommenders.itemknn import ItemKNN
from gnn.serving.deletions import scaled_deletions
from kg.snapshot import Snapshot

Make = Callable[[Mapping[int, Sequence[int]], int, int], Interactions]
COUNTED = {"popularity", "recent-popularity", "item-knn", "user-knn", "ease", "ease-weighted", "als", "transition",
           "lightgcn", "sasrec", "tifu-knn", "up-cf"}  # fmt: skip


class Scored(Fitted):
    """The same scores for every user; a product's falls by a tenth of it when any pair is left out."""

    def __init__(self, history: Interactions, row: Sequence[float], *, counts: bool) -> None:
        self.history, self.row = history, np.asarray(row, np.float32)
        self.from_pairs, self.trained = counts, not counts

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        return np.tile(self.row if items is None else self.row[items], (histories.n_users, 1))

    def losses(self, user: Interactions, item: int) -> NDArray[np.float32]:
        return np.full(len(user), self.row[item] / 10, np.float32)


@pytest.fixture
def parts(interactions: Make) -> dict[str, Fitted]:
    """One user with products 0 and 1 of 5; product 4 has been had by nobody, 2 and 3 by a second user."""
    history = interactions({0: [0, 1], 1: [2, 3]}, 2, 5)
    net = Scored(history, [1, 2, 3, 4, 9], counts=False)
    knn = Scored(history, [2, 4, 6, 8, 0], counts=True)
    return {"net": net, "knn": knn}


WEIGHTS = {"net": 1.0, "knn": 0.5}
WARM = np.arange(4)


def test_the_network_stands_in_for_what_nobody_has_had(parts: dict[str, Fitted]) -> None:
    stand_in = StandIn("net", {"knn": (0.8, -0.3)})
    fused = Fused(parts, WEIGHTS, WARM, masks_seen=False, stand_in=stand_in)
    plain = Fused(parts, WEIGHTS, WARM, masks_seen=False)
    users = np.arange(2)
    # the network's scores of the reference 0 to 3 have mean 2.5, deviation sqrt(1.25): 9 is (9 - 2.5) / sqrt(1.25)
    z = 6.5 / np.sqrt(1.25)
    np.testing.assert_allclose(fused.scores(users)[:, 4], z + 0.5 * (0.8 * z - 0.3), rtol=1e-5)
    np.testing.assert_array_equal(fused.scores(users)[:, :4], plain.scores(users)[:, :4])
    np.testing.assert_allclose(fused.scores(users, np.array([4])), fused.scores(users)[:, [4]], rtol=1e-6)
    np.testing.assert_array_equal(fused.scores(users, WARM), plain.scores(users, WARM))
    # without it the part's zero counts against the product: (0 - 5) / sqrt(5)
    np.testing.assert_allclose(plain.scores(users)[:, 4], z - 0.5 * 5 / np.sqrt(5), rtol=1e-5)


def test_a_pair_left_out_falls_with_what_stands_in(parts: dict[str, Fitted]) -> None:
    fused = Fused(parts, WEIGHTS, WARM, masks_seen=False, stand_in=StandIn("net", {"knn": (0.8, -0.3)}))
    user = fused.history.take(np.array([0]))
    scale = {"net": np.float32(2), "knn": np.float32(4)}
    np.testing.assert_allclose(fused.losses(user, 4, scale), 0.9 * (1 + 0.5 * 0.8) / 2, rtol=1e-6)
    np.testing.assert_allclose(fused.losses(user, 3, scale), 0.4 / 2 + 0.5 * 0.8 / 4, rtol=1e-6)
    falls = scaled_deletions(fused, np.array([3, 4]))(user, np.array([1, 0]), scale)
    np.testing.assert_allclose(falls[:, 0], fused.losses(user, 4, scale), rtol=1e-6)
    np.testing.assert_allclose(falls[:, 1], fused.losses(user, 3, scale), rtol=1e-6)


def test_a_part_without_weight_stands_for_nobody(parts: dict[str, Fitted]) -> None:
    weights = {"net": 0.0, "knn": 0.5, "again": 0.5}
    more = parts | {"again": parts["knn"]}
    fused = Fused(more, weights, WARM, masks_seen=False, stand_in=StandIn("net", {"knn": (0.8, 0.3), "again": (1, 1)}))
    plain = Fused(more, weights, WARM, masks_seen=False)
    np.testing.assert_array_equal(fused.scores(np.arange(2)), plain.scores(np.arange(2)))


def test_lines_are_the_least_squares_over_the_networks_best(valid_task: Task) -> None:
    task = valid_task
    net = np.random.default_rng(1).normal(size=80).astype(np.float32)
    knn = (0.5 * net**3 + np.random.default_rng(2).normal(size=80)).astype(np.float32)
    parts: dict[str, Fitted] = {
        "knn": Scored(task.history, knn.tolist(), counts=True),
        "net": Scored(task.history, net.tolist(), counts=False),
        "other": Scored(task.history, knn.tolist(), counts=False),
    }
    found = find_stand_in(make_pools(task, parts, FusionConfig(pool=12), 0, 10**6), parts, 12)
    assert found is not None
    assert (found.name, list(found.lines)) == ("net", ["knn"])
    xs, ys = [], []
    for user in task.users:
        own = task.history.take(np.array([user])).items
        free = np.setdiff1d(task.candidates, own)
        best = free[np.argsort(-net[free], kind="stable")[:12]]
        xs += ((net[best] - net[free].mean()) / net[free].std()).tolist()
        ys += ((knn[best] - knn[free].mean()) / knn[free].std()).tolist()
    np.testing.assert_allclose(found.lines["knn"], np.polyfit(xs, ys, 1), rtol=1e-4)
    del parts["net"], parts["other"]
    assert find_stand_in(make_pools(task, parts, FusionConfig(pool=12), 0, 10**6), parts, 12) is None


def without(history: Interactions, items: Sequence[int]) -> Interactions:
    return history.where(~np.isin(history.items, items))


def test_validation_ranks_what_stands_in_as_it_is_served(valid_task: Task) -> None:
    known = without(valid_task.history, np.arange(10, 20).tolist())
    task = replace(valid_task, history=known)
    parts: dict[str, Fitted] = {
        "net": Scored(known, np.linspace(3, -3, 80).tolist(), counts=False),
        "ease": Ease(EaseConfig(penalties=(5.0,))),
        "knn": ItemKNN(ItemKnnConfig(1, 20)),
    }
    for name in ("ease", "knn"):
        parts[name].fit(known)
    names = list(parts)
    pools = make_pools(task, parts, FusionConfig(pool=80), 0, 3000)
    stand_in = find_stand_in(pools, parts, 80)
    weights = {"net": 1.0, "ease": 0.5, "knn": 2.0}
    fused = Fused(parts, weights, task.candidates, masks_seen=True, stand_in=stand_in)
    total = np.asarray(list(weights.values()), np.float32)
    filled = pools.filled(names, stand_in)
    assert filled.ndcg(filled.total(total), 10) == pytest.approx(quality(task, fused, 10, 2000), abs=1e-9)
    assert pools.filled(names, None) is pools
    scores = fused.scores(task.users)
    z = (scores - scores.mean(1, keepdims=True))[:, 10:20]
    assert (np.diff(z, axis=1) < 0).all()  # the network's order, since it alone speaks of them


def test_catalogue_says_which_recommenders_count() -> None:
    assert {name for name in CATALOGUE if make(name, GnnConfig(), None).from_pairs} == COUNTED


@pytest.mark.parametrize("name", sorted(COUNTED))
def test_what_counts_has_one_score_for_products_that_nobody_had(
    name: str, shop: Snapshot, text: NDArray[np.float32], config: GnnConfig
) -> None:
    history = without(split_events(read_events(shop, ()), SplitConfig("column")).history("valid"), [5, 7, 30])
    part = make(name, config, Given(shop, text))
    part.fit(history)
    assert np.flatnonzero(part.unknown()).tolist() == np.flatnonzero(history.buyers == 0).tolist()
    scores = part.scores(np.arange(60))[:, [5, 7, 30]]
    np.testing.assert_array_equal(scores, scores[:, :1].repeat(3, 1))


def test_a_part_moved_to_other_rows_does_not_know_new_products(interactions: Make) -> None:
    inner = ItemKNN(ItemKnnConfig(1, 5))
    inner.fit(interactions({0: [0, 1], 1: [0, 1]}, 2, 3))
    moved = Realigned(inner, np.array([2, -1, 1, 0]), interactions({0: [1, 2], 1: [1]}, 2, 4))
    assert moved.from_pairs
    assert moved.unknown().tolist() == [True, True, False, False]


def test_bundle_keeps_what_stands_in(bundle_folder: Path) -> None:
    bundle = Bundle.load(bundle_folder)
    stand_in = bundle.stand_ins["new-product"]
    assert stand_in.name == "network"
    assert set(stand_in.lines) <= COUNTED
    assert len(stand_in.lines) > 1
    assert bundle.fused(bundle.parts, np.arange(80), "new-product").stand_in == stand_in
