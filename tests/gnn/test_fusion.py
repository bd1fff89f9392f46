from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gnn.config import FusionConfig
from gnn.measure.lists import quality
from gnn.model.fusion import Fused, standard
from gnn.model.weights import make_pools, search_weights
from gnn.models_config import EaseConfig, ItemKnnConfig
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Items
from gnn.protocol.tasks import Task
from gnn.recommenders.ease import Ease
from gnn.recommenders.itemknn import ItemKNN
from gnn.serving.deletions import scaled_deletions, scaled_scores

Make = Callable[[Mapping[int, Sequence[int]], int, int], Interactions]


class Table(Fitted):
    """Scores read from a table, whatever the history."""

    def __init__(self, history: Interactions, rows: Sequence[Sequence[float]]) -> None:
        self.history, self.rows = history, np.asarray(rows, np.float32)

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        whole = np.repeat(self.rows[:1], histories.n_users, 0) if len(self.rows) == 1 else self.rows
        return whole.copy() if items is None else whole[:, items]


def test_scores_are_standardised_over_unseen_references(interactions: Make) -> None:
    history = interactions({0: [3]}, 1, 5)
    a, b = Table(history, [[1, 2, 3, 100, 50]]), Table(history, [[0, 0, 6, 0, 0]])
    fused = Fused({"a": a, "b": b}, {"a": 1.0, "b": 0.5}, np.array([0, 1, 2, 3]), masks_seen=True)
    # a over products 0, 1, 2: mean 2, deviation sqrt(2/3); b: mean 2, deviation sqrt(8); product 4 is only scaled
    root, other = np.sqrt(2 / 3), np.sqrt(8)
    want = [(-1 / root) + 0.5 * (-2 / other), 0.5 * (-2 / other), 1 / root + 0.5 * 4 / other]
    np.testing.assert_allclose(fused.scores(np.array([0]))[0, :3], want, rtol=1e-5)
    assert fused.scores(np.array([0]))[0, 4] == pytest.approx(48 / root - 0.5 * 2 / other, rel=1e-5)
    np.testing.assert_allclose(fused.scores(np.array([0]), np.array([1, 4])), fused.scores(np.array([0]))[:, [1, 4]])


def test_a_constant_component_adds_nothing() -> None:
    mean, deviation = standard(np.full((2, 7), 3.3, np.float32), None)
    np.testing.assert_allclose(mean, 3.3, rtol=1e-6)
    assert deviation.tolist() == [1, 1]


def test_components_of_weight_zero_are_not_computed(interactions: Make) -> None:
    history = interactions({0: [1]}, 1, 2)
    fused = Fused({"a": Table(history, [[1, 0]]), "b": Fitted()}, {"a": 1.0, "b": 0.0}, np.arange(2), masks_seen=False)
    assert fused.scores(np.array([0])).argmax() == 0


def test_search_finds_the_component_that_knows(valid_task: Task) -> None:
    task = valid_task
    truth = np.zeros((60, 80), np.float32)
    truth[task.users[task.relevant.users], task.candidates[task.relevant.items]] = 1
    noise = np.random.default_rng(0).normal(size=(60, 80)).astype(np.float32)
    parts = {
        "network": Table(task.history, noise),
        "knows": Table(task.history, truth),
        "no": Table(task.history, -truth),
    }
    pools = make_pools(task, parts, FusionConfig(), 0, 10**7)
    weights, value = search_weights(pools, list(parts), FusionConfig(), 5)
    assert value == pytest.approx(1.0)
    assert weights["knows"] > weights["no"] == 0


def test_pools_wide_enough_give_the_quality_of_all_products(valid_task: Task) -> None:
    task = valid_task
    parts: dict[str, Fitted] = {"ease": Ease(EaseConfig(penalties=(5.0,))), "knn": ItemKNN(ItemKnnConfig(1, 20))}
    for part in parts.values():
        part.fit(task.history)
    pools = make_pools(task, parts, FusionConfig(pool=80), 0, 3000)
    found = pools.ndcg(pools.total(np.array([1.0, 0.5], np.float32)), 10)
    fused = Fused(parts, {"ease": 1.0, "knn": 0.5}, task.candidates, masks_seen=True)
    assert found == pytest.approx(quality(task, fused, 10, 2000), abs=2e-3)
    few = make_pools(task, parts, replace(FusionConfig(), users=10), 0, 3000)
    assert len(few.relevant) == 10


def test_losses_of_the_fusion_are_those_of_its_parts(valid_task: Task) -> None:
    task = valid_task
    parts: dict[str, Fitted] = {"ease": Ease(EaseConfig(penalties=(5.0,))), "knn": ItemKNN(ItemKnnConfig(1, 20))}
    for part in parts.values():
        part.fit(task.history)
    fused = Fused(parts, {"ease": 1.0, "knn": 0.5}, task.candidates, masks_seen=True)
    user = task.history.take(np.array([4]))
    scale = fused.deviations(user)
    want = parts["ease"].losses(user, 9) / scale["ease"] + 0.5 * parts["knn"].losses(user, 9) / scale["knn"]
    np.testing.assert_allclose(fused.losses(user, 9), want, rtol=1e-5)
    falls = scaled_deletions(fused, np.array([9, 3]))(user, np.array([1, 0]), scale)
    np.testing.assert_allclose(falls[:, 1], want, rtol=1e-5)
    np.testing.assert_allclose(falls[:, 0], fused.losses(user, 3), rtol=1e-5)


@pytest.mark.parametrize("masks", [True, False])
def test_scaled_scores_are_the_scores_and_each_users_deviations(valid_task: Task, masks: bool) -> None:
    task = valid_task
    parts: dict[str, Fitted] = {"ease": Ease(EaseConfig(penalties=(5.0,))), "knn": ItemKNN(ItemKnnConfig(1, 20))}
    for part in parts.values():
        part.fit(task.history)
    users, items = np.array([4, 0, 7]), np.array([2, 3, 11])
    for some in (parts, {"knn": parts["knn"]}):
        fused = Fused(some, dict.fromkeys(some, 0.5), task.candidates, masks_seen=masks)
        scores, deviations = scaled_scores(fused, users, items)
        np.testing.assert_array_equal(scores, fused.scores(users, items))
        for n, user in enumerate(users):
            for name, value in fused.deviations(task.history.take(np.array([user]))).items():
                assert deviations[name][n] == pytest.approx(value, rel=1e-5)
