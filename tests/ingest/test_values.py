"""Ids, texts, numbers and times, read by SQL, against references in Python."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract import MISSING
from ingest.names import extra_names, identifier, normalise_name
from ingest.values import MAX_TEXT_BYTES, create_macros

_connection = duckdb.connect()
_connection.execute("SET TimeZone = 'UTC'")
create_macros(_connection)
CONTROLS = {chr(c) for c in [*range(32), 127]} - set("\t\n\r")


def sql(expression: str, *values: Any) -> Any:
    row = _connection.execute(f"SELECT {expression}", list(values)).fetchone()
    assert row is not None
    return row[0]


def sql_each(expression: str, values: list[str]) -> list[Any]:
    """`expression` of each value `v`: one statement, since planning it costs more than running it."""
    found = _connection.execute(
        f"SELECT {expression} FROM (SELECT unnest(?::VARCHAR[]) AS v, generate_subscripts(?::VARCHAR[], 1) AS i) "
        "ORDER BY i",
        [values, values],
    )
    return [row[0] for row in found.fetchall()]


def reference_id(text: str) -> str | None:
    kept = "".join(c for c in text if c not in CONTROLS)
    # str.strip also strips the information separators, which are control characters and gone by now
    tidy = unicodedata.normalize("NFC", kept.strip())
    return None if tidy.lower() in MISSING else tidy


texts = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(" \t\n\u00a0e\u0301\x00\x1fNnaul/"))
)


@given(st.lists(texts, min_size=1, max_size=30))
def test_ids(values: list[str]) -> None:
    once = sql_each("sg_id(v)", values)
    assert once == [reference_id(text) for text in values]
    assert sql_each("sg_id(v)", once) == once


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40), st.integers(1, 9000))
def test_cut_text_fits_and_is_a_prefix(text: str, times: int) -> None:
    long = text * times
    cut = sql("sg_cut(?::VARCHAR)", long)
    assert long.startswith(cut)
    assert len(cut.encode()) <= MAX_TEXT_BYTES
    assert cut == long or len(long.encode()) > MAX_TEXT_BYTES


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_floats_round_trip(numbers: list[float]) -> None:
    assert sql_each("sg_float(v)", [repr(n) for n in numbers]) == numbers


@pytest.mark.parametrize("text", ["", "abc", "1,5", "1_000", "0x10", "inf", "-inf", "1e999", "1 2", "--1", ".", "5%"])
def test_no_floats(text: str) -> None:
    assert sql("sg_float(?::VARCHAR)", text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("-3", -3), ("3.0", 3), ("3.7", None), ("1e3", 1000), ("", None), ("99999999999999999999", None)],
)
def test_integers(text: str, value: int | None) -> None:
    assert sql("sg_integer(?::VARCHAR)", text) == value


moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1))
offsets = st.integers(-12 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))


def read_times(texts: list[str], zone: str = "UTC", factor: float = 1.0) -> list[datetime | None]:
    rows = _connection.execute(
        f"SELECT epoch_us(sg_time(w, sg_iso(w), '{zone}', {factor!r})) FROM (SELECT i, sg_word(v) AS w FROM (SELECT "
        "unnest(?::VARCHAR[]) AS v, generate_subscripts(?::VARCHAR[], 1) AS i)) ORDER BY i",
        [texts, texts],
    ).fetchall()
    found = [row[0] for row in rows]
    return [None if m is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=m) for m in found]


@given(st.lists(st.tuples(moments, offsets, st.sampled_from("T ")), min_size=1, max_size=20))
def test_times_with_a_zone(cases: list[tuple[datetime, timezone, str]]) -> None:
    aware = [moment.replace(tzinfo=offset) for moment, offset, _ in cases]
    assert read_times([a.isoformat(s) for a, (_, _, s) in zip(aware, cases, strict=True)]) == aware


@given(st.lists(moments, min_size=1, max_size=20), st.sampled_from("T "))
def test_times_without_a_zone_are_utc(naive: list[datetime], separator: str) -> None:
    assert read_times([m.isoformat(separator) for m in naive]) == [m.replace(tzinfo=UTC) for m in naive]


@given(st.lists(moments.map(lambda m: m.replace(hour=12)), min_size=1, max_size=20))
def test_times_without_a_zone_are_of_the_mapped_zone(naive: list[datetime]) -> None:
    london = [m.replace(tzinfo=ZoneInfo("Europe/London")) for m in naive]
    assert read_times([m.isoformat() for m in naive], "Europe/London") == london


@given(st.lists(moments.map(lambda m: m.replace(microsecond=0, tzinfo=UTC)), min_size=1, max_size=20))
def test_epoch_seconds(aware: list[datetime]) -> None:
    seconds = [int(a.timestamp()) for a in aware]
    assert read_times([str(s) for s in seconds]) == aware
    assert read_times([f"{s}.0" for s in seconds]) == aware
    assert read_times([str(s * 1000) for s in seconds], factor=0.001) == aware


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-02", datetime(2024, 1, 2)),
        ("20240102", datetime(2024, 1, 2)),
        ("20240102T101112Z", datetime(2024, 1, 2, 10, 11, 12)),
        ("2024-01-02t10:11z", datetime(2024, 1, 2, 10, 11)),
        ("2024-01-02 10:11:12 +02:00", datetime(2024, 1, 2, 8, 11, 12)),
        ("2024-01-02T10:11:12+0200", datetime(2024, 1, 2, 8, 11, 12)),
        ("2024-01-02T10:11:12-03", datetime(2024, 1, 2, 13, 11, 12)),
        ("2024-01-02T10:11:12,5Z", datetime(2024, 1, 2, 10, 11, 12, 500_000)),
        ("2024-01-02T10:11:12.123456789Z", datetime(2024, 1, 2, 10, 11, 12, 123_456)),
        ("1704190272.5", datetime(2024, 1, 2, 10, 11, 12, 500_000)),
    ],
)
def test_ways_to_write_a_time(text: str, moment: datetime) -> None:
    assert read_times([text]) == [moment.replace(tzinfo=UTC)]


@pytest.mark.parametrize(
    "text",
    ["last tuesday", "2024-02-30", "2024-13-01", "2024-01-02T25:00", "2024-01-02T10:61", "01/02/2024", "02.01.2024",
     "2024-01-02T", "2024-01-02T10:00:00+99:00", "10:00", "2024", "infinity", "epoch", "20241399"],
)  # fmt: skip
def test_no_times(text: str) -> None:
    (moment,) = read_times([text])
    assert moment is None or moment.year < 1990


@given(st.text(max_size=80))
def test_names_have_one_shape_and_are_stable(name: str) -> None:
    normal = normalise_name(name)
    assert re.fullmatch("[a-z][a-z0-9_]*", normal)
    assert normalise_name(normal) == normal


@given(st.lists(st.text(max_size=6), unique=True, max_size=20))
def test_extra_names_are_unique_and_unreserved(sources: list[str]) -> None:
    names = extra_names(sources, ["price", "title"])
    assert list(names) == sources
    assert len(set(names.values())) == len(sources)
    assert not set(names.values()) & {"id", "at", "day", "month", "source", "target", "embedding", "price", "title"}


def test_extra_names_by_example() -> None:
    names = extra_names(["Unit Größe", "Price", "id", "2nd", "foo bar", "foo-bar", "", "x; DROP TABLE y"], ["price"])
    assert list(names.values()) == [
        "unit_groe", "x_price", "x_id", "x_2nd", "foo_bar", "foo_bar_2", "column", "x_drop_table_y"
    ]  # fmt: skip


@pytest.fixture
def odd_names() -> Iterator[list[str]]:
    yield ['a"b', "a'b", "a b", "select", "é"]


def test_identifiers_are_quoted(odd_names: list[str]) -> None:
    for name in odd_names:
        _connection.execute(f"SELECT 1 AS {identifier(name)}")
        assert _connection.description is not None
        assert _connection.description[0][0] == name
