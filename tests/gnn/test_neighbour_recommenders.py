from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from gnn.models_config import ItemKnnConfig, RecentPopularityConfig, TransitionConfig, UserKnnConfig
from gnn.protocol.events import DAY, UNKNOWN, Events
from gnn.protocol.interactions import Interactions
from gnn.recommenders.baskets import baskets_of, newest_ages
from gnn.recommenders.counting import RecentPopularity
from gnn.recommenders.inputs import without_each
from gnn.recommenders.itemknn import ItemKNN
from gnn.recommenders.transition import Transition
from gnn.recommenders.userknn import UserKNN

Make = Callable[[Mapping[int, Sequence[int]], int, int], Interactions]
SHARED = Path(__file__).parents[3] / "shared" / "data" / "lastfm-kg"


def bought(rows: list[tuple[int, int, int]], users: int, items: int, *, timed: bool = True) -> Interactions:
    """Interactions of (user, product, day)."""
    user, item, day = np.asarray(rows, dtype=np.int64).T
    return Interactions.from_events(Events(user, item, day * DAY, timed, None, users, items))


def random_baskets(users: int, items: int, seed: int = 0) -> list[tuple[int, int, int]]:
    rng = np.random.default_rng(seed)
    return [
        (u, int(rng.integers(items)), int(rng.integers(7))) for u in range(users) for _ in range(rng.integers(3, 15))
    ]


def test_baskets_hold_each_product_once_in_order() -> None:
    history = bought([(1, 2, 5), (1, 0, 5), (1, 2, 5), (1, 2, 1), (0, 3, 9)], 3, 4)
    found = baskets_of(history)
    entries = [
        (int(found.owners[b]), int(found.places[b]), int(history.items[p]))
        for p, b in zip(found.pairs, found.baskets, strict=True)
    ]
    assert entries == [(0, 0, 3), (1, 0, 2), (1, 1, 0), (1, 1, 2)]
    assert found.many.tolist() == [1, 2, 0]
    assert found.ages.tolist() == [0, 1, 0]
    assert newest_ages(history).tolist() == [0, 0, 0]


def test_without_each_leaves_out_the_pairs_asked_for() -> None:
    user = bought([(0, 1, 0), (0, 4, 1), (0, 4, 2), (0, 6, 2)], 1, 8)
    copies = without_each(user, np.array([2, 0]))
    assert [copies.of(n).tolist() for n in range(2)] == [[1, 4], [4, 6]]
    assert np.diff(copies.timeline.indptr).tolist() == [3, 3]


def test_recent_popularity_halves_every_purchase_by_its_age() -> None:
    recent = RecentPopularity(RecentPopularityConfig(half_life_days=10))
    recent.fit(bought([(0, 0, 30), (0, 0, 20), (1, 0, 10), (1, 1, 0), (2, 2, 30)], 3, 4))
    np.testing.assert_allclose(recent.scores(np.array([2])), [[1 + 1 / 2 + 1 / 4, 1 / 8, 1, 0]])


def test_recent_popularity_without_times_counts_later_baskets_of_the_user() -> None:
    recent = RecentPopularity(RecentPopularityConfig(half_life_baskets=1))
    recent.fit(bought([(0, 0, 3), (0, 0, 2), (0, 1, 1), (1, 1, 50), (1, 2, 50)], 2, 3, timed=False))
    np.testing.assert_allclose(recent.scores(np.array([0])), [[1 + 1 / 2, 1 / 4 + 1, 1]])


def test_a_purchase_of_unknown_time_counts_next_to_nothing_of_late() -> None:
    recent = RecentPopularity()
    events = Events(np.array([0, 1]), np.array([0, 1]), np.array([UNKNOWN, 90 * DAY]), True, None, 2, 2)
    recent.fit(Interactions.from_events(events))
    assert recent.scores(np.array([0])).tolist() == [[0, 1]]


@pytest.mark.parametrize("neighbours", [3, 100])
@pytest.mark.parametrize("weighting", ["binary", "recency"])
def test_user_knn_equals_the_dense_formula(neighbours: int, weighting: str) -> None:
    history = bought(random_baskets(18, 25), 18, 25)
    knn = UserKNN(UserKnnConfig(shrink=2.0, neighbours=neighbours, weighting=weighting))  # type: ignore[arg-type]
    knn.fit(history)
    x = history.matrix().toarray().astype(np.float64)
    together, size = x @ x.T, np.sqrt(x.sum(1))
    cosine = together / (np.outer(size, size) + 2.0)
    np.fill_diagonal(cosine, 0)
    for row in cosine:
        best = sorted(range(18), key=lambda c: (-np.float32(row[c]), c))[:neighbours]
        row[[c for c in range(18) if c not in best]] = 0
    values = history.matrix(np.log1p(history.recent)).toarray() if weighting == "recency" else x
    np.testing.assert_allclose(knn.scores(np.arange(18)), cosine @ values, rtol=1e-5, atol=1e-6)


def test_nobody_is_a_neighbour_of_their_own(interactions: Make) -> None:
    """Users 0 and 1 are alike; of a history like theirs one of them is left out, whoever asks."""
    knn = UserKNN(UserKnnConfig(shrink=0.0))
    knn.fit(interactions({0: [0, 1], 1: [0, 1], 2: [0, 1, 2, 3]}, 3, 4))
    two = 2 / np.sqrt(2 * 4)
    np.testing.assert_allclose(knn.scores(np.array([0, 1])), [[1 + two, 1 + two, two, two]] * 2, rtol=1e-6)
    np.testing.assert_allclose(knn.scores(np.array([2])), [[2 * two, 2 * two, 0, 0]], rtol=1e-6)
    new = interactions({0: [0, 1], 1: [0]}, 2, 4)
    one, half = 1 / np.sqrt(2), 1 / np.sqrt(4)
    want = [[1 + two, 1 + two, two, two], [2 * one + half, 2 * one + half, half, half]]
    np.testing.assert_allclose(knn.scores_for(new), want, rtol=1e-6)


def baskets_per_user(rows: list[tuple[int, int, int]], users: int) -> list[list[list[int]]]:
    days = [sorted({d for u, _, d in rows if u == user}) for user in range(users)]
    return [[sorted({i for u, i, d in rows if (u, d) == (user, day)}) for day in days[user]] for user in range(users)]


def naive_shares(baskets: list[list[list[int]]], items: int, c: TransitionConfig) -> np.ndarray:
    """Loops over pairs of baskets."""
    count, held = np.zeros((items, items)), np.zeros(items)
    for own in baskets:
        for n, basket in enumerate(own):
            for i in basket:
                held[i] += 1
                for j in set(basket) - {i}:
                    count[i, j] += c.together
                for ahead, later in enumerate(own[n + 1 : n + 1 + c.reach]):
                    count[i, later] += c.decay**ahead
    return np.asarray(count / (held[:, None] + c.shrink + 1e-12))


def naive_transition(rows: list[tuple[int, int, int]], users: int, items: int, c: TransitionConfig) -> np.ndarray:
    baskets = baskets_per_user(rows, users)
    share = naive_shares(baskets, items, c)
    for row in share:
        best = sorted(range(items), key=lambda j: (-np.float32(row[j]), j))[: c.neighbours]
        row[[j for j in range(items) if j not in best]] = 0
    scores = np.zeros((users, items))
    for user, own in enumerate(baskets):
        seen: set[int] = set()
        for age, basket in enumerate(reversed(own[-c.recent :])):
            for i in set(basket) - seen:
                scores[user] += c.decay**age * share[i]
            seen |= set(basket)
    return scores


@pytest.mark.parametrize(
    "config",
    [
        TransitionConfig(reach=1, decay=0.5, shrink=0.0, recent=1),
        TransitionConfig(reach=3, decay=0.7, shrink=2.0, recent=4, together=0.5, neighbours=6),
    ],
)
def test_transition_equals_loops_over_baskets(config: TransitionConfig) -> None:
    rows = random_baskets(15, 12, 3)
    transition = Transition(config)
    transition.fit(bought(rows, 15, 12))
    want = naive_transition(rows, 15, 12, config)
    np.testing.assert_allclose(transition.scores(np.arange(15)), want, rtol=1e-5, atol=1e-6)


def test_transition_by_hand() -> None:
    """0 then {1, 2} in two histories, once with a basket between; a third user has just bought 0."""
    transition = Transition(TransitionConfig(reach=2, decay=0.5, shrink=1.0))
    transition.fit(bought([(0, 0, 1), (0, 1, 2), (0, 2, 2), (1, 0, 1), (1, 3, 2), (1, 1, 3), (2, 0, 9)], 3, 5))
    np.testing.assert_allclose(
        transition.scores(np.array([2])), [[0, (1 + 0.5) / (3 + 1), 1 / (3 + 1), 1 / (3 + 1), 0]], rtol=1e-6
    )


def lastfm(*names: str) -> Interactions:
    rows = [
        [int(field) for field in line.split("\t")[:2]]
        for name in names
        for line in (SHARED / f"lastfm.{name}.inter").read_text().splitlines()[1:]
    ]
    users, items = np.asarray(rows).T
    return Interactions.from_events(Events(users, items, np.arange(len(rows)), False, None, 2104, 3846))


@pytest.fixture(scope="module")
def listened() -> dict[str, Interactions]:
    """Train, train and valid, and test of lastfm-kg."""
    if not SHARED.is_dir():
        pytest.skip("the shared data sets are not here")
    return {"train": lastfm("train"), "known": lastfm("train", "valid"), "test": lastfm("test")}


def recall(scores: np.ndarray, parts: dict[str, Interactions]) -> float:
    """Recall@10 of all products, those of train and valid masked."""
    scores = scores.copy()
    scores[parts["known"].users, parts["known"].items] = -np.inf
    best = np.argpartition(-scores, 10, axis=1)[:, :10]
    found = [len(np.intersect1d(best[u], parts["test"].of(u))) / max(1, len(parts["test"].of(u))) for u in range(2104)]
    return float(np.sum(found) / (np.diff(parts["test"].indptr) > 0).sum())


@pytest.mark.benchmark_data
def test_item_knn_reaches_the_recall_measured_elsewhere(listened: dict[str, Interactions]) -> None:
    """.271: a prototype on train alone; standard error .0105."""
    knn = ItemKNN(ItemKnnConfig(shrink=10, neighbours=200))
    knn.fit(listened["train"])
    assert recall(knn.scores(np.arange(2104)), listened) == pytest.approx(0.271, abs=0.006)


@pytest.mark.benchmark_data
@pytest.mark.filterwarnings("ignore:.*Method expects CSR input")
def test_neighbours_are_those_of_another_library(listened: dict[str, Interactions]) -> None:
    """The library `implicit` finds the same cosines, of products and, given the transposed matrix, of users."""
    from implicit.nearest_neighbours import CosineRecommender

    rows = np.full(3846, -1)
    rows[np.argsort(-listened["known"].buyers)[:700]] = np.arange(700)
    known = listened["known"].renamed(rows, 700)[0].take(np.arange(700))
    x = known.matrix()
    for given, ours in ((x, ItemKNN(ItemKnnConfig(0, 700))), (x.T.tocsr(), UserKNN(UserKnnConfig(0, 700)))):
        theirs = CosineRecommender(K=700, num_threads=1)
        theirs.fit(given, show_progress=False)
        cosine = theirs.similarity.toarray()
        np.fill_diagonal(cosine, 0)
        ours.fit(known)
        want = x @ cosine if isinstance(ours, ItemKNN) else cosine @ x
        np.testing.assert_allclose(ours.scores(np.arange(700)), want, rtol=1e-4, atol=1e-5)
