"""Lists for events that are in no graph: by what the graph knows of the user and them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from gnn.config import GnnConfig, SplitConfig
from gnn.errors import GnnError
from gnn.model.training import train
from gnn.protocol.events import DAY, UNKNOWN
from gnn.protocol.interactions import Interactions
from gnn.serving.recommend import Recommendations
from gnn.serving.visitors import visitors_of
from ingest.progress import SilentProgress
from kg.snapshot import EdgeTable, Snapshot


@pytest.fixture(scope="module", params=["set", "sequence"])
def served(
    request: pytest.FixtureRequest,
    shop: Snapshot,
    text: NDArray[np.float32],
    config: GnnConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> Recommendations:
    folder = tmp_path_factory.mktemp("visitors") / "eval"
    small = replace(
        config, model=replace(config.model, user=request.param, dim=16), train=replace(config.train, epochs=3)
    )
    train(shop, text, small, folder, SilentProgress(), model="network")
    return Recommendations.load(folder, shop)


def events_of(served: Recommendations, user: int) -> pd.DataFrame:
    """The events that the model knows of a user, shuffled."""
    one = served.history.take(np.array([user]))
    log = one.timeline
    ids = served.snapshot.nodes["Product"].ids.take(one.items[log.pairs])
    times = pd.to_datetime(log.order, unit="us", utc=True).map(lambda moment: moment.isoformat())
    return pd.DataFrame({"product_id": ids, "time": times}).sample(frac=1, random_state=3)


def lists(served: Recommendations, table: pd.DataFrame, **asked: Any) -> pd.DataFrame:
    visitors = visitors_of(table, served)
    return pd.concat(list(served.stream_for(visitors.ids, visitors.history, **asked)), ignore_index=True)


@pytest.mark.parametrize("repeats", ["exclude", "include"])
def test_a_stranger_with_the_events_of_a_user_gets_that_users_list(served: Recommendations, repeats: str) -> None:
    for user in (4, 33):
        found = lists(served, events_of(served, user), k=12, repeats=repeats)
        want = served.recommend([f"u{user:02d}"], 12, "include" if repeats == "include" else "exclude")
        assert found["user_id"].unique().tolist() == ["visitor"]
        assert found["product_id"].tolist() == want["product_id"].tolist()
        np.testing.assert_allclose(found["score"], want["score"], atol=1e-4)


def test_many_visitors_are_each_as_alone(served: Recommendations) -> None:
    tables = [events_of(served, user).assign(user_id=f"guest {user}") for user in (1, 8, 20)]
    together = lists(served, pd.concat(tables).sample(frac=1, random_state=1), k=5)
    for table, user in zip(tables, (1, 8, 20), strict=True):
        alone = lists(served, table, k=5)
        mine = together[together["user_id"] == f"guest {user}"].reset_index(drop=True)
        assert mine["product_id"].tolist() == alone["product_id"].tolist()
        assert mine["rank"].tolist() == [1, 2, 3, 4, 5]


def test_new_events_of_a_known_user_join_what_is_known(served: Recommendations) -> None:
    one = served.history.take(np.array([6]))
    new = [row for row in range(80) if row not in one.items][:2]
    ids = served.snapshot.nodes["Product"].ids.take(np.array(new))
    visitors = visitors_of(pd.DataFrame({"user_id": "u06", "product_id": ids}), served)
    assert visitors.ids == ["u06"]
    assert sorted(visitors.history.items) == sorted([*one.items, *new])
    log = visitors.history.timeline
    assert visitors.history.items[log.pairs].tolist()[-2:] == new  # without a time they come last, in their order
    listed = set(lists(served, pd.DataFrame({"user_id": "u06", "product_id": ids}), k=80)["product_id"])
    assert not listed & set(ids)


def test_epoch_seconds_and_iso_times_are_the_same_instants(served: Recommendations) -> None:
    dated = pd.DataFrame(
        {"product_id": ["p001", "p003", "p005"], "time": ["1970-01-03", "1970-01-02T12:00:00Z", "soon"]}
    )
    seconds = pd.DataFrame({"product_id": ["p001", "p003", "p005"], "time": ["172800", "129600", ""]})
    one, two = (visitors_of(table, served).history for table in (dated, seconds))
    assert one.last.tolist()[:2] == [2 * DAY, DAY + DAY // 2]
    assert one.last[2] > served.history.last.max()  # an unreadable time: just now
    np.testing.assert_array_equal(one.last, two.last)


def untimed(shop: Snapshot) -> Snapshot:
    key = ("User", "PURCHASED", "Product")
    table = shop.edges[key]
    numbers = pa.array(np.arange(len(table)))
    bare = table.columns.drop_columns(["at"]).append_column("sequence", numbers)
    viewed = EdgeTable(table.src[:40], table.dst[:40], bare.slice(0, 40))
    return Snapshot(
        shop.nodes, {**shop.edges, key: EdgeTable(table.src, table.dst, bare), ("User", "VIEWED", "Product"): viewed}
    )


@pytest.fixture(scope="module")
def untimed_shop(shop: Snapshot, config: GnnConfig, tmp_path_factory: pytest.TempPathFactory) -> Recommendations:
    folder, snapshot = tmp_path_factory.mktemp("untimed") / "eval", untimed(shop)
    train(snapshot, None, replace(config, split=SplitConfig("column")), folder, SilentProgress(), model="item-knn")
    return Recommendations.load(folder, snapshot)


def test_where_the_graph_has_no_times_order_and_sequence_count(untimed_shop: Recommendations) -> None:
    def order(**columns: Sequence[Any]) -> list[str]:
        table = pd.DataFrame({"product_id": ["p001", "p003", "p007"], **columns})
        history = visitors_of(table, untimed_shop).history
        rows = history.items[history.timeline.pairs]
        return untimed_shop.snapshot.nodes["Product"].ids.take(rows)

    assert order() == ["p001", "p003", "p007"]
    assert order(sequence=["30", "4", "5"]) == ["p003", "p007", "p001"]
    assert order(time=["2026-01-02", "2026-01-03", "2026-01-01"]) == ["p007", "p001", "p003"]


def test_other_behaviours_stand_beside_and_what_says_nothing_is_counted(untimed_shop: Recommendations) -> None:
    table = pd.DataFrame(
        {
            "user_id": ["a", "a", "u00", "a", "a"],
            "product_id": ["p001", "p003", "p003", "p999", "p007"],
            "event": ["Purchase", "view", "VIEW", "purchase", "wishlist"],
        }
    )
    visitors = visitors_of(table, untimed_shop)
    assert visitors.ids == ["a", "u00"]
    assert visitors.history.of(0).tolist() == [1]
    assert visitors.history.side["view"].of(0).tolist() == [3]
    assert 3 in visitors.history.side["view"].of(1)
    known = untimed_shop.history.take(np.array([0]))
    assert visitors.history.of(1).tolist() == known.items.tolist()
    assert visitors.skipped == {"unknown product": 1, "event that the model does not read": 1}


def test_tables_that_say_nothing_are_refused(untimed_shop: Recommendations) -> None:
    with pytest.raises(GnnError, match="no column product_id"):
        visitors_of(pd.DataFrame({"product": ["p001"]}), untimed_shop)
    with pytest.raises(GnnError, match="no event says anything to the model: 1 of unknown product"):
        visitors_of(pd.DataFrame({"product_id": ["nothing"]}), untimed_shop)
    with pytest.raises(GnnError, match="no rows"):
        visitors_of(pd.DataFrame({"product_id": []}), untimed_shop)


def test_an_unknown_time_of_the_graph_comes_first(
    graph: Callable[..., Snapshot], config: GnnConfig, tmp_path: Path
) -> None:
    rows = [(f"u{u}", f"p{(u + n) % 6}", None if n == 0 else float(n)) for u in range(8) for n in range(4)]
    snapshot = graph(rows)
    train(
        snapshot,
        None,
        replace(config, split=SplitConfig("leave-one-out")),
        tmp_path / "eval",
        SilentProgress(),
        model="item-knn",
    )
    served = Recommendations.load(tmp_path / "eval", snapshot)
    history: Interactions = visitors_of(pd.DataFrame({"user_id": ["u0"], "product_id": ["p5"]}), served).history
    assert history.first.min() == UNKNOWN
    assert history.items[history.timeline.pairs][-1] == 5
