"""The shop's rules on a small graph: stock, dates, pins, labels of products, and settings that make no sense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gnn.config import GnnConfig, RerankConfig
from gnn.errors import GnnError
from gnn.rerank.rules import checked, pinned_rows, places, sellable
from gnn.rerank.traits import Traits
from ingest.config_dict import from_dict
from kg.snapshot import EdgeTable, NodeTable, Snapshot


@pytest.fixture
def with_columns(shop: Snapshot) -> Callable[..., Snapshot]:
    def make(**columns: Any) -> Snapshot:
        products = shop.nodes["Product"]
        table = products.columns
        for name, first in columns.items():
            table = table.append_column(name, pa.array([*first, *[None] * (len(products) - len(first))]))
        return replace(shop, nodes={**shop.nodes, "Product": NodeTable(products.ids, table)})

    return make


def test_stock_that_is_not_known_is_stock(with_columns: Callable[..., Snapshot]) -> None:
    snapshot = with_columns(stock=[0.0, 3.0, None, -1.0])
    assert np.flatnonzero(~sellable(snapshot, RerankConfig())).tolist() == [0, 3]
    assert sellable(snapshot, RerankConfig(in_stock=False)).all()


def test_products_are_shown_from_their_first_day_until_their_last(with_columns: Callable[..., Snapshot]) -> None:
    may, june = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
    snapshot = with_columns(available_from=[may, None, june, may], available_until=[None, june, None, june])
    for when, hidden in (
        (datetime(2024, 4, 30), [0, 2, 3]),
        (may, [2]),  # the first instant counts
        (datetime(2024, 5, 31, 23, 59), [2]),
        (june, [1, 3]),  # the last does not
    ):
        assert np.flatnonzero(~sellable(snapshot, RerankConfig(), when)).tolist() == hidden
    assert np.flatnonzero(~sellable(snapshot, RerankConfig())).tolist() == [1, 3]  # now
    assert sellable(snapshot, RerankConfig(available=False), may).all()


def test_a_graph_without_these_columns_hides_nothing(shop: Snapshot) -> None:
    assert sellable(shop, RerankConfig()).all()


def test_traits_of_the_small_shop(shop: Snapshot) -> None:
    """Product i is of brand and line i % 8; lines lie under coffee (even) or tea (odd), both under drinks."""
    names = shop.nodes["Category"].ids.ids.to_pylist()
    rows = np.arange(80)
    for level, want in ((1, ["drinks"] * 80), (2, [f"drinks > {'tea' if i % 2 else 'coffee'}" for i in rows])):
        traits = Traits.of(shop, level)
        assert [names[c] for c in traits.category] == [
            f"{'drinks > tea' if i % 2 else 'drinks > coffee'} > line {i % 8}" for i in rows
        ]
        assert len(set(zip(traits.coarse.tolist(), want, strict=True))) == traits.kinds == level
    for level in (3, 9):  # no deeper than the tree
        traits = Traits.of(shop, level)
        assert len(set(zip(traits.coarse.tolist(), traits.category.tolist(), strict=True))) == traits.kinds == 8
    assert shop.nodes["Brand"].ids.take(traits.brand[:9]) == [f"brand {i % 8}" for i in range(9)]
    assert traits.variant.tolist() == list(range(80))


def test_products_without_category_are_a_kind_of_their_own(shop: Snapshot) -> None:
    key = ("Product", "IN_CATEGORY", "Category")
    table = shop.edges[key]
    less = EdgeTable(table.src[10:], table.dst[10:], table.columns.slice(10))
    traits = Traits.of(replace(shop, edges={**shop.edges, key: less}))
    assert traits.category[:10].tolist() == [-1] * 10
    assert len(set(traits.coarse[:10])) == 1
    assert traits.kinds == 2
    bare = {k: t for k, t in shop.edges.items() if k[1] not in ("IN_CATEGORY", "MADE_BY", "CHILD_OF")}
    traits = Traits.of(replace(shop, edges=bare))
    assert (traits.brand.max(), traits.category.max(), traits.kinds) == (-1, -1, 1)


def test_pins_name_a_place_and_a_product(shop: Snapshot) -> None:
    config = RerankConfig(pinned=("3: p007", "1:p001"))
    assert places(config) == {2: "p007", 0: "p001"}
    assert pinned_rows(config, shop.nodes["Product"].ids) == {2: 7, 0: 1}
    assert places(RerankConfig(pinned=("1:urn:7",))) == {0: "urn:7"}
    with pytest.raises(GnnError, match="pinned product 'p999' is unknown"):
        pinned_rows(RerankConfig(pinned=("1:p999",)), shop.nodes["Product"].ids)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mmr": 1.5}, "mmr is 1.5"),
        ({"mmr": float("nan")}, "mmr is nan"),
        ({"calibration": -0.1}, "calibration is -0.1"),
        ({"exposure_cap": 2}, "exposure_cap is 2"),
        ({"per_brand": -1}, "per_brand is -1"),
        ({"per_category": -2}, "per_category is -2"),
        ({"calibration_level": 0}, "calibration_level is 0"),
        ({"pool": 0}, "pool is 0"),
        ({"pinned": ["p001"]}, "'p001' pins nothing"),
        ({"pinned": ["0:p001"]}, "'0:p001' pins nothing"),
        ({"pinned": ["2: "]}, "'2: ' pins nothing"),
        ({"pinned": ["1:p001", "1:p002"]}, "place 1 is pinned twice"),
        ({"pinned": ["1:p001", "2:p001"]}, "'p001' is pinned twice"),
    ],
)
def test_settings_that_make_no_sense_are_named_in_one_line(wrong: dict[str, Any], message: str) -> None:
    config = from_dict(GnnConfig, {"rerank": wrong}, "shopgraph.toml").rerank
    with pytest.raises(GnnError, match=message) as error:
        checked(config)
    assert "[rerank]" in str(error.value)
    assert "\n" not in str(error.value)
