"""`check`: the figures of a build without one, and a draft of the mapping that suffices for one."""

from __future__ import annotations

import gzip
import json
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.build import build_tables
from ingest.check.directory import CheckReport, check_directory
from ingest.errors import IngestError
from ingest.mapping import read_mapping
from ingest.quality import QualityReport

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
SHARED = Path(__file__).parents[3] / "shared" / "data"
Write = Callable[[dict[str, Any]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def run(files: dict[str, Any]) -> Path:
        for name, content in files.items():
            path = tmp_path / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, pa.Table):
                pq.write_table(content, path)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / "source"

    return run


def built(source: Path, place: Path, mapping: Path | None = None) -> QualityReport:
    return build_tables(str(source), place / "tables", place / "reports", mapping=mapping, as_of=AS_OF)


def check(source: Path, **options: Any) -> CheckReport:
    before = {p: p.stat().st_mtime_ns for p in source.rglob("*")}
    report = check_directory(str(source), as_of=AS_OF, **options)
    assert {p: p.stat().st_mtime_ns for p in source.rglob("*")} == before
    return report


def drafted(source: Path, place: Path) -> tuple[CheckReport, QualityReport, dict[str, Any]]:
    """The check, the build with its draft alone, and the draft."""
    report = check(source)
    assert report.draft is not None
    draft = place / "draft.toml"
    draft.write_text(report.draft)
    read_mapping(draft)
    return report, built(source, place, draft), tomllib.loads(report.draft)


def same(report: CheckReport, build: QualityReport) -> bool:
    assert {n: t.quality for n, t in report.tables.items()} == build.tables
    return report.ignored_files == build.ignored_files


DIRTY = {
    "products.csv": "product_id,title,price,parent_id\np1,Tea,2.5,\np2,Milk,dear,p9\n,Lost,1,\np1,Tea,3,\n",
    "events-1.csv": "user_id,product_id,event,time,quantity,colour\nu1,p1,view,2024-01-02,,red\n"
    "u1,p1,view,2024-01-02,,red\nu2,p7,view,2024-01-03,,\nu2,p2,purchase,2024-02-03T10:00:00Z,0,\nu3,p2,cart,soon,1,\n"
    "u3,p2,cart,1704189600,x,\nnan,p2,cart,,1,blue\nu4\nu5,p1,void,,,\n",
    "notes.txt": "hello\n",
}


def test_the_figures_are_those_of_a_build(write: Write, tmp_path: Path) -> None:
    source = write(DIRTY)
    report = check(source)
    assert same(report, built(source, tmp_path))
    assert report.draft is None
    assert report.mapping is None
    assert report.ignored_files == ["notes.txt"]
    assert report.usable
    events = report.tables["events"]
    assert events.quality.rules == {
        "ragged_row": 1, "missing_key": 1, "unknown_event": 1, "dangling_product": 1, "unreadable_time": 1,
        "no_quantity": 1,
    }  # fmt: skip
    columns = {c.name: c for c in events.columns}
    assert [c.use for c in events.columns] == ["mapped"] * 5 + ["extra"]
    assert columns["event"].commonest == {"view": 2, "cart": 1}
    assert (columns["user_id"].distinct, columns["user_id"].missing) == (2, round(2 / 9, 6))  # nan, and the ragged row
    assert (columns["time"].least, columns["time"].most) == ("2024-01-02T00:00:00Z", "2024-01-02T10:00:00Z")
    assert (columns["colour"].kind, columns["colour"].missing) == ("text", round(6 / 9, 6))
    prices = {c.name: c for c in report.tables["products"].columns}["price"]
    assert (prices.least, prices.most, prices.missing) == ("2.5", "3.0", 0.25)
    assert report.tables["users"].quality.created == 2


def test_ignored_columns_and_a_mapping_in_force(write: Write, tmp_path: Path) -> None:
    source = write({
        "mapping.toml": '[tables.users]\ncolumns = { user_id = "who" }\nextras = ["city"]\n',
        "users.csv": "who,city,secret\nu1,Bonn,x\n",
    })  # fmt: skip
    report = check(source)
    assert same(report, built(source, tmp_path))
    assert report.mapping == str(source / "mapping.toml")
    assert [(c.name, c.source, c.use) for c in report.tables["users"].columns] == [
        ("user_id", "who", "mapped"), ("city", "city", "extra"), ("secret", "secret", "ignored"),
    ]  # fmt: skip


def german() -> dict[str, Any]:
    words = ["gekauft", "Warenkorb", "angesehen", "Storno"]
    lines = ["Kundennr;Artikelnr;Vorgang;Datum;Menge;Einzelpreis;Größe;E-Mail"]
    lines += [
        f"K{i % 40:04};A{i % 25:03};{words[i % 4]};{1 + i % 28:02}.{1 + i % 12:02}.2023 {i % 24:02}:{i % 60:02};"
        f"{1 + i % 3};{'1.' if i % 50 == 0 else ''}{100 + i},{i % 100:02} €;groß;kunde{i % 40}@example.org"
        for i in range(500)
    ]
    articles = ["Artikelnr;Bezeichnung;Marke;Warengruppe;Preis;Bestand"]
    articles += [f"A{i:03};Tee Größe {i};Müller;Getränke > Tee;{i},99;{i}" for i in range(25)]
    people = ["Kundennr;Vorname;Nachname;PLZ;Geburtsdatum"]
    people += [f"K{i:04};Ann{i};Bär;0{1000 + i};01.02.1980" for i in range(40)]
    files = {"Verkäufe 2023.csv": lines, "Artikelstamm.csv": articles, "Kunden.txt": people}
    return {name: ("\r\n".join(rows) + "\r\n").encode("cp1252") for name, rows in files.items()}


def test_the_draft_of_a_german_shop_suffices(write: Write, tmp_path: Path) -> None:
    report, build, draft = drafted(write({**german(), "liesmich.md": "Hallo"}), tmp_path)
    assert same(report, build)
    assert report.decisions == []
    assert report.mapping == "draft"
    assert {n: (t.loaded, t.quarantined, t.mended) for n, t in build.tables.items()} == {
        "products": (25, 0, 0), "users": (40, 0, 0), "events": (500, 0, 0),
    }  # fmt: skip
    assert draft["tables"]["events"]["event_values"] == {
        "gekauft": "purchase", "Warenkorb": "cart", "angesehen": "view", "Storno": "return",
    }  # fmt: skip
    events = pq.read_table(tmp_path / "tables" / "events.parquet").to_pylist()
    first = next(
        e for e in events if e["user_id"] == "K0000" and e["product_id"] == "A000" and e["event"] == "purchase"
    )
    assert (first["price"], first["quantity"]) == (1100.0, 1.0)
    assert first["time"] == datetime(2023, 1, 1, tzinfo=UTC)
    assert "example.org" not in str(events)
    users = pq.read_table(tmp_path / "tables" / "users.parquet")
    # names, birthdays and postcodes say who a person is
    assert {name for name in users.column_names if not name.startswith("label_")} == {"user_id"}
    products = pq.read_table(tmp_path / "tables" / "products.parquet").to_pylist()
    assert (products[3]["title"], products[3]["price"]) == ("Tee Größe 3", 3.99)


@pytest.mark.benchmark_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize("name", ["online-retail", "amazon-music-5core"])
def test_the_draft_of_real_data_suffices(tmp_path: Path, name: str) -> None:
    report, build, draft = drafted(SHARED / name, tmp_path)
    assert same(report, build)
    assert report.decisions == []
    events, columns = build.tables["events"], draft["tables"]["events"]["columns"]
    if name == "online-retail":
        lines = pd.read_parquet(SHARED / name / "online_retail.parquet")
        assert events.rows_in == len(lines)
        assert (events.loaded, events.quarantined) == (401_520, int(lines["CustomerID"].isna().sum()))
        assert (columns["user_id"], columns["time"]) == ("CustomerID", "InvoiceDate")
        assert draft["tables"]["events"]["negative_quantity"] == "return"
        assert build.tables["products"].loaded == 4_211
    else:
        assert (events.loaded, events.quarantined) == (10_261, 0)
        assert columns == {
            "user_id": "reviewerID", "product_id": "asin", "time": "unixReviewTime", "rating": "overall",
            "text": "reviewText",
        }  # fmt: skip
        assert draft["tables"]["events"]["constants"] == {"event": "review"}
        assert "reviewerName" not in draft["tables"]["events"]["extras"]
    profiles = {c.name: c for c in report.tables["events"].columns}
    loaded = pq.read_table(tmp_path / "tables" / "events.parquet").to_pandas()
    assert profiles["user_id"].distinct == loaded["user_id"].nunique()
    assert profiles["time"].least == loaded["time"].min().strftime("%Y-%m-%dT%H:%M:%SZ")
    assert profiles["time"].most == loaded["time"].max().strftime("%Y-%m-%dT%H:%M:%SZ")


def sales(dates: list[str]) -> str:
    return "CustomerID,sku,qty,invoice_date\n" + "".join(f"c,s{i},1,{d}\n" for i, d in enumerate(dates))


def test_later_rows_correct_the_order_of_day_and_month(write: Write, tmp_path: Path) -> None:
    early = [f"{1 + i % 12}/1/2023" for i in range(2500)]  # the first rows could be either
    report, build, draft = drafted(write({"sales.csv": sales([*early, "1/31/2023"])}), tmp_path)
    assert draft["tables"]["events"]["time_format"] == "%m/%d/%Y"
    assert report.decisions == []
    assert same(report, build)
    assert build.tables["events"].quarantined == 0


def test_what_no_value_tells_is_left_to_a_person(write: Write, tmp_path: Path) -> None:
    report, build, draft = drafted(write({"sales.csv": sales(["1/2/2023", "3/4/2023"])}), tmp_path)
    assert draft["tables"]["events"]["time_format"] == "%d/%m/%Y"
    assert len(report.decisions) == 1
    assert "day or the month" in report.decisions[0]
    assert "\n" not in report.decisions[0]
    assert build.tables["events"].loaded == 2


def test_events_of_one_kind_that_nothing_names(write: Write) -> None:
    report = check(write({"data.csv": "uid,item_id,when\nu,i,2024-01-01\n"}))
    assert not report.usable
    assert len(report.decisions) == 1
    assert "data.csv" in report.decisions[0]
    assert "constants" in report.decisions[0]
    assert report.problem is not None


def test_event_words_that_are_not_known(write: Write, tmp_path: Path) -> None:
    log = "uid,item_id,action,ts\n" + "u,i,buy,1700000000000\nu,j,add_to_cart,1700000001000\nu,k,77,1700000002000\n"
    report, build, draft = drafted(write({"clicks.csv": log}), tmp_path)
    assert draft["tables"]["events"]["event_values"] == {"buy": "purchase", "add_to_cart": "cart"}
    assert draft["tables"]["events"]["units"] == {"time": 0.001}
    assert [d for d in report.decisions if "'77'" in d] == report.decisions != []
    assert build.tables["events"].rules == {"unknown_event": 1}
    first = pq.read_table(tmp_path / "tables" / "events.parquet")["time"][0].as_py()
    assert first == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_contract_tables_with_strange_columns_and_words_get_a_draft(write: Write, tmp_path: Path) -> None:
    source = write({
        "mapping.toml": 'time_zone = "Europe/Berlin"\n[tables.events.units]\nprice = 0.01\n',
        "events.csv": "user_id,product_id,event,time,qty,price\nu,p,buy,2024-01-02,2,199\nu,p,view,2024-01-02,,\n",
    })  # fmt: skip
    report, build, draft = drafted(source, tmp_path)
    assert draft == {
        "time_zone": "Europe/Berlin",
        "tables": {"events": {
            "units": {"price": 0.01}, "columns": {"quantity": "qty"}, "event_values": {"buy": "purchase"},
        }},
    }  # fmt: skip
    assert set(report.guesses) == {"tables.events.columns.quantity", "tables.events.event_values.buy"}
    assert same(report, build)
    bought = next(e for e in pq.read_table(tmp_path / "tables/events.parquet").to_pylist() if e["event"] == "purchase")
    assert (bought["quantity"], bought["price"]) == (2.0, pytest.approx(1.99))


def test_amazon_metadata_in_python_literals(write: Write, tmp_path: Path) -> None:
    meta = {
        "asin": "B1", "title": "Tea &amp; Milk", "price": 3.5, "brand": "Cox", "imUrl": "http://x",
        "related": {"also_bought": ["B2"], "also_viewed": ["B2", "B3"]}, "categories": [["Food", "Tea"], ["Gifts"]],
    }  # fmt: skip
    review = {"reviewerID": "A", "asin": "B1", "reviewerName": "N. N.", "overall": 4, "unixReviewTime": 1252800000}
    source = write({
        "meta.json.gz": gzip.compress(f"{meta}\n".encode()), "reviews.json": json.dumps(review) + "\n",
    })  # fmt: skip
    report, build, _ = drafted(source, tmp_path)
    assert same(report, build)
    product = pq.read_table(tmp_path / "tables" / "products.parquet").to_pylist()[0]
    assert (product["title"], product["category"], product["image"]) == ("Tea & Milk", "Food > Tea;Gifts", "http://x")
    triples = pq.read_table(tmp_path / "tables" / "triples.parquet").to_pylist()
    assert [(t["relation"], t["tail"]) for t in triples] == [
        ("also_bought", "B2"), ("also_viewed", "B2"), ("also_viewed", "B3"),
    ]  # fmt: skip


def test_a_second_file_of_a_table_is_left_to_a_person(write: Write) -> None:
    report = check(write({"products.csv": "product_id,title\np,Tea\n", "catalog.csv": "sku,name\nq,Milk\n"}))
    assert report.draft is None
    assert report.tables["products"].quality.loaded == 1
    assert len(report.decisions) == 1
    assert "catalog.csv" in report.decisions[0]


def test_a_guess_that_fails_does_not_hide_what_can_be_read(write: Write, tmp_path: Path) -> None:
    # the log is cut off beyond the rows that guesses rest on
    log = gzip.compress(
        b"uid,sku,action,note\n" + b"".join(b"u%d,s,view,%s\n" % (i, b"x" * 999) for i in range(20_000))
    )
    source = write({"products.csv": "product_id,title\np,Tea\n", "clicks.csv.gz": log[:-9]})
    report = check(source)
    assert report.draft is None
    assert same(report, built(source, tmp_path))
    assert len(report.decisions) == 1
    assert "clicks.csv.gz" in report.decisions[0]


@pytest.mark.parametrize("files", [{"a.md": "x"}, {"data.csv": "x,y\n1,2\n"}, {"events.csv": ""}, {"t.json": "[1]"}])
def test_nothing_usable(write: Write, files: dict[str, Any]) -> None:
    report = check(write(files))
    assert not report.usable
    assert report.problem is not None
    assert "\n" not in report.problem


def test_no_directory_and_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="nowhere"):
        check_directory(str(tmp_path / "nowhere"))
    with pytest.raises(IngestError, match="online-retail"):
        check_directory(str(tmp_path), mapping=Path("nothing"))
