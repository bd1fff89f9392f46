from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.evaluation import leaks
from gnn.evaluation.canaries import LATE, Planted, plant
from gnn.evaluation.evaluate import evaluate
from gnn.evaluation.leaks import judge, leak_check
from gnn.evaluation.reach import refuse_if_reached
from gnn.model.align import make_split, parts_at
from gnn.model.bundle import Bundle
from gnn.model.catalogue import CATALOGUE
from gnn.model.training import train
from gnn.models_config import EaseConfig, ItemKnnConfig
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import QUIET, Fitted, Items, Recommender, Work
from gnn.recommenders.counting import Popularity
from gnn.recommenders.ease import Ease
from gnn.recommenders.itemknn import ItemKNN
from ingest.config_dict import from_dict
from ingest.progress import SilentProgress
from kg.snapshot import Snapshot

QUICK = {
    "eval": {"bootstrap": 20, "baselines": []},
    "train": {"threads": 1, "epochs": 3},
    "models": {
        "lightgcn": {"epochs": 3, "dim": 16},
        "sasrec": {"epochs": 2, "dim": 16, "length": 8},
        "als": {"factors": 8, "iterations": 3},
    },
}
TIME = {"method": "time", "valid_from": "1970-01-11", "test_from": "1970-01-12"}


def quick(method: str) -> GnnConfig:
    split = TIME if method == "time" else {"method": method}
    return from_dict(GnnConfig, QUICK | {"split": split}, "test")


@pytest.fixture(scope="module", params=["time", "column"])
def planted(request: pytest.FixtureRequest, shop: Snapshot) -> Planted:
    return plant(shop, quick(request.param))


@pytest.fixture(scope="module")
def large(build_shop: Callable[..., Snapshot]) -> Planted:
    """Enough canaries for one edge each to be seen."""
    return plant(build_shop(300, 600), quick("time"))


def test_canaries_stand_where_nothing_may_be_known(planted: Planted, shop: Snapshot) -> None:
    split = make_split(planted.snapshot, planted.config)
    history, keys = split.history("test"), planted.users * 80 + planted.canaries
    assert split.window("test").has(keys).all()
    assert not history.has(keys).any()
    assert not history.side["view"].has(keys).any()
    assert (history.buyers[planted.canaries] == history.buyers[planted.decoys]).all()
    np.testing.assert_array_equal(history.keys, make_split(shop, planted.config).history("test").keys)
    related = planted.snapshot.edges["Product", "RELATED", "Product"].columns["relation"].to_pylist()
    dated = [LATE] if planted.config.split.method == "time" else []
    assert set(related) == {"goes_with", "also_bought", "also_viewed", "bought_together", *dated}
    for key in (("User", "RECOMMENDED", "Product"), ("Product", "SIMILAR", "Product"), ("User", "VIEWED", "Product")):
        assert len(planted.snapshot.edges[key]) >= len(planted.users)


def test_the_coin_decides_which_of_two_is_the_canary(shop: Snapshot) -> None:
    higher = np.concatenate([(p.canaries > p.decoys) for p in (plant(shop, quick("time"), seed=s) for s in range(5))])
    assert 0.3 < higher.mean() < 0.7


@pytest.mark.parametrize("model", [*CATALOGUE, "fused", "auto"])
def test_no_model_sees_a_canary(
    model: str, planted: Planted, shop: Snapshot, text: NDArray[np.float32], tmp_path: Path
) -> None:
    """Stronger than the sign test: what a model and its refit say is bit-equal with and without the canaries."""
    scores: dict[str, list[NDArray[np.float32]]] = {"eval": [], "live": []}
    for name, snapshot in (("with", planted.snapshot), ("without", shop)):
        place = tmp_path / name
        train(snapshot, text, planted.config, place / "eval", SilentProgress(), model=model, refit=True)
        for kind, said in scores.items():
            bundle = Bundle.load(place / kind)
            split = make_split(snapshot, planted.config)
            parts = parts_at(bundle, snapshot, text, split, "test")
            scorer = bundle.fused(parts, np.arange(80), "new-product")
            said.append(scorer.scores(np.arange(60)))
            assert not judge(planted, scorer, model, "new-product").leaks
    for said in scores.values():
        np.testing.assert_array_equal(*said)


class Peeking(Fitted):
    """Fits another recommender on the held-out events too."""

    def __init__(self, inner: Fitted, extra: Interactions) -> None:
        self.inner, self.extra, self.name = inner, extra, inner.name

    def fit(self, history: Interactions, work: Work = QUIET) -> None:
        self.history = history
        self.inner.fit(self.extra, work)

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        return self.inner.scores_for(histories, items)


@pytest.mark.parametrize(
    "inner",
    [Popularity(), ItemKNN(ItemKnnConfig(shrink=1.0)), Ease(EaseConfig(penalties=(10.0,)))],
    ids=lambda r: r.name,
)
def test_a_fit_on_held_out_events_is_caught(inner: Fitted, large: Planted) -> None:
    split = make_split(large.snapshot, large.config)
    everything = Interactions.from_events(split.train.plus(split.valid).plus(split.test))
    peeking = Peeking(inner, everything)
    peeking.fit(split.history("test"))
    verdict = judge(large, peeking, inner.name, "new-product")
    assert verdict.leaks, verdict
    inner.fit(split.history("test"))
    assert not judge(large, inner, inner.name, "new-product").leaks


def test_relations_that_post_date_purchases_are_caught_when_let_in(large: Planted, tmp_path: Path) -> None:
    opened = replace(large.config, graph=replace(large.config.graph, exclude_relations=()))
    train(large.snapshot, None, opened, tmp_path / "open", SilentProgress(), model="network")
    network = Bundle.load(tmp_path / "open").parts["network"]
    assert judge(large, network, "network", "new-product").leaks


def test_the_check_trains_by_the_usual_way_and_counts(
    shop: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = leak_check(shop, None, quick("time"), ["popularity", "ease"], tmp_path, SilentProgress())
    assert [(v.model, v.task, v.leaks) for v in found] == [
        (model, task, False) for model in ("popularity", "ease") for task in ("new-product", "next-purchase")
    ]
    assert all(v.preferred + v.tied <= v.canaries for v in found)
    assert found[0].tied == found[0].canaries  # equally popular: popularity cannot tell them apart

    def both(bundle: Bundle, snapshot: Snapshot, vectors: object, split: object, stage: str) -> dict[str, Fitted]:
        parts = make_split(snapshot, bundle.config)
        peeking = Peeking(Popularity(), Interactions.from_events(parts.train.plus(parts.valid).plus(parts.test)))
        peeking.fit(parts.history("test"))
        return {"popularity": peeking}

    monkeypatch.setattr(leaks, "parts_at", both)
    assert all(v.leaks for v in leak_check(shop, None, quick("time"), ["popularity"], tmp_path, SilentProgress()))


class Fixed:
    """A recommender with given preferences."""

    name = "fixed"

    def __init__(self, scores: NDArray[np.float32]) -> None:
        self.table = scores

    def scores(self, users: NDArray[np.int64], items: Items = None) -> NDArray[np.float32]:
        return self.table[users][:, items]

    def scores_for(self, histories: Interactions, items: Items = None) -> NDArray[np.float32]:
        raise NotImplementedError


def test_the_sign_test_by_hand() -> None:
    users = np.arange(10)
    planted = Planted(Snapshot({}, {}), GnnConfig(), users, np.zeros(10, np.int64), np.ones(10, np.int64))
    table = np.zeros((10, 2), np.float32)
    table[:8, 0] = 1  # eight prefer the canary, two are tied
    scorer: Recommender = Fixed(table)
    verdict = judge(planted, scorer, "fixed", "new-product", level=0.01)
    assert (verdict.preferred, verdict.tied, verdict.leaks) == (8, 2, True)
    assert verdict.chance == pytest.approx(0.5**8)


def test_evaluate_refuses_what_has_seen_the_held_out_part(
    shop: Snapshot, text: NDArray[np.float32], tmp_path: Path
) -> None:
    config = quick("time")
    train(shop, text, config, tmp_path / "eval", SilentProgress(), model="popularity")
    evaluate(tmp_path / "eval", shop, text, SilentProgress())
    bundle = Bundle.load(tmp_path / "eval")
    earlier = replace(config, split=replace(config.split, valid_from="1970-01-06", test_from="1970-01-09"))
    split = make_split(shop, earlier)
    with pytest.raises(GnnError, match="history reaches past the cut-off"):
        refuse_if_reached(bundle, split, shop)
    labelled = quick("column")
    train(shop, text, labelled, tmp_path / "labels", SilentProgress(), model="popularity")
    seen = Bundle.load(tmp_path / "labels")
    parts = make_split(shop, labelled)
    refuse_if_reached(seen, parts, shop)
    swapped = replace(parts, valid=parts.test, test=parts.valid)
    with pytest.raises(GnnError, match=r"knows 60 \(user, product\) pairs that the held-out part asks for"):
        refuse_if_reached(seen, swapped, shop)
    reach = {"weights": None, "relations": {"goes_with": "1970-01-15T00:00:00+00:00"}}
    dated = replace(bundle, record={**bundle.record, "reach": reach})
    with pytest.raises(GnnError, match="message graph holds goes_with up to 1970-01-15"):
        refuse_if_reached(dated, make_split(shop, config), shop)
    reach = {"weights": "1970-01-13", "relations": {}}
    trained = replace(bundle, record={**bundle.record, "reach": reach})
    with pytest.raises(GnnError, match="weights have seen events up to 1970-01-13"):
        refuse_if_reached(trained, make_split(shop, config), shop)


def test_leave_one_out_has_canaries_as_its_last_events(shop: Snapshot) -> None:
    found = plant(shop, quick("leave-one-out"))
    assert len(found.users) >= 15


def test_a_graph_too_small_for_canaries_says_so(build_shop: object, shop: Snapshot) -> None:
    with pytest.raises(GnnError, match="canaries"):
        plant(shop, quick("time"), most=5)
