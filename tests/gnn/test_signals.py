"""Numbers, bands, categories and times as features: worked out by hand, from the history's own period, and of use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray

from gnn.config import GnnConfig, SignalsConfig
from gnn.errors import GnnError
from gnn.evaluation.canaries import LATE_COLUMN, plant
from gnn.evaluation.leaks import leak_check
from gnn.model.align import make_split
from gnn.model.bundle import Bundle
from gnn.model.training import train
from gnn.network import signals as module
from gnn.network.message_graph import build_message_graph
from gnn.network.reading import Reading
from gnn.network.recommender import make_network
from gnn.network.signals import PAID, SEEN, Signals
from gnn.protocol.interactions import Interactions
from gnn.protocol.recommender import Given
from gnn.serving.recommend import Recommendations
from ingest.config_dict import from_dict
from ingest.contract import derived_names
from ingest.progress import SilentProgress
from kg.snapshot import EdgeTable, NodeTable, Snapshot

DAY = 86_400_000_000
ON = SignalsConfig(use=True)
SPLIT = {"method": "time", "valid_from": "1970-01-11", "test_from": "1970-01-12"}
KEY = ("User", "PURCHASED", "Product")


def settings(**train_settings: Any) -> GnnConfig:
    said = {
        "split": SPLIT,
        "train": {"threads": 1, "epochs": 3, "model": "network", **train_settings},
        "eval": {"bootstrap": 20, "baselines": []},
    }
    return from_dict(GnnConfig, said, "test")


def reading(config: GnnConfig, chosen: SignalsConfig = ON, user: Any = "auto") -> GnnConfig:
    return replace(config, model=replace(config.model, signals=chosen, user=user))


def days(values: list[float | None]) -> pa.Array:
    return pa.array([None if v is None else int(v * DAY) for v in values], pa.timestamp("us", "UTC"))


def with_columns(snapshot: Snapshot, **columns: Any) -> Snapshot:
    node = snapshot.nodes["Product"]
    table = node.columns
    for name, values in columns.items():
        array = values if isinstance(values, pa.Array) else pa.array(values)
        table = table.append_column(name, array) if table.num_columns else pa.table({name: array})
    return Snapshot(snapshot.nodes | {"Product": NodeTable(node.ids, table)}, snapshot.edges)


@pytest.fixture
def four(graph: Callable[..., Snapshot]) -> tuple[Snapshot, Interactions]:
    """Products a to e, bought on days 1, 3, 5 and 9; the history ends with day 6. Nobody has ever bought e."""
    rows = [("u", "a", 1.0), ("v", "b", 3.0), ("u", "c", 5.0), ("v", "d", 9.0), ("w", "a", 2.0), ("w", "e", 20.0)]
    shop = graph(rows)
    bought = shop.edges[KEY]
    price = {"a": 3.0, "b": 1.0, "c": 7.0, "d": 1000.0, "e": 5.0}
    names = shop.nodes["Product"].ids.take(bought.dst)
    paid = bought.columns.append_column("price", pa.array([price[n] for n in names]))
    shop = Snapshot(shop.nodes, {KEY: EdgeTable(bought.src, bought.dst, paid)})
    config = from_dict(GnnConfig, {"split": {**SPLIT, "valid_from": "1970-01-07"}}, "test")
    return shop, make_split(shop, config).history("valid")


def of(shop: Snapshot, history: Interactions, *columns: str, **more: Any) -> Signals:
    found = Signals.of(shop, history, SignalsConfig(use=True, columns=columns, **more), ())
    assert found is not None
    return found


def test_numbers_by_hand(four: tuple[Snapshot, Interactions]) -> None:
    shop, history = four
    grams = [1.0, 3.0, None, 7.0, -1.0]
    found = of(with_columns(shop, grams=grams), history, "grams", bands=2)
    logs = np.log([2, 4, 8, 0.5])  # log1p of the size, with the sign
    mean, deviation = logs.mean(), logs.std()
    median = np.quantile(logs, 0.5)
    expected = np.zeros((5, 4))
    for row, log in zip((0, 1, 3, 4), logs, strict=True):
        expected[row, 0] = (log - mean) / deviation
        expected[row, 1 + int(log >= median)] = 1
    expected[2, 3] = 1  # missing
    np.testing.assert_allclose(found.values.numpy(), expected, atol=1e-6)


def test_categories_truth_values_and_what_is_missing(four: tuple[Snapshot, Interactions]) -> None:
    shop, history = four
    shop = with_columns(shop, kind=["x", "y", "x", None, "z"], fresh=[True, False, None, True, True])
    found = of(shop, history, "kind", "fresh", most_values=2)
    assert found.specs[0]["values"] == ["x", "y"]
    assert found.values.tolist() == [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]]


def test_times_are_ages_at_the_cut_off_and_later_ones_are_not_read(four: tuple[Snapshot, Interactions]) -> None:
    shop, history = four
    found = of(with_columns(shop, since=days([0, 2, 5.5, 6, 8])), history, "since", bands=1)
    logs = np.log1p([6, 4, 0.5])
    expected = [*((logs - logs.mean()) / logs.std()), 0, 0]
    np.testing.assert_allclose(found.values[:, 0].numpy(), expected, atol=1e-6)
    assert found.values[:, 1].tolist() == [0, 0, 0, 1, 1]


def test_what_the_history_tells_is_of_its_own_period_and_not_flagged(four: tuple[Snapshot, Interactions]) -> None:
    shop, history = four
    found = of(shop, history, PAID, SEEN, bands=1)
    assert found.values.shape == (5, 2)  # no column says who is in the history at all
    paid = np.log([4, 2, 8])
    np.testing.assert_allclose(found.values[:3, 0].numpy(), (paid - paid.mean()) / paid.std(), atol=1e-6)
    age = np.log1p([5, 3, 1])
    np.testing.assert_allclose(found.values[:3, 1].numpy(), (age - age.mean()) / age.std(), atol=1e-6)
    assert (found.values[3:] == 0).all()
    banded = of(shop, history, PAID, bands=2).values  # the median is that of product a
    assert banded[:, 1:].tolist() == [[0, 1], [1, 0], [0, 1], [0.5, 0.5], [0.5, 0.5]]


def test_by_default_all_that_is_fit_and_nothing_else(four: tuple[Snapshot, Interactions]) -> None:
    shop, history = four
    shop = with_columns(
        shop,
        title=["a", "b", "a", "b", "a"],
        stock=[1.0, 2.0, 3.0, 4.0, 5.0],
        grams=[1, 2, 3, 4, 5],
        kind=["x", "y", "x", "x", "y"],
        code=["1", "2", "3", "4", "5"],
        since=days([0, 1, 2, 3, 4]),
        later=days([7, 8, 9, 10, 11]),
        vector=[[1.0]] * 5,
        cost=pa.nulls(5, pa.float64()),
        **{name: [1.0, 2.0, 3.0, 4.0, 5.0] for name in derived_names("products")},
    )
    found = Signals.of(shop, history, SignalsConfig(use=True, most_values=3), ())
    assert found is not None
    assert [spec["name"] for spec in found.specs] == ["grams", "kind", "since", PAID, SEEN]


def test_columns_that_may_not_be_read_or_are_not_there(four: tuple[Snapshot, Interactions]) -> None:
    shop, history = four
    label = next(name for name in derived_names("products") if name.startswith("label_"))
    shop = with_columns(shop, grams=[1, 2, 3, 4, 5], **{label: [1.0] * 5})
    with pytest.raises(GnnError, match=rf"'{label}' is made of all events.*take paid_price"):
        of(shop, history, label)
    with pytest.raises(GnnError, match=r"no product has the column 'gram'.*use some of grams, paid_price, first_seen"):
        of(shop, history, "gram")
    with pytest.raises(GnnError, match="none of stock tells products apart"):
        of(with_columns(shop, stock=[2.0] * 5), history, "stock")


def test_a_column_of_just_the_products_with_events_is_made_of_them(graph: Callable[..., Snapshot]) -> None:
    """As Complete Journey's price: who has one would tell what is bought in the test period."""
    shop = graph([(f"u{n % 7}", f"p{n:03d}", float(n % 20)) for n in range(60)] + [("u1", "z", 3.0)])
    bought = shop.edges[KEY]
    unsold = shop.nodes["Product"].ids.row("z")
    kept = bought.dst != unsold
    shop = Snapshot(
        shop.nodes, {KEY: EdgeTable(bought.src[kept], bought.dst[kept], bought.columns.filter(pa.array(kept)))}
    )
    price = [None if n == unsold else 1.0 + n for n in range(61)]
    history = make_split(shop, settings()).history("valid")
    with pytest.raises(GnnError, match="'price' is made of all events"):
        of(with_columns(shop, price=price), history, "price")
    auto = Signals.of(with_columns(shop, price=price), history, ON, ())
    assert auto is None or "price" not in {spec["name"] for spec in auto.specs}
    other = [None if n == unsold - 1 else p for n, p in enumerate([1.0 + n for n in range(61)])]
    assert of(with_columns(shop, price=other), history, "price").specs[0]["name"] == "price"


def labelled(shop: Snapshot) -> Snapshot:
    draw = np.random.default_rng(2)
    return with_columns(
        shop, grams=draw.lognormal(3, 1, 80), kind=[f"k{n % 3}" for n in range(80)], since=days(list(range(-80, 0)))
    )


@pytest.mark.parametrize("user", ["set", "sequence"])
def test_without_them_and_with_them_before_any_step_the_network_is_the_same(shop: Snapshot, user: Reading) -> None:
    """The map begins at zero and draws no random number: what is not read leaves every bit as it was."""
    config, rich = settings(), labelled(shop)
    history = make_split(rich, config).history("valid")
    graph = build_message_graph(rich, history, config.graph, users=user == "set")
    signals = Signals.of(rich, history, ON, ())
    assert signals is not None
    assert [spec["name"] for spec in signals.specs] == ["grams", "kind", "since", SEEN]
    plain = make_network(graph, history, None, config, user)
    seeing = make_network(graph, history, None, config, user, signals=signals)
    theirs, ours = plain.state_dict(), seeing.state_dict()
    assert set(ours) - set(theirs) == {"signals.weight"}
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    assert torch.equal(plain.base(60, None), seeing.base(60, None))
    assert seeing.signals is not None
    with torch.no_grad():
        seeing.signals.weight += 1
    shown = seeing.base(60, None) - plain.base(60, None)
    expected = signals.values.sum(1, keepdim=True).expand(80, shown.shape[1])
    torch.testing.assert_close(shown[60:140], expected)
    assert (shown[:60] == 0).all()
    assert (shown[140:] == 0).all()


@pytest.mark.parametrize("user", ["set", "sequence"])
@pytest.mark.parametrize("neighbours", [0, 5])
def test_a_model_comes_back_and_moves_with_its_signals(
    shop: Snapshot, text: NDArray[np.float32], user: str, neighbours: int, tmp_path: Path
) -> None:
    rich = labelled(shop)
    train(rich, text, reading(settings(neighbours=neighbours), ON, user), tmp_path / "eval", SilentProgress())
    bundle = Bundle.load(tmp_path / "eval")
    trained = bundle.parts["network"]
    assert [spec["name"] for spec in trained.facts["signals"]][:2] == ["grams", "kind"]
    again = trained.moved(Given(rich, text), bundle.history, bundle.ids)
    assert again is not None
    users = np.arange(60)
    np.testing.assert_array_equal(again.scores(users), trained.scores(users))
    other = rich.nodes["Product"].columns
    grams = other["grams"].take(pa.array(range(79, -1, -1)))
    turned = other.set_column(other.column_names.index("grams"), "grams", grams)
    moved = trained.moved(
        Given(Snapshot(rich.nodes | {"Product": NodeTable(rich.nodes["Product"].ids, turned)}, rich.edges), text),
        bundle.history,
        bundle.ids,
    )
    assert moved is not None
    assert not np.allclose(moved.scores(users), trained.scores(users))
    bare = trained.moved(Given(shop, text), bundle.history, bundle.ids)  # a graph that has none of the columns
    assert bare is not None
    assert np.isfinite(bare.scores(users)).all()


def test_signals_tell_new_products_apart(graph: Callable[..., Snapshot], tmp_path: Path) -> None:
    """Even users take cheap products, odd ones dear ones; no text; new products have a price alone."""
    draw = np.random.default_rng(5)
    rows = []
    for user in range(40):
        for day, item in enumerate(draw.choice(np.arange(user % 2, 40, 2), 10, replace=False)):
            rows.append((f"u{user:02d}", f"p{item:02d}", float(day)))
    rows += [("v", f"p{item:02d}", 30.0) for item in range(40, 60)]
    price = np.where(np.arange(60) % 2, 100.0, 2.0) * draw.lognormal(0, 0.2, 60)
    shop = with_columns(graph(rows), price=price)
    split = {"method": "time", "valid_from": "1970-01-09", "test_from": "1970-01-20", "min_buyers": 0}
    base = from_dict(GnnConfig, {**{"split": split}, "train": {"threads": 1, "epochs": 12}}, "test")
    base = replace(base, train=replace(base.train, model="network"), eval=replace(base.eval, baselines=()))
    right = {}
    for use in (False, True):
        folder = tmp_path / str(use) / "eval"
        train(shop, None, reading(base, replace(ON, use=use), "set"), folder, SilentProgress())
        network = Recommendations.load(folder, shop, None).bundle.parts["network"]
        scores = network.scores(np.arange(40), np.arange(40, 60))
        above = scores[:, :, None][:, ::2] > scores[:, None, 1::2]
        right[use] = float(np.where((np.arange(40) % 2)[:, None, None], ~above, above).mean())
    assert right[True] > 0.95
    assert right[False] < 0.6


def test_the_leak_check_stays_clean_and_finds_a_time_that_is_read_too_late(
    build_shop: Callable[..., Snapshot], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = build_shop(300, 600)
    config = reading(settings(epochs=6), ON, "set")
    planted = plant(shop, config)
    columns = planted.snapshot.nodes["Product"].columns
    assert columns[LATE_COLUMN].null_count == len(columns) - len(planted.canaries)
    clean = leak_check(shop, None, config, ["network"], tmp_path / "clean", SilentProgress())
    assert not any(verdict.leaks for verdict in clean)
    history = make_split(planted.snapshot, planted.config).history("test")
    found = Signals.of(planted.snapshot, history, ON, ())
    assert found is not None
    assert [spec["name"] for spec in found.specs] == [SEEN]

    scores = []
    for name, snapshot in (("with", planted.snapshot), ("without", shop)):
        train(snapshot, None, reading(planted.config, ON, "set"), tmp_path / name, SilentProgress())
        scores.append(Bundle.load(tmp_path / name).parts["network"].scores(np.arange(300)))
    np.testing.assert_array_equal(*scores)

    def too_late(micros: NDArray[np.int64], known: NDArray[np.bool_], history: Interactions) -> NDArray[np.float64]:
        return np.where(known, np.log1p(np.abs(micros) / DAY), np.nan)

    monkeypatch.setattr(module, "_days_before", too_late)
    peeking = Signals.of(planted.snapshot, history, ON, ())
    assert peeking is not None
    assert LATE_COLUMN in {spec["name"] for spec in peeking.specs}
