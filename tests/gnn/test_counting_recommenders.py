from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from gnn.errors import GnnError
from gnn.models_config import EaseConfig, ItemKnnConfig, OwnRepeatsConfig, SideWeights, Weighting
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Work
from gnn.recommenders.counting import OwnRepeats, Popularity
from gnn.recommenders.ease import Ease
from gnn.recommenders.itemknn import ItemKNN

Make = Callable[[Mapping[int, Sequence[int]], int, int], Interactions]


def knn_with(shrink: float, neighbours: int = 200) -> ItemKNN:
    return ItemKNN(ItemKnnConfig(shrink=shrink, neighbours=neighbours))


def ease_with(penalty: float, weighting: Weighting = "binary", memory_gb: float = 4.0) -> Ease:
    return Ease(EaseConfig(penalties=(penalty,), weighting=weighting), memory_gb, f"ease-{weighting}")


def random_history(make: Make, users: int, items: int, seed: int = 0) -> Interactions:
    taken = np.random.default_rng(seed).random((users, items)) < 0.3
    return make({u: np.flatnonzero(taken[u]).tolist() for u in range(users)}, users, items)


def checkerboard(make: Make, size: int = 20) -> tuple[Interactions, list[int]]:
    """User u has every product of its parity but one."""
    held = [(u + 6) % size for u in range(size)]
    return make({u: [i for i in range(u % 2, size, 2) if i != held[u]] for u in range(size)}, size, size), held


@pytest.mark.parametrize("recommender", [knn_with(1), ease_with(1), ease_with(1, "recency")], ids=lambda r: r.name)
def test_checkerboard_returns_the_withheld_product(recommender: Fitted, interactions: Make) -> None:
    history, held = checkerboard(interactions)
    recommender.fit(history)
    scores = recommender.scores(np.arange(20))
    scores[history.users, history.items] = -np.inf
    assert scores.argmax(1).tolist() == held


def test_popularity_counts_buyers(interactions: Make) -> None:
    popular = Popularity()
    popular.fit(interactions({0: [0, 1], 1: [1], 2: [1, 3]}, 3, 4))
    assert popular.scores(np.array([0, 2])).tolist() == [[1, 3, 0, 1]] * 2
    assert popular.scores(np.array([1]), np.array([1, 2])).tolist() == [[3, 0]]


def test_own_repeats_score_what_was_bought(interactions: Make) -> None:
    own = OwnRepeats()
    own.fit(interactions({0: [0, 0, 0, 2], 1: [1]}, 2, 3))
    np.testing.assert_allclose(own.scores(np.array([0, 1])), [[np.log(4), 0, np.log(2)], [0, np.log(2), 0]], rtol=1e-6)


def naive_ease(x: np.ndarray, penalty: float) -> np.ndarray:
    """Steck's Algorithm 1 in float64."""
    inverse = np.linalg.inv(x.T @ x + penalty * np.eye(x.shape[1]))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return np.asarray(x @ weights)


@pytest.mark.parametrize(("users", "items"), [(12, 40), (40, 12)])
@pytest.mark.parametrize("weighting", ["binary", "count", "recency"])
def test_ease_dual_and_primal_are_the_naive_formula(
    users: int, items: int, weighting: Weighting, interactions: Make
) -> None:
    history = random_history(interactions, users, items)
    ease = ease_with(3.0, weighting)
    ease.fit(history)
    assert ease.dual == (users < items)
    x = ease.values(history).toarray().astype(np.float64)
    np.testing.assert_allclose(ease.scores(np.arange(users)), naive_ease(x, 3.0), atol=2e-5)
    some = np.array([1, 5, 7])
    np.testing.assert_allclose(ease.scores(np.arange(users), some), ease.scores(np.arange(users))[:, some], atol=1e-6)


def test_ease_of_products_without_buyers_is_zero(interactions: Make) -> None:
    ease = ease_with(1.0)
    ease.fit(interactions({0: [0, 2], 1: [2, 4]}, 2, 6))
    assert ease.scores(np.array([0]))[0, [1, 3, 5]].tolist() == [0, 0, 0]


def test_ease_beyond_its_memory_says_so(interactions: Make) -> None:
    with pytest.raises(GnnError, match=r"models\.memory_gb"):
        ease_with(1.0, memory_gb=1e-9).fit(random_history(interactions, 9, 9))


@pytest.mark.parametrize("neighbours", [3, 100])
def test_knn_equals_the_dense_formula(neighbours: int, interactions: Make) -> None:
    history = random_history(interactions, 25, 18)
    knn = knn_with(2.0, neighbours)
    knn.fit(history)
    x = history.matrix().toarray().astype(np.float64)
    together, size = x.T @ x, np.sqrt(x.sum(0))
    cosine = together / (np.outer(size, size) + 2.0)
    np.fill_diagonal(cosine, 0)
    for row in cosine:
        best = sorted(range(18), key=lambda c: (-np.float32(row[c]), c))[:neighbours]
        row[[c for c in range(18) if c not in best]] = 0
    np.testing.assert_allclose(knn.scores(np.arange(25)), x @ cosine.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "recommender",
    [Popularity(), OwnRepeats(), knn_with(1, 5), ease_with(2), ease_with(2, "recency")],
    ids=lambda r: r.name,
)
@pytest.mark.parametrize(("users", "items"), [(10, 25), (25, 10)])
def test_losses_are_the_scores_lost_by_deletion(
    recommender: Fitted, users: int, items: int, interactions: Make
) -> None:
    history = random_history(interactions, users, items, 4)
    recommender.fit(history)
    user = history.take(np.array([3]))
    for item in (0, int(user.items[0])):
        found = recommender.losses(user, item)
        whole = recommender.scores_for(user)[0, item]
        for n in range(len(user)):
            less = user.where(np.arange(len(user)) != n)
            assert found[n] == pytest.approx(whole - recommender.scores_for(less)[0, item], abs=1e-5)


@pytest.mark.parametrize("recommender", [Popularity, OwnRepeats, lambda: knn_with(1, 4), lambda: ease_with(2)])
def test_restored_from_its_state_it_scores_the_same(recommender: Callable[[], Fitted], interactions: Make) -> None:
    history = random_history(interactions, 12, 20)
    one, two = recommender(), recommender()
    one.fit(history)
    two.restore(history, one.state(), one.facts)
    np.testing.assert_array_equal(one.scores(np.arange(12)), two.scores(np.arange(12)))


def test_the_forms_of_ease_agree(interactions: Make) -> None:
    history = random_history(interactions, 15, 15)
    forms = [Ease(EaseConfig(penalties=(2.0,), form=form)) for form in ("primal", "dual")]
    for ease in forms:
        ease.fit(history)
    assert [ease.dual for ease in forms] == [False, True]
    users = np.arange(15)
    np.testing.assert_allclose(forms[0].scores(users), forms[1].scores(users), atol=2e-5)


def test_validation_chooses_the_penalty_and_a_later_fit_keeps_it(interactions: Make) -> None:
    history = random_history(interactions, 12, 20)
    ease = Ease(EaseConfig(penalties=(1.0, 10.0, 100.0, 1000.0)))
    ease.fit(history, Work(judge=lambda part: -abs(np.log10(getattr(part, "penalty", 0)) - 1)))
    assert ease.facts == {"penalty": 10.0}
    ease.take_in(random_history(interactions, 12, 20, 5))
    assert ease.penalty == 10.0


@pytest.mark.parametrize("penalties", [(), (0.0,), (-1.0, 5.0)])
def test_penalties_must_be_positive(penalties: tuple[float, ...], interactions: Make) -> None:
    with pytest.raises(GnnError, match="give positive numbers"):
        Ease(EaseConfig(penalties=penalties)).fit(random_history(interactions, 4, 4))


def test_other_behaviours_weigh_what_the_settings_say(interactions: Make) -> None:
    bought, viewed = interactions({0: [0], 1: [1]}, 2, 4), interactions({0: [1, 2, 2], 1: [3]}, 2, 4)
    history = replace(bought, side={"view": viewed})
    own = OwnRepeats(OwnRepeatsConfig(side=SideWeights(view=0.5)))
    own.fit(history)
    two, three = np.log(2), np.log(3)
    np.testing.assert_allclose(own.scores(np.array([0])), [[two, two / 2, three / 2, 0]], rtol=1e-6)
    assert not own.repeats_only
    own.fit(bought)
    assert own.repeats_only
    knn = ItemKNN(ItemKnnConfig(shrink=0.0, side=SideWeights(view=1.0)))
    knn.fit(history)
    x = np.array([[1, two, three, 0], [0, 1, 0, two]])
    cosine = x.T @ x / np.maximum(np.outer(np.linalg.norm(x, axis=0), np.linalg.norm(x, axis=0)), 1e-12)
    np.fill_diagonal(cosine, 0)
    np.testing.assert_allclose(knn.scores(np.arange(2)), x @ cosine, rtol=1e-5)
