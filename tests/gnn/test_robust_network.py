"""The network on graphs that lack something, or have it in odd amounts: it trains, or says why not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.network.recommender import NetworkRecommender
from gnn.protocol.events import read_events
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Given, Recommender, Work
from ingest.config_dict import from_dict
from kg.snapshot import EdgeTable, Snapshot

BRAND, CATEGORY, TREE = (
    ("Product", "MADE_BY", "Brand"),
    ("Product", "IN_CATEGORY", "Category"),
    ("Category", "CHILD_OF", "Category"),
)
RELATED = ("Product", "RELATED", "Product")
readings = pytest.mark.parametrize("user", ["set", "sequence"])


def settings(user: str, **changes: Any) -> GnnConfig:
    model = {"user": user, "dim": 8, "sequence": {"length": 8, "batch": 32}}
    return from_dict(
        GnnConfig, {"model": model, "train": {"threads": 1, "epochs": 2, "device": "cpu", **changes}}, "test"
    )


def lists_of(
    snapshot: Snapshot, config: GnnConfig, text: NDArray[np.float32] | None = None, history: Interactions | None = None
) -> NetworkRecommender:
    """Trained; its scores are numbers, for its users and for those who come later."""
    known = history or Interactions.from_events(read_events(snapshot, ()))
    model = NetworkRecommender(config, Given(snapshot, text))
    model.fit(known, Work(judge=lambda part: float(part.scores(np.array([0])).sum())))
    scores = model.scores(np.arange(known.n_users))
    assert scores.shape == (known.n_users, known.n_items)
    assert np.isfinite(scores).all()
    return model


def without(shop: Snapshot, *keys: tuple[str, str, str]) -> Snapshot:
    return Snapshot(shop.nodes, {key: table for key, table in shop.edges.items() if key not in keys})


@readings
@pytest.mark.parametrize(
    "gone", [(BRAND,), (CATEGORY, TREE), (CATEGORY,), (RELATED,), (BRAND, CATEGORY, TREE, RELATED)]
)
def test_without_some_relations(shop: Snapshot, user: str, gone: tuple[tuple[str, str, str], ...]) -> None:
    lists_of(without(shop, *gone), settings(user))


@readings
def test_one_relation(shop: Snapshot, user: str) -> None:
    model = lists_of(without(shop, CATEGORY, TREE, RELATED), settings(user))
    users = ["BOUGHT<", "BOUGHT>"] if user == "set" else []  # in a sequence no edge of a user carries a message
    assert list(model.facts["relations"]) == [*users, "MADE_BY<", "MADE_BY>"]


@readings
def test_a_thousand_relations(shop: Snapshot, user: str) -> None:
    rng = np.random.default_rng(0)
    n = 4000
    kinds = pa.table({"relation": [f"kind {k % 1000:03d}" for k in range(n)]})
    src, dst = np.sort(rng.integers(0, 80, n)), rng.integers(0, 80, n)
    model = lists_of(Snapshot(shop.nodes, {**shop.edges, RELATED: EdgeTable(src, dst, kinds)}), settings(user))
    assert len(model.facts["relations"]) > 2000


@readings
def test_without_times_and_without_order(shop: Snapshot, user: str) -> None:
    key = ("User", "PURCHASED", "Product")
    table = shop.edges[key]
    bare = EdgeTable(table.src, table.dst, table.columns.drop_columns(["at"]))
    lists_of(Snapshot(shop.nodes, {**shop.edges, key: bare}), settings(user))


@readings
def test_parts_that_nothing_joins(build_shop: Callable[..., Snapshot], user: str) -> None:
    """Products, brands and users beyond the events and relations of a smaller shop stand alone."""
    larger, smaller = build_shop(users=70, products=100), build_shop()
    model = lists_of(Snapshot(larger.nodes, smaller.edges), settings(user))
    alone = model.scores(np.array([65, 69]))
    np.testing.assert_allclose(alone[0], alone[1], atol=1e-6)  # neither has an event


@readings
def test_users_without_history(shop: Snapshot, user: str) -> None:
    history = Interactions.from_events(read_events(shop, ()))
    few = history.where(history.users < 5)
    scores = lists_of(shop, settings(user), history=few).scores(np.array([7, 50]))
    np.testing.assert_array_equal(scores[0], scores[1])


@readings
def test_nobody_has_anything_to_learn_from(shop: Snapshot, user: str) -> None:
    """One event each: nothing can be asked from nothing."""
    history = Interactions.from_events(read_events(shop, ()))
    first = history.where(np.isin(np.arange(len(history)), history.indptr[:-1]))
    assert lists_of(shop, settings(user), history=first).facts["epochs_run"] == 0


@readings
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_text_vectors_that_are_no_numbers(shop: Snapshot, text: NDArray[np.float32], user: str, wrong: float) -> None:
    broken = text.copy()
    broken[[3, 8], 5] = wrong
    with pytest.raises(GnnError, match=r"the text vectors of 2 products are no numbers"):
        lists_of(shop, settings(user), broken)


@readings
def test_a_loss_that_runs_away_is_explained(shop: Snapshot, user: str) -> None:
    config = settings(user, lr=1e30, epochs=5)
    sequence = replace(config.model.sequence, lr=1e30)
    config = replace(config, model=replace(config.model, sequence=sequence))
    key = "model.sequence.lr" if user == "sequence" else "train.lr"
    with pytest.raises(GnnError, match=f"training diverged.*set {key} lower"):
        lists_of(shop, config)


def test_a_judge_sees_finite_scores_only(shop: Snapshot) -> None:
    def judge(part: Recommender) -> float:
        assert np.isfinite(part.scores(np.arange(60))).all()
        return 1.0

    history = Interactions.from_events(read_events(shop, ()))
    NetworkRecommender(settings("sequence"), Given(shop)).fit(history, Work(judge=judge))
