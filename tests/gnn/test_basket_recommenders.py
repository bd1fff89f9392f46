import numpy as np
import pytest

from gnn.models_config import TifuKnnConfig, UpCfConfig
from gnn.protocol.events import DAY, Events
from gnn.protocol.interactions import Interactions
from gnn.recommenders.tifu_knn import TifuKnn
from gnn.recommenders.up_cf import UpCf

Basket = set[int]
USERS, ITEMS = 14, 16


def some_baskets(seed: int) -> list[list[Basket]]:
    """Of every user, 1 to 12 baskets of 1 to 5 products."""
    rng = np.random.default_rng(seed)
    return [
        [set(rng.integers(ITEMS, size=rng.integers(1, 6)).tolist()) for _ in range(rng.integers(1, 13))]
        for _ in range(USERS)
    ]


def history_of(baskets: list[list[Basket]], seed: int = 0) -> Interactions:
    """The events in any order, one of them twice."""
    rows = [(u, i, day) for u, own in enumerate(baskets) for day, basket in enumerate(own) for i in basket]
    rows = [*rows, rows[0]]
    user, item, day = np.asarray(rows)[np.random.default_rng(seed).permutation(len(rows))].T
    return Interactions.from_events(Events(user, item, day * DAY, True, None, len(baskets), ITEMS))


def item_frequencies(baskets: list[Basket], c: TifuKnnConfig) -> np.ndarray:
    """Section 4.1 of the paper: groups of baskets, decayed within the group, then the groups decayed."""
    groups = min(c.groups, len(baskets))
    base, longer = divmod(len(baskets), groups)
    vector, at = np.zeros(ITEMS), 0
    for g in range(1, groups + 1):
        size = base + (g > groups - longer)
        group = np.zeros(ITEMS)
        for j in range(1, size + 1):
            for item in baskets[at]:
                group[item] += c.within_decay ** (size - j)
            at += 1
        vector += c.group_decay ** (groups - g) * group / size
    assert at == len(baskets)
    return vector / groups


@pytest.mark.parametrize("config", [TifuKnnConfig(3, 0.9, 0.7, 5, 0.6), TifuKnnConfig(7, 0.8, 0.6, 300, 0.2)])
def test_tifu_knn_equals_the_papers_formulas(config: TifuKnnConfig) -> None:
    baskets = some_baskets(2)
    vectors = np.stack([item_frequencies(own, config) for own in baskets])
    tifu = TifuKnn(config)
    tifu.fit(history_of(baskets))
    want = np.zeros((USERS, ITEMS))
    for user in range(USERS):
        distance = np.linalg.norm(vectors - vectors[user], axis=1)
        near = [v for v in np.argsort(distance, kind="stable") if v != user][: config.neighbours]
        want[user] = config.alpha * vectors[user] + (1 - config.alpha) * vectors[near].mean(0)
    np.testing.assert_allclose(tifu.scores(np.arange(USERS)), want, rtol=1e-5, atol=1e-6)


def test_item_frequencies_by_hand() -> None:
    """Five baskets in two groups of two and three: product 0 in all, product 1 in the newest, 2 in the oldest."""
    tifu = TifuKnn(TifuKnnConfig(groups=2, within_decay=0.5, group_decay=0.1, alpha=1.0))
    tifu.fit(history_of([[{0, 2}, {0}, {0}, {0}, {0, 1}]]))
    old, new = 0.1 / 2, 1 / 2
    want = [old * 1.5 / 2 + new * 1.75 / 3, new * 1 / 3, old * 0.5 / 2]
    np.testing.assert_allclose(tifu.scores(np.array([0]))[0, :3], want, rtol=1e-6)


def test_users_without_baskets_are_nobodys_neighbours() -> None:
    """The empty vector is near to that of a short history, yet says nothing."""
    tifu = TifuKnn(TifuKnnConfig(neighbours=1, alpha=0.0))
    tifu.fit(history_of([[{0}], [], [{1, 2, 3, 4}]]))
    np.testing.assert_allclose(tifu.scores(np.array([0]))[0, :5], [0, 1, 1, 1, 1])


def recent_popularity(baskets: list[Basket], recent: int) -> np.ndarray:
    last = baskets[-recent:]
    return np.asarray([sum(item in basket for basket in last) / max(1, len(last)) for item in range(ITEMS)])


@pytest.mark.parametrize("config", [UpCfConfig(4, 0.25, 3.0), UpCfConfig(100, 0.5, 1.0)])
def test_up_cf_equals_the_papers_formulas(config: UpCfConfig) -> None:
    baskets = some_baskets(5)
    ever = [set().union(*own) for own in baskets]
    popularity = np.stack([recent_popularity(own, config.recent) for own in baskets])
    want = np.zeros((USERS, ITEMS))
    for u in range(USERS):
        for v in range(USERS):
            norm = len(ever[u]) ** config.asymmetry * len(ever[v]) ** (1 - config.asymmetry)
            want[u] += (len(ever[u] & ever[v]) / norm) ** config.locality * popularity[v]
    up_cf = UpCf(config)
    up_cf.fit(history_of(baskets))
    np.testing.assert_allclose(up_cf.scores(np.arange(USERS)), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("recommender", [TifuKnn(TifuKnnConfig(neighbours=3)), UpCf()], ids=lambda r: r.name)
def test_they_are_judged_by_the_next_purchase(recommender: TifuKnn | UpCf) -> None:
    assert recommender.asks == "next-purchase"
    baskets = some_baskets(7)
    recommender.fit(history_of(baskets))
    known = recommender.scores(np.arange(USERS))
    own = np.stack([[any(i in basket for basket in part) for i in range(ITEMS)] for part in baskets])
    assert known[own].mean() > 2 * known[~own].mean()


def test_the_owner_of_a_longer_history_is_a_neighbour_like_any_other() -> None:
    """User 0 comes with one more basket than at the fit: the row fitted then counts beside user 1."""
    up_cf = UpCf(UpCfConfig(recent=1, asymmetry=0.5, locality=1.0))
    up_cf.fit(history_of([[{0}], [{1}]]))
    now = history_of([[{0}, {1}]])
    half = 1 / np.sqrt(2)
    np.testing.assert_allclose(up_cf.scores_for(now)[0, :3], [half, 1 + half, 0], rtol=1e-6)
