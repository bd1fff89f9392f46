import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from gnn.models_config import AlsConfig
from gnn.protocol.events import DAY, Events
from gnn.protocol.interactions import Interactions
from gnn.recommenders.als import Als

CONFIG = AlsConfig(factors=6, regularization=0.3, alpha=4.0, iterations=8, weighting="count")


def some_history(seed: int = 0, users: int = 30, items: int = 25) -> Interactions:
    """Two tastes, products again and again, one user and two products without any."""
    rng = np.random.default_rng(seed)
    user = rng.integers(users - 1, size=400)
    item = (rng.integers((items - 2) // 2, size=400) * 2 + user % 2) % (items - 2)
    return Interactions.from_events(Events(user, item, np.arange(400) * DAY, True, None, users, items))


def fitted(seed: int = 3) -> Als:
    als = Als(CONFIG, seed)
    als.fit(some_history())
    return als


def test_a_user_is_the_solution_of_the_papers_equation() -> None:
    als, history = fitted(), some_history()
    y = als.state()["items"].astype(np.float64)
    want = np.zeros((30, 25))
    for user in range(30):
        weights = np.zeros(25)
        weights[history.of(user)] = np.log1p(history.counts[history.indptr[user] : history.indptr[user + 1]])
        confidence, taken = np.diag(1 + 4.0 * weights), weights > 0
        x = np.linalg.solve(y.T @ confidence @ y + 0.3 * np.eye(6), y.T @ confidence @ taken)
        want[user] = y @ x
    np.testing.assert_allclose(als.scores(np.arange(30)), want, atol=2e-5)
    assert not als.scores(np.array([29])).any()
    assert not als.scores(np.arange(30), np.array([23, 24])).any()


def test_factors_and_folding_in_are_those_of_the_library() -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    history = some_history()
    confidence = history.matrix((1 + 4 * np.log1p(history.counts)).astype(np.float32))
    with threadpool_limits(1, "blas"):
        theirs = AlternatingLeastSquares(6, 0.3, iterations=8, num_threads=1, random_state=3)
        theirs.fit(confidence, show_progress=False)
        users = theirs.recalculate_user(np.arange(30), confidence)
    als = fitted()
    np.testing.assert_allclose(als.scores(np.arange(30)), users @ theirs.item_factors.T, atol=2e-4)


def test_a_fit_repeats_to_the_bit_and_the_seed_matters() -> None:
    one, two, other = (fitted(seed).state()["items"] for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 1e-3


def test_more_confidence_brings_a_products_score_nearer_to_one() -> None:
    history = some_history()
    own = np.zeros((30, 25), np.bool_)
    own[history.users, history.items] = True
    gaps = []
    for alpha in (1.0, 40.0):
        als = Als(AlsConfig(factors=6, alpha=alpha, regularization=0.3))
        als.fit(history)
        gaps.append(float(np.abs(1 - als.scores(np.arange(30))[own]).mean()))
    assert gaps[1] < gaps[0]
    assert gaps[1] == pytest.approx(0, abs=0.1)
