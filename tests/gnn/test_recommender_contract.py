"""What holds for every recommender that counts or factorises."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn.model.catalogue import AUTO, CATALOGUE, FUSED
from gnn.models_config import (
    AlsConfig,
    PathsConfig,
    RecentPopularityConfig,
    TextConfig,
    TifuKnnConfig,
    TransitionConfig,
    UpCfConfig,
    UserKnnConfig,
)
from gnn.protocol.events import DAY, Events
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Fitted, Given
from gnn.recommenders.als import Als
from gnn.recommenders.counting import RecentPopularity
from gnn.recommenders.paths import Paths
from gnn.recommenders.text import Text
from gnn.recommenders.tifu_knn import TifuKnn
from gnn.recommenders.transition import Transition
from gnn.recommenders.up_cf import UpCf
from gnn.recommenders.userknn import UserKNN
from gnn.serving.deletions import deletions
from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot

ITEMS = 20


def graph() -> Given:
    """Products 2n and 2n + 1 of one brand, text by parity with a little of its own, no triples."""
    label = {"Product": ITEMS, "Brand": ITEMS // 2, "User": 20}
    nodes = {
        name: NodeTable(IdMap.of([f"{name}{n:02d}" for n in range(size)]), pa.table({"x": pa.nulls(size)}))
        for name, size in label.items()
    }
    rows = np.arange(ITEMS)
    made_by = EdgeTable(rows, rows // 2, pa.table({"x": pa.nulls(ITEMS)}))
    vectors = np.random.default_rng(5).normal(size=(ITEMS, 6)).astype(np.float32) * 0.1
    vectors[rows, rows % 2] += 1
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Given(Snapshot(nodes, {("Product", "MADE_BY", "Brand"): made_by}), vectors)


GIVEN = graph()
MAKE: dict[str, Callable[[Given | None], Fitted]] = {
    "recent-popularity": lambda _: RecentPopularity(RecentPopularityConfig(half_life_days=3)),
    "user-knn": lambda _: UserKNN(UserKnnConfig(shrink=1, neighbours=4)),
    "user-knn-recency": lambda _: UserKNN(UserKnnConfig(shrink=0, weighting="recency")),
    "als": lambda _: Als(AlsConfig(factors=4, regularization=0.5, alpha=3)),
    "transition": lambda _: Transition(TransitionConfig(reach=2, recent=3)),
    "tifu-knn": lambda _: TifuKnn(TifuKnnConfig(groups=3, neighbours=4)),
    "up-cf": lambda _: UpCf(UpCfConfig(recent=3, asymmetry=0.3, locality=2)),
    "text": lambda given: Text(TextConfig("count"), given),
    "paths": lambda given: Paths(PathsConfig(brand=0.4, buyers=1), given=given),
}
everyone = pytest.mark.parametrize("name", MAKE)


def bought(rows: list[tuple[int, int, int]], users: int = 12, *, timed: bool = True) -> Interactions:
    """Interactions of (user, product, day)."""
    user, item, day = np.asarray(rows, dtype=np.int64).reshape(-1, 3).T
    return Interactions.from_events(Events(user, item, day * DAY, timed, None, users, ITEMS))


def some_history(seed: int = 0) -> Interactions:
    """User 11 has nothing; nobody has the last three products; products come again, in baskets and across them."""
    rng = np.random.default_rng(seed)
    rows = [
        (u, int(rng.integers(ITEMS - 3)), int(rng.integers(8))) for u in range(11) for _ in range(rng.integers(4, 16))
    ]
    return bought(rows)


@pytest.mark.parametrize("name", [name for name in MAKE if name != "recent-popularity"])
def test_checkerboard_returns_the_withheld_product(name: str) -> None:
    held = [(u + 6) % ITEMS for u in range(ITEMS)]
    history = bought([(u, i, 0) for u in range(ITEMS) for i in range(u % 2, ITEMS, 2) if i != held[u]], ITEMS)
    recommender = MAKE[name](GIVEN)
    recommender.fit(history)
    scores = recommender.scores(np.arange(ITEMS))
    scores[history.users, history.items] = -np.inf
    assert scores.argmax(1).tolist() == held


@everyone
def test_restored_from_its_state_it_scores_the_same(name: str) -> None:
    history = some_history()
    one, two = MAKE[name](GIVEN), MAKE[name](None)
    one.fit(history)
    two.restore(history, one.state(), one.facts)
    np.testing.assert_array_equal(one.scores(np.arange(12)), two.scores(np.arange(12)))
    user = history.take(np.array([2]))
    np.testing.assert_array_equal(one.losses(user, 3), two.losses(user, 3))


@everyone
@pytest.mark.parametrize("row", [1, 4])
def test_losses_are_the_scores_lost_by_deletion(name: str, row: int) -> None:
    history = some_history(4)
    recommender = MAKE[name](GIVEN)
    recommender.fit(history)
    user = history.take(np.array([row]))
    for item in (0, int(user.items[0]), int(user.items[-1])):
        found = recommender.losses(user, item)
        whole = recommender.scores_for(user)[0, item]
        for n in range(len(user)):
            less = user.where(np.arange(len(user)) != n)
            assert found[n] == pytest.approx(whole - recommender.scores_for(less)[0, item], abs=2e-5)


@everyone
def test_deletions_of_many_products_are_the_losses_of_each(name: str) -> None:
    history = some_history(4)
    recommender = MAKE[name](GIVEN)
    recommender.fit(history)
    items = np.array([1, 4, 7, 0])
    falls = deletions(recommender, items)
    for row in (1, 4):
        user = history.take(np.array([row]))
        for at in (np.array([0, 1, 2, 3]), np.array([2, 0]), np.array([], np.int64)):
            want = [recommender.losses(user, int(items[n])) for n in at]
            found = falls(user, at)
            assert found.shape == (len(user), len(at))
            for n, one in enumerate(want):
                np.testing.assert_allclose(found[:, n], one, atol=2e-6)


@everyone
def test_the_loss_of_an_only_product_is_the_whole_score(name: str) -> None:
    recommender = MAKE[name](GIVEN)
    recommender.fit(some_history())
    user = bought([(0, 3, 1)], users=1)
    for item in (2, 3):
        whole = 0.0 if name == "recent-popularity" else recommender.scores_for(user)[0, item]
        assert recommender.losses(user, item) == pytest.approx([whole], abs=1e-6)


@everyone
def test_some_products_and_some_users_are_cells_of_the_whole(name: str) -> None:
    history = some_history()
    recommender = MAKE[name](GIVEN)
    recommender.fit(history)
    whole = recommender.scores(np.arange(12))
    assert whole.dtype == np.float32
    users, items = np.array([7, 2]), np.array([1, 5, 17])
    np.testing.assert_allclose(recommender.scores(users, items), whole[np.ix_(users, items)], rtol=1e-5, atol=1e-6)
    assert recommender.scores(users[:0], items).shape == (0, 3)


@everyone
def test_nothing_known_scores_nothing(name: str) -> None:
    """An empty history has zeros, and so have products without buyers, but for text, brand and popularity."""
    history = some_history()
    recommender = MAKE[name](GIVEN)
    recommender.fit(history)
    scores = recommender.scores(np.arange(12))
    assert np.isfinite(scores).all()
    if name != "recent-popularity":
        assert not scores[11].any()
    if name not in ("text", "paths"):
        assert not scores[:, ITEMS - 3 :].any()


@everyone
@settings(max_examples=15)
@given(
    rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, ITEMS - 1), st.integers(0, 4)), min_size=1, max_size=40),
    timed=st.booleans(),
)
def test_any_history_has_finite_scores(name: str, rows: list[tuple[int, int, int]], timed: bool) -> None:
    history = bought(rows, 6, timed=timed)
    recommender = MAKE[name](GIVEN)
    recommender.fit(history)
    scores = recommender.scores(np.arange(6))
    assert np.isfinite(scores).all()
    assert np.isfinite(recommender.losses(history.take(history.users[:1]), 0)).all()


def test_every_recommender_has_a_section_in_the_manual() -> None:
    page = (Path(__file__).parents[2] / "docs" / "recommenders.md").read_text()
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    missing = [name for name in (*CATALOGUE, FUSED, AUTO) if not any(f"`{name}`" in line for line in headings)]
    assert not missing
