"""Directories as sources: formats, parts, extra columns, and the faults that stop a build by name."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.build import build_tables
from ingest.contract import TABLES, Kind
from ingest.errors import IngestError

Build = Callable[..., Any]
ARROW = {
    Kind.ID: pa.string(),
    Kind.TEXT: pa.string(),
    Kind.FLOAT: pa.float64(),
    Kind.INTEGER: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.TIME: pa.timestamp("us", "UTC"),
}
EVENTS = "user_id,product_id,event,time,quantity\nu1,p1,view,2024-01-02T10:00:00Z,\nu1,p2,purchase,1704189600,2\n"
JSONL = (
    '{"user_id":"u1","product_id":"p1","event":"view","time":"2024-01-02T10:00:00Z"}\n'
    '{"user_id":"u1","product_id":"p2","event":"purchase","time":1704189600,"quantity":2}\n'
)


def parquet_bytes(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def test_every_format_gives_the_same_events(tmp_path: Path) -> None:
    typed = pa.table({
        "user_id": ["u1", "u1"],
        "product_id": ["p1", "p2"],
        "event": ["view", "purchase"],
        "time": pa.array([datetime(2024, 1, 2, 10), datetime(2024, 1, 2, 10)]),
        "quantity": [None, 2],
    })  # fmt: skip
    files = {
        "events.csv": EVENTS.encode(),
        "events.csv.gz": gzip.compress(EVENTS.encode()),
        "events.jsonl": JSONL.encode(),
        "events.jsonl.gz": gzip.compress(JSONL.encode()),
        "events.parquet": parquet_bytes(typed),
        "EVENTS.CSV": b"\xef\xbb\xbf" + EVENTS.replace("\n", "\r\n").encode(),
    }
    found = []
    for i, (name, content) in enumerate(files.items()):
        root = tmp_path / str(i)
        (root / "in").mkdir(parents=True)
        (root / "in" / name).write_bytes(content)
        build_tables(str(root / "in"), root / "tables", root / "reports")
        found.append(pq.read_table(root / "tables" / "events.parquet"))
    assert all(table.equals(found[0]) for table in found)
    assert found[0]["time"].to_pylist() == [datetime(2024, 1, 2, 10, tzinfo=UTC)] * 2


def test_clean_columns_are_those_of_the_contract(build: Build) -> None:
    files = {f"{name}.csv": ",".join(spec.required) + "\n" for name, spec in TABLES.items()}
    built = build(files)
    for name, spec in TABLES.items():
        schema = built.arrow(name).schema
        assert [(f.name, f.type) for f in schema] == [(c.name, ARROW[c.kind]) for c in spec.columns], name
        assert built.report.tables[name].rows_in == 0
        assert built.quarantine(name) == []
    assert {"source_file", "line", "rule", "column", "value", "row"} == set(
        pq.read_schema(built.root / "work/tables/quarantine/events.parquet").names
    )


def test_only_tables_that_are_there_or_created_have_files(build: Build) -> None:
    built = build({"users.csv": "user_id\nu1\n", "notes.txt": "hello", "product.csv": "a\n"})
    assert sorted(p.name for p in (built.root / "work/tables").glob("*.parquet")) == ["users.parquet"]
    assert built.report.ignored_files == ["notes.txt", "product.csv"]


def test_parts_are_one_table(build: Build) -> None:
    built = build({
        "events-2.csv": "user_id,product_id,event\nu1,p1,view\n",
        "events-1.csv": "user_id,product_id,event,store\nu1,p2,view,7\nu1,p3,bad,7\n",
        "users/a.jsonl": '{"user_id": 1, "tags": ["x"]}\nnot json\n\n[1]\n',
        "users/b.jsonl": '{"user_id": "2", "vip": true}\n',
    })  # fmt: skip
    assert {(r["product_id"], r["store"]) for r in built.rows("events")} == {("p1", None), ("p2", "7")}
    assert [(r["source_file"], r["line"]) for r in built.quarantine("events")] == [("events-1.csv", 3)]
    users = {r["user_id"]: (r["tags"], r["vip"]) for r in built.rows("users")}
    assert users == {"1": ('["x"]', None), "2": (None, True), "u1": (None, None)}
    assert [(r["source_file"], r["line"], r["rule"], r["row"]) for r in built.quarantine("users")] == [
        ("users/a.jsonl", 2, "ragged_row", '"not json"'),
        ("users/a.jsonl", 4, "ragged_row", '"[1]"'),
    ]


def test_lines_of_quoted_rows_and_rows_of_parquet(build: Build) -> None:
    built = build({
        "products.csv": 'product_id,title\np1,"two\nlines"\n,"lost\nkey"\np2,x\n,y\n',
        "events.parquet": pa.table({"user_id": ["u", None], "product_id": ["p1", "p1"], "event": ["view", "view"]}),
    })  # fmt: skip
    assert [r["line"] for r in built.quarantine("products")] == [4, 7]
    assert [(r["line"], r["source_file"]) for r in built.quarantine("events")] == [(2, "events.parquet")]
    assert built.rows("products")[0]["title"] == "two\nlines"


def test_extra_columns_get_safe_names_and_inferred_types(build: Build) -> None:
    built = build({
        "products.csv": "product_id,Code,Big,Flag,Weight g,When,id,Price,price,SKU,Mixed\n"
        "p1,007,12345678901,true,1.5,2024-01-02,a,9,1,1E5,1\np2,1,,FALSE,2,2024-01-03T10:00:00,b,8,2,12E4,x\n"
    })  # fmt: skip
    types = {f.name: f.type for f in built.arrow("products").schema}
    extra = {n: t for n, t in types.items() if n not in {c.name for c in TABLES["products"].columns}}
    assert extra == {
        "code": pa.string(), "big": pa.int64(), "flag": pa.bool_(), "weight_g": pa.float64(),
        "when": pa.timestamp("us", "UTC"), "x_id": pa.string(), "x_price": pa.int64(), "sku": pa.string(),
        "mixed": pa.string(),
    }  # fmt: skip
    assert [r["code"] for r in built.rows("products")] == ["007", "1"]
    assert built.report.tables["products"].extras["weight_g"] == "Weight g"


def test_typed_parquet_columns(build: Build) -> None:
    built = build({
        "products.parquet": pa.table({
            "product_id": pa.array([1.0, 2.0, None]),
            "price": pa.array([1.5, float("nan"), 2.0]),
            "stock": pa.array([3, None, 1], pa.int8()),
            "recommendable": pa.array([0, 1, None]),
            "tags": pa.array([["a"], None, ["b"]]),
            "made": pa.array([datetime(2024, 1, 1), None, None]),
            "code": pa.array(["01", " b ", ""]),
            "__index_level_0__": [0, 1, 2],
        })
    })  # fmt: skip
    rows = built.rows("products")
    assert [(r["product_id"], r["price"], r["stock"], r["recommendable"]) for r in rows] == [
        ("1", 1.5, 3.0, False), ("2", None, None, True),
    ]  # fmt: skip
    assert [(r["tags"], r["made"], r["code"]) for r in rows] == [
        ('["a"]', datetime(2024, 1, 1, tzinfo=UTC), "01"), (None, None, "b"),
    ]  # fmt: skip
    assert built.report.tables["products"].mended == 0
    assert [(r["line"], r["rule"]) for r in built.quarantine("products")] == [(3, "missing_key")]
    assert "index_level_0" not in rows[0]


def test_gaps_in_numeric_times(build: Build) -> None:
    built = build({
        "events.parquet": pa.table({
            "user_id": [1, 2], "product_id": [3, 3], "event": ["view", "view"], "time": [1704189600.0, float("nan")],
        })
    })  # fmt: skip
    assert {r["user_id"]: r["time"] for r in built.rows("events")} == {
        "1": datetime(2024, 1, 2, 10, tzinfo=UTC), "2": None,
    }  # fmt: skip


def fails(build: Build, files: dict[str, Any], *words: str, **settings: Any) -> None:
    with pytest.raises(IngestError) as caught:
        build(files, **settings)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


WHOLE = parquet_bytes(pa.table({"user_id": ["u"], "product_id": ["p"], "event": ["view"]}))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"events.csv": ""}, ["events.csv", "0 bytes"]),
        ({"events.csv": "\n\n"}, ["events.csv", "header"]),
        ({"events.csv.gz": gzip.compress(EVENTS.encode() * 99)[:-9]}, ["events.csv.gz", "truncated"]),
        ({"events.csv.gz": b"no gzip"}, ["events.csv.gz", "gzip"]),
        ({"events.parquet": b""}, ["events.parquet", "0 bytes"]),
        ({"events.parquet": WHOLE[:-20]}, ["events.parquet", "Parquet"]),
        ({"events.parquet": b"hello world"}, ["events.parquet", "Parquet"]),
        ({"events.jsonl": ""}, ["events.jsonl", "0 bytes"]),
        ({"events.jsonl": "[1]\n"}, ["events.jsonl", "JSON object"]),
        ({"events.csv": EVENTS, "events.parquet": WHOLE}, ["events.csv", "events.parquet", "two formats"]),
        ({"events.csv": EVENTS, "events.csv.gz": gzip.compress(EVENTS.encode())}, ["two formats"]),
        ({"events.csv": "user_id,sku,event\nu,p,view\n"}, ["events.csv", "'product_id'", "user_id, sku, event"]),
        ({"events.csv": "user;product_id\n"}, ["events.csv", "'user_id'", "user;product_id"]),
        (
            {"events-1.csv": EVENTS, "events-2.csv": "user_id,event\nu,view\n"},
            ["events-2.csv", "'product_id'", "user_id, event"],
        ),
        ({"products.csv": "title\nTea\n"}, ["products.csv", "'product_id'", "title"]),
        ({"users.csv": "user_id,a,a\n1,2,3\n"}, ["users.csv", "'a'", "twice"]),
        ({"product.csv": "product_id\np\n"}, ["no table", "product.csv", "products.csv"]),
    ],
)
def test_faults_of_files_are_named(build: Build, files: dict[str, Any], words: list[str]) -> None:
    fails(build, files, *words)


@pytest.mark.parametrize("source", ["nonsense", "amazon", "/no/such/place", "s3://bucket"])
def test_unknown_sources_say_what_is_accepted(tmp_path: Path, source: str) -> None:
    with pytest.raises(IngestError, match="complete-journey, or a directory"):
        build_tables(source, tmp_path / "tables", tmp_path / "reports")
    assert not (tmp_path / "tables").exists()


def test_a_file_as_source(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(EVENTS)
    with pytest.raises(IngestError, match="not a directory"):
        build_tables(str(tmp_path / "events.csv"), tmp_path / "tables", tmp_path / "reports")
