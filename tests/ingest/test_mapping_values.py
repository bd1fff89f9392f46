"""What a mapping says about how values are written: dates, decimals, cancellations; and which files it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.errors import IngestError
from ingest.names import literal
from ingest.staging import connect
from ingest.values import create_macros

Build = Callable[..., Any]


def test_dates_by_pattern_in_the_time_zone_of_the_mapping(build: Build) -> None:
    built = build({
        "mapping.toml": """
            time_zone = "Europe/Berlin"
            time_format = ["%d/%m/%Y %H:%M", "%d.%m.%y", "%d/%m/%Y %H:%M %z"]
            """,
        "events.csv": "user_id,product_id,event,time,seen\n"
        "u,p1,view,2/1/2024 8:26,31/01/2024 00:00\n"
        "u,p2,view,03.07.23,\n"
        "u,p3,view,2024-01-02T10:00:00Z,01/02/2024 00:00\n"
        "u,p4,view,1704189600,\n"
        "u,p5,view,02/01/2024 08:26 -0300,\n"
        "u,p6,view,01/13/2024 08:26,\n"
        "u,p7,view,30/02/2024 08:26,\n",
    })  # fmt: skip
    assert {r["product_id"]: r["time"] for r in built.rows("events")} == {
        "p1": datetime(2024, 1, 2, 7, 26, tzinfo=UTC),  # day first, winter in Berlin
        "p2": datetime(2023, 7, 2, 22, tzinfo=UTC),  # summer
        "p3": datetime(2024, 1, 2, 10, tzinfo=UTC),
        "p4": datetime(2024, 1, 2, 10, tzinfo=UTC),
        "p5": datetime(2024, 1, 2, 11, 26, tzinfo=UTC),
    }
    assert [(r["line"], r["rule"]) for r in built.quarantine("events")] == [
        (7, "unreadable_time"), (8, "unreadable_time"),
    ]  # fmt: skip
    seen = {r["product_id"]: r["seen"] for r in built.rows("events")}
    assert seen["p1"] == datetime(2024, 1, 30, 23, tzinfo=UTC)  # an extra column takes the patterns too


def test_a_table_may_have_patterns_of_its_own(build: Build) -> None:
    built = build({
        "mapping.toml": 'time_format = "%m/%d/%Y"\n[tables.events]\ntime_format = "%d/%m/%Y"\n',
        "events.csv": "user_id,product_id,event,time\nu,p,view,02/01/2024\n",
        "products.csv": "product_id,available_from\np,02/01/2024\n",
    })  # fmt: skip
    assert built.rows("events")[0]["time"] == datetime(2024, 1, 2, tzinfo=UTC)
    assert built.rows("products")[0]["available_from"] == datetime(2024, 2, 1, tzinfo=UTC)


def test_decimal_commas(build: Build) -> None:
    built = build({
        "mapping.toml": 'delimiter = ";"\ndecimal = ","\n',
        "products.csv": "product_id;price;stock;weight\np1;1.234,56 €;-3;0,5\np2;EUR 7;1.5;1.200\np3;,50;12.000;2\n",
    })  # fmt: skip
    rows = built.rows("products")
    assert [r["price"] for r in rows] == [1234.56, 7.0, 0.5]
    assert [r["stock"] for r in rows] == [-3.0, None, 12000.0]
    assert [r["weight"] for r in rows] == [0.5, 1200.0, 2.0]
    assert built.report.tables["products"].mends == {"stock": {"wrong_type": 1}}


numbers = st.decimals(min_value=-(10**12), max_value=10**12, places=2, allow_nan=False)


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = connect(tmp_path_factory.mktemp("sql"), 1, "200MB")
    create_macros(made)
    yield lambda expression: made.execute(f"SELECT {expression}").fetchall()[0][0]
    made.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers, st.sampled_from(["{}", "{} €", "$ {}", "{}EUR", "USD {}"]))
def test_grouped_numbers_are_read_whatever_their_separators(sql: Any, number: Any, form: str) -> None:
    english = form.format(f"{number:,.2f}")
    german = english.translate(str.maketrans(",.", ".,"))
    assert sql(f"sg_float(sg_point_number({literal(english)}))") == float(number)
    assert sql(f"sg_float(sg_comma_number({literal(german)}))") == float(number)


@pytest.mark.parametrize("word", ["$5.99 - $12.99", "12,34.5", "1,2", "from 3.00", ".a-box{}", "--1", "1 2"])
def test_what_is_no_grouped_number(sql: Any, word: str) -> None:
    assert sql(f"sg_float(sg_point_number({literal(word)}))") is None


CANCELLED = """
[tables.events]
negative_quantity = "return"
constants = { event = "purchase" }
"""


def test_purchases_of_negative_quantity_are_returns(build: Build) -> None:
    lines = "user_id,product_id,quantity\nu,p1,3\nu,p1,-3\nu,p2,0\nu,p2,-1\nu,p2,-1\nu,p3,\n"
    built = build({"mapping.toml": CANCELLED, "events.csv": lines})
    found = sorted((r["product_id"], r["event"], r["quantity"]) for r in built.rows("events") if r["quantity"])
    assert found == [("p1", "purchase", 3.0), ("p1", "return", 3.0), ("p2", "return", 1.0)]
    events = built.report.tables["events"]
    assert (events.rows_in, events.loaded, events.merged, events.rules) == (6, 4, 1, {"no_quantity": 1})
    held = built.quarantine("events")[0]
    assert (held["line"], held["rule"], held["value"]) == (4, "no_quantity", "0")


def test_other_events_of_negative_quantity_stay_a_fault(build: Build) -> None:
    lines = "user_id,product_id,event,quantity\nu,p,cart,-1\nu,p,return,-2\n"
    built = build({"mapping.toml": '[tables.events]\nnegative_quantity = "return"\n', "events.csv": lines})
    assert [(r["event"], r["quantity"]) for r in built.rows("events")] == [("return", 2.0)]
    assert [r["rule"] for r in built.quarantine("events")] == ["negative_quantity"]


def test_files_after_an_exclamation_mark_are_left_out(build: Build) -> None:
    built = build({
        "mapping.toml": '[tables.users]\nfiles = ["*.tsv", "!old*"]\ndelimiter = "\\t"\n',
        "new.tsv": "user_id\tcity\nu1\tBonn\n",
        "old.tsv": "user_id\nu2\n",
    })  # fmt: skip
    assert built.rows("users") == [{"user_id": "u1", "city": "Bonn"}]
    assert built.report.ignored_files == ["old.tsv"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time_format = '%Q'", ["time_format", "%Q", "%d/%m/%Y"]),
        ("time_format = 'day'", ["time_format", "'day'"]),
        ("[tables.events]\ntime_format = 3", ["tables.events.time_format", "list"]),
        ("decimal = ';'", ["decimal", "';'"]),
        ("[tables.events]\nnegative_quantity = 'refund'", ["negative_quantity", "'refund'", "return"]),
        ("[tables.products]\nnegative_quantity = 'return'", ["tables.products.negative_quantity"]),
        ("[tables.events]\noptional = 'yes'", ["tables.events.optional", "true or false"]),
        ("[tables.events.columns]\ntext = { form = 'a' }", ["tables.events.columns.text.form", "from"]),
        ("[tables.events.columns]\ntext = { join = ',' }", ["tables.events.columns.text", "from"]),
        ("[tables.events.columns]\ntext = { from = 'a', join = ['1', '2', '3'] }", ["OUTER, INNER"]),
        ("[tables.events]\nfiles = ['!../x']", ["!../x", "within"]),
        ("[tables.events.unnest]\na = 'nowhere.list'", ["nowhere.list", "events.csv", "user_id"]),
    ],
)
def test_faults_of_these_settings_are_named(build: Build, text: str, words: list[str]) -> None:
    with pytest.raises(IngestError) as caught:
        build({"mapping.toml": text, "events.csv": "user_id,product_id,event\nu,p,view\n"})
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
