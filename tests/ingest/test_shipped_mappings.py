"""The shipped mappings on the data sets that they are for, against counts by pandas and hand-made lines."""

from __future__ import annotations

import gzip
import json
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from ingest.build import build_tables
from ingest.errors import IngestError
from ingest.mapping import read_mapping
from ingest.quality import TableQuality
from ingest.shipped_mappings import NAMES, mapping_file

Build = Callable[..., Any]
ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
MISSING = ["", "null", "none", "nan", "n/a"]


def shared(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not (SHARED / name).is_dir(), reason="the shared data sets are not here")


def adds_up(quality: TableQuality) -> bool:
    return quality.rows_in == quality.loaded + quality.merged + quality.quarantined


def test_every_shipped_mapping_is_read_and_packaged() -> None:
    assert set(NAMES) == {"online-retail", "tmall", "amazon-2014", "amazon-2018", "amazon-2023"}
    for name in NAMES:
        read_mapping(mapping_file(Path(name)))
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["ingest"]
    assert "mappings/*.toml" in packaged


def test_a_file_wins_over_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert mapping_file(Path("tmall")).parent.name == "mappings"
    Path("tmall").write_text("")
    assert mapping_file(Path("tmall")) == Path("tmall")


@pytest.mark.parametrize(("source", "mapping"), [(".", Path("amazon-2020")), ("amazon", None)])
def test_unknown_names_are_told_the_known_ones(tmp_path: Path, source: str, mapping: Path | None) -> None:
    with pytest.raises(IngestError) as caught:
        build_tables(source, tmp_path / "tables", tmp_path / "reports", mapping=mapping)
    assert "\n" not in str(caught.value)
    assert all(name in str(caught.value) for name in NAMES if mapping or name.startswith("amazon"))


@pytest.mark.benchmark_data
@shared("online-retail")
def test_online_retail(tmp_path: Path) -> None:
    source = SHARED / "online-retail"
    report = build_tables(str(source), tmp_path / "t", tmp_path / "r", mapping=Path("online-retail"))
    lines = pd.read_parquet(source / "online_retail.parquet")
    names = lines["Description"].str.strip()
    keyed = names.notna() & ~names.str.lower().isin(MISSING) & lines["CustomerID"].notna()
    good = keyed & (lines["Quantity"] != 0) & (lines["UnitPrice"] >= 0)
    # cancelling is another event than buying, so lines that differ in the sign alone stay apart
    distinct = lines[good].assign(Description=names).drop_duplicates()
    events = report.tables["events"]
    assert events.rows_in == len(lines) == 541_909
    assert adds_up(events)
    assert events.loaded == len(distinct)
    assert events.quarantined == int((~good).sum())
    loaded = pq.read_table(tmp_path / "t" / "events.parquet").to_pandas()
    assert loaded["event"].value_counts().to_dict() == {
        "purchase": int((distinct["Quantity"] > 0).sum()), "return": int((distinct["Quantity"] < 0).sum()),
    }  # fmt: skip
    returned = loaded.loc[loaded["event"] == "return", "quantity"].sum()
    assert returned == -int(distinct.loc[distinct["Quantity"] < 0, "Quantity"].sum())


@pytest.mark.benchmark_data
@shared("tmall-behaviours")
def test_tmall(tmp_path: Path) -> None:
    source = SHARED / "tmall-behaviours"
    report = build_tables(str(source), tmp_path / "t", tmp_path / "r", mapping=Path("tmall"))
    lines = pd.read_csv(source / "events.csv.gz", dtype=str, keep_default_na=False)
    events = report.tables["events"]
    assert adds_up(events)
    distinct = lines.drop_duplicates()
    assert (events.rows_in, events.loaded, events.quarantined) == (len(lines), len(distinct), 0)
    loaded = pq.read_table(tmp_path / "t" / "events.parquet", columns=["event", "split"]).to_pandas()
    assert loaded.value_counts().to_dict() == distinct[["event", "split"]].value_counts().to_dict()
    assert report.tables["users"].created == lines["user_id"].nunique() == 15_449
    assert report.tables["products"].created == lines["product_id"].nunique()


def test_tmall_raw_logs(build: Build) -> None:
    log = "user_id,item_id,cat_id,action_type,time_stamp\n1,5,9,0,1111\n1,5,9,2,1111\n1,6,9,3,1112\n2,6,9,1,1112\n"
    built = build({"user_log_format1.csv": log}, mapping=Path("tmall"))
    assert sorted((r["user_id"], r["product_id"], r["event"]) for r in built.rows("events")) == [
        ("1", "5", "click"), ("1", "5", "purchase"), ("1", "6", "wishlist"), ("2", "6", "cart"),
    ]  # fmt: skip


@pytest.mark.benchmark_data
@shared("amazon-music-5core")
def test_amazon_2014_reviews(tmp_path: Path) -> None:
    source = SHARED / "amazon-music-5core"
    report = build_tables(str(source), tmp_path / "t", tmp_path / "r", mapping=Path("amazon-2014"))
    reviews = pd.read_json(source / "reviews.json.gz", lines=True, dtype=False)
    events = report.tables["events"]
    assert adds_up(events)
    assert (events.rows_in, events.loaded, events.quarantined) == (len(reviews), len(reviews), 0) == (10_261, 10_261, 0)
    assert report.tables["users"].created == reviews["reviewerID"].nunique() == 1_429
    assert report.tables["products"].created == reviews["asin"].nunique() == 900
    loaded = pq.read_table(tmp_path / "t" / "events.parquet").to_pandas()
    assert not [c for c in loaded.columns if "name" in c]  # the reviewer's name is personal
    key = ["user_id", "product_id"]
    reviews["user_id"], reviews["product_id"] = reviews["reviewerID"], reviews["asin"]
    both = loaded.merge(reviews, on=key, suffixes=("", "_source"))
    assert len(both) == len(reviews)
    assert (both["time"] == pd.to_datetime(both["unixReviewTime"], unit="s", utc=True)).all()
    assert (both["rating"] == both["overall"]).all()
    assert (both["helpful_votes"] == both["helpful"].str[0]).all()
    assert set(loaded["event"]) == {"review"}


def written(*rows: Any) -> bytes:
    return gzip.compress("".join(f"{row}\n" for row in rows).encode())


REVIEW = {
    "reviewerID": "A1", "asin": "B1", "reviewerName": "N. N.", "helpful": [2, 3], "reviewText": "Fine.",
    "overall": 4.0, "summary": "ok", "unixReviewTime": 1252800000, "reviewTime": "09 13, 2009",
}  # fmt: skip


def test_amazon_2014_metadata(build: Build) -> None:
    meta = {
        "asin": "B1", "title": "Girls Tutu &amp; Bow", "price": 3.17, "imUrl": "http://x/1.jpg", "brand": "Coxlures",
        "related": {"also_bought": ["B2", "B3"], "also_viewed": ["B2"], "bought_together": ["B3"]},
        "salesRank": {"Toys & Games": 211836},
        "categories": [["Sports & Outdoors", "Other Sports", "Dance"], ["Toys"]],
    }  # fmt: skip
    built = build({
        "reviews_Sports_5.json.gz": written(json.dumps(REVIEW)),
        "meta_Sports.json.gz": written(repr(meta), repr({"asin": "B9", "description": 'It\'s "it"'})),
    }, mapping=Path("amazon-2014"))  # fmt: skip
    products = {r["product_id"]: r for r in built.rows("products")}
    assert sorted(products) == ["B1", "B9"]  # what is only bought along is an entity of a triple
    first = products["B1"]
    assert (first["title"], first["brand"], first["price"]) == ("Girls Tutu & Bow", "Coxlures", 3.17)
    assert first["category"] == "Sports & Outdoors > Other Sports > Dance;Toys"
    assert (first["image"], first["salesrank"]) == ("http://x/1.jpg", '{"Toys & Games": 211836}')
    assert products["B9"]["description"] == 'It\'s "it"'
    assert sorted((r["head"], r["relation"], r["tail"]) for r in built.rows("triples")) == [
        ("B1", "also_bought", "B2"), ("B1", "also_bought", "B3"), ("B1", "also_viewed", "B2"),
        ("B1", "bought_together", "B3"),
    ]  # fmt: skip
    event = built.rows("events")[0]
    assert (event["rating"], event["text"], event["summary"]) == (4.0, "Fine.", "ok")
    assert (event["helpful_votes"], event["votes"]) == (2, 3)
    assert event["time"] == datetime(2009, 9, 13, tzinfo=UTC)
    assert "N. N." not in str(event)


def test_amazon_2018(build: Build) -> None:
    review = {**REVIEW, "vote": "1,234", "verified": True, "style": {"Format:": " Hardcover"}, "image": ["http://x"]}
    del review["helpful"]
    meta = {
        "asin": "B1", "title": "Tutu", "price": "$1,012.99", "brand": "Cox &amp; Co",
        "category": ["Arts, Crafts &amp; Sewing", "Dance"], "description": ["First.", "Second."],
        "also_buy": ["B2"], "also_view": ["B2", "B3"], "imageURLHighRes": ["http://x/h.jpg"], "imageURL": ["http://x/l"],
        "main_cat": "Arts", "rank": "211,836 in Toys (",
    }  # fmt: skip
    priced = {"asin": "B2", "price": "$5.99 - $12.99", "category": [], "also_buy": []}
    built = build({
        "Arts.json.gz": written(json.dumps(review)),
        "meta_Arts.json.gz": written(json.dumps(meta), json.dumps(priced)),
    }, mapping=Path("amazon-2018"))  # fmt: skip
    first, second = built.rows("products")
    assert (first["price"], first["brand"], first["image"]) == (1012.99, "Cox & Co", "http://x/h.jpg")
    assert first["category"] == "Arts, Crafts & Sewing > Dance"
    assert first["description"] == "First.\nSecond."
    assert (second["price"], second["category"]) == (None, None)
    assert built.report.tables["products"].mends == {"price": {"wrong_type": 1}}  # a range of prices is none
    assert sorted((r["relation"], r["tail"]) for r in built.rows("triples")) == [
        ("also_bought", "B2"), ("also_viewed", "B2"), ("also_viewed", "B3"),
    ]  # fmt: skip
    event = built.rows("events")[0]
    assert (event["helpful_votes"], event["verified"], event["style"]) == (1234, True, '{"Format:": " Hardcover"}')
    assert "N. N." not in str(event)


def test_amazon_2023(build: Build) -> None:
    review = {
        "rating": 5.0, "title": "Such a lovely scent", "text": "Good.", "images": [], "asin": "B0A",
        "parent_asin": "B0", "user_id": "AGK", "timestamp": 1588687728923, "helpful_vote": 0, "verified_purchase": True,
    }  # fmt: skip
    older = {key: value for key, value in review.items() if key != "parent_asin"}
    meta = {
        "main_category": "All Beauty", "title": "Spray", "average_rating": 4.8, "rating_number": 10, "features": [],
        "description": ["Sea salt."], "price": 12.99, "images": [{"thumb": "t", "large": "l", "hi_res": None}],
        "videos": [], "store": "Herbivore", "categories": ["Beauty", "Hair"], "details": {"UPC": "1"},
        "parent_asin": "B0", "bought_together": None,
    }  # fmt: skip
    built = build({
        "All_Beauty.jsonl.gz": written(json.dumps(review), json.dumps(older)),
        "meta_All_Beauty.jsonl.gz": written(json.dumps(meta), json.dumps({**meta, "parent_asin": "B1", "price": None})),
    }, mapping=Path("amazon-2023"))  # fmt: skip
    products = {r["product_id"]: r for r in built.rows("products")}
    assert sorted(products) == ["B0", "B0A", "B1"]  # B0A is created: a review names it
    assert [products["B0"][c] for c in ("title", "brand", "category", "price", "image", "description")] == [
        "Spray", "Herbivore", "Beauty > Hair", 12.99, "l", "Sea salt.",
    ]  # fmt: skip
    names = ("product_id", "user_id", "rating", "summary", "text")
    assert sorted(tuple(r[n] for n in names) for r in built.rows("events")) == [
        ("B0", "AGK", 5.0, "Such a lovely scent", "Good."), ("B0A", "AGK", 5.0, "Such a lovely scent", "Good."),
    ]  # fmt: skip
    assert built.rows("events")[0]["time"] == datetime(2020, 5, 5, 14, 8, 48, 923_000, tzinfo=UTC)
    assert built.report.tables["triples"].rows_in == 0


@pytest.mark.parametrize(("mapping", "file"), [("amazon-2014", "r.json"), ("amazon-2018", "r.json.gz")])
def test_reviews_alone(build: Build, mapping: str, file: str) -> None:
    plain = json.dumps(REVIEW) + "\n"
    built = build({file: gzip.compress(plain.encode()) if file.endswith("gz") else plain}, mapping=Path(mapping))
    assert [r["product_id"] for r in built.rows("events")] == ["B1"]
    assert "triples" not in built.report.tables


def test_online_retail_with_invoice_and_stock_numbers(build: Build) -> None:
    invoices = (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
        "536365,85123A,HEART HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom\n"
        "C536366,85123A,HEART HOLDER,-6,7/2/2011 9:00,2.55,17850,United Kingdom\n"
    )
    built = build({"Online Retail.csv": invoices}, mapping=Path("online-retail"))
    bought, returned = built.rows("events")
    assert (bought["order_id"], bought["product_id"], bought["event"]) == ("536365", "85123A", "purchase")
    assert bought["time"] == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    assert (returned["event"], returned["quantity"]) == ("return", 6.0)
    assert returned["time"] == datetime(2011, 7, 2, 8, tzinfo=UTC)  # summer in London
    assert [(r["product_id"], r["title"]) for r in built.rows("products")] == [("85123A", "HEART HOLDER")]
