"""mapping.toml: renames, codes, constants, units, encodings, time zones; and its faults, each by its key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import IngestError

Build = Callable[..., Any]

MAPPING = """
dangling = "create"
time_zone = "Europe/Berlin"

[tables.events]
files = ["Verkauf*.csv"]
encoding = "cp1252"
delimiter = ";"
extras = ["Land"]
[tables.events.columns]
user_id = "Kunde"
product_id = "Artikel"
event = "Art"
time = "Zeit"
quantity = "Menge"
price = "Preis"
text = "Größe"
[tables.events.constants]
channel = "web"
origin = "old shop"
[tables.events.units]
price = 0.01
quantity = 12
[tables.events.event_values]
Kauf = "purchase"
"angesehen" = "view"

[tables.products]
columns = { product_id = "sku" }
"""
SALES = (
    "Kunde;Artikel;Art;Zeit;Menge;Preis;Größe;Land;Ort\n"
    "k1;a1;KAUF;2024-01-02 10:00:00;2;199;groß;DE;Bonn\n"
    "k1;a2;angesehen;2024-07-02 10:00:00;;;;DE;Bonn\n"
    "k1;a2;Rückgabe;2024-07-02 10:00:00;;;;DE;Bonn\n"
)


def test_a_mapped_directory(build: Build) -> None:
    built = build({
        "mapping.toml": MAPPING,
        "Verkauf-2024.csv": SALES.encode("cp1252"),
        "products.csv": "sku,title\na1,Tee\n",
    }, as_of=datetime(2024, 12, 1, tzinfo=UTC))  # fmt: skip
    bought, seen = built.rows("events")
    assert (bought["user_id"], bought["product_id"], bought["event"]) == ("k1", "a1", "purchase")
    assert bought["time"] == datetime(2024, 1, 2, 9, tzinfo=UTC)  # winter in Berlin
    assert (bought["quantity"], bought["price"], bought["text"]) == (24.0, pytest.approx(1.99), "groß")
    assert (bought["channel"], bought["origin"], bought["land"]) == ("web", "old shop", "DE")
    assert "ort" not in bought
    assert (seen["event"], seen["time"]) == ("view", datetime(2024, 7, 2, 8, tzinfo=UTC))  # summer
    held = built.quarantine("events")
    assert [(r["line"], r["rule"], r["value"]) for r in held] == [(4, "unknown_event", "Rückgabe")]
    assert [r["product_id"] for r in built.rows("products")] == ["a1", "a2"]


def test_one_column_may_serve_two_and_one_file_two_tables(build: Build) -> None:
    built = build({
        "mapping.toml": """
            [tables.products]
            files = ["lines.csv"]
            columns = { product_id = "what", title = "what" }
            extras = false
            [tables.events]
            files = ["lines.csv"]
            columns = { user_id = "who", product_id = "what", time = "ms" }
            constants = { event = "purchase" }
            units = { time = 0.001 }
            """,
        "lines.csv": "who,what,ms\nu1,Tea,1704189600000\nu2,Tea,1704189601500\n",
    })  # fmt: skip
    assert [(r["product_id"], r["title"]) for r in built.rows("products")] == [("Tea", "Tea")]
    assert set(built.rows("products")[0]) & {"who", "ms"} == set()
    assert built.report.tables["products"].merged == 1
    assert built.rows("events")[1]["time"] == datetime(2024, 1, 2, 10, 0, 1, 500_000, tzinfo=UTC)


def test_a_mapping_given_by_path(build: Build, tmp_path: Path) -> None:
    mapping = tmp_path / "other.toml"
    mapping.write_text('[tables.users]\ncolumns = { user_id = "name" }\n')
    assert [r["user_id"] for r in build({"users.csv": "name\nAnn\n"}, mapping=mapping).rows("users")] == ["Ann"]


def test_undecodable_header_and_utf16(build: Build) -> None:
    built = build({
        "mapping.toml": '[tables.users]\nencoding = "utf-16"\n',
        "users.csv": "user_id,Ort\nu1,Köln\n".encode("utf-16"),
    })  # fmt: skip
    assert built.rows("users") == [{"user_id": "u1", "ort": "Köln"}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tabels = 1", ["'tabels'", "tables"]),
        ("[tables.event]", ["'tables.event'", "events"]),
        ("[tables.events]\ncolums = {}", ["'tables.events.colums'", "columns"]),
        ("[tables.products]\nevent_values = { a = 'view' }", ["'tables.products.event_values'"]),
        ("[tables.events.event_values]\nbuy = 'bought'", ["event_values.buy", "'bought'", "purchase"]),
        ("[tables.events.units]\ntext = 2", ["units.text", "price"]),
        ("[tables.events.units]\nprice = 'two'", ["units.price", "number"]),
        ("dangling = 'drop'", ["'drop'", "quarantine"]),
        ("time_zone = 'Mars/Olympus'", ["'Mars/Olympus'", "IANA"]),
        ("encoding = 'utf-99'", ["'utf-99'"]),
        ("delimiter = 'tab'", ["'tab'", "single character"]),
        ("[tables.events]\nfiles = ['no*.csv']", ["no*.csv", "events"]),
        ("[tables.events]\nfiles = ['../secret.csv']", ["../secret.csv", "within"]),
        ("[tables.events]\nfiles = ['/etc/passwd']", ["/etc/passwd", "within"]),
        ("[tables.events.columns]\nuser_id = 'Kunde'", ["'Kunde'", "events.csv", "user_id, product_id, event"]),
        ("[tables.events]\nfiles = 3", ["tables.events.files", "list"]),
        ("tables = 3", ["'tables'"]),
        ("= broken", ["not TOML", "line 1"]),
    ],
)
def test_faults_of_a_mapping_are_named(build: Build, text: str, words: list[str]) -> None:
    with pytest.raises(IngestError) as caught:
        build({"mapping.toml": text, "events.csv": "user_id,product_id,event\nu,p,view\n"})
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_mapping_that_is_not_there(build: Build, tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=r"nowhere\.toml"):
        build({"users.csv": "user_id\nu\n"}, mapping=tmp_path / "nowhere.toml")
