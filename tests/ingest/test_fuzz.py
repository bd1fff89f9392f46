"""Random files: a build ends in one line of what is wrong, or accounts for every row at the line where it stands."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.build import build_tables
from ingest.errors import IngestError
from ingest.mapping import TableMapping
from ingest.quality import QualityReport
from ingest.read_csv import records
from ingest.read_jsonl import stage_jsonl
from ingest.settings import IngestSettings
from ingest.staging import LINE_BITS, ColumnRegister

FEW = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
SOME = settings(max_examples=25, deadline=None)
MANY = settings(max_examples=100, deadline=None)

HEADER = b"user_id,product_id,event,time,text\n"
CHARACTERS = st.characters(exclude_categories=())
BITS = st.sampled_from(
    ['"', ",", "\n", "\r", "\r\n", "u1", "p", "view", "2024-01-01", "\x00", "\u202e", "=1+1", " ", "é", "😀"]
)


def build(name: str, content: bytes | pa.Table) -> tuple[QualityReport, list[dict[str, Any]]] | str:
    """The report and the quarantine, or the message of what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "source").mkdir()
        path = root / "source" / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            pq.write_table(content, path)
        try:
            report = build_tables(
                str(root / "source"), root / "tables", root / "reports", settings=IngestSettings(threads=1)
            )
        except IngestError as error:
            return str(error)
        loaded = pq.read_metadata(root / "tables" / "events.parquet").num_rows
        bad: list[dict[str, Any]] = pq.read_table(root / "tables" / "quarantine" / "events.parquet").to_pylist()
        account = report.tables["events"]
        assert account.rows_in == account.loaded + account.merged + account.quarantined
        assert (account.loaded, account.quarantined) == (loaded, len(bad))
        return report, bad


def one_line(message: str) -> None:
    assert "\n" not in message
    assert "events." in message
    assert len(message) < 1500


@FEW
@given(st.binary(max_size=300), st.sampled_from(["events.csv", "events.jsonl", "events.parquet", "events.csv.gz"]))
def test_random_bytes(content: bytes, name: str) -> None:
    outcome = build(name, content)
    if isinstance(outcome, str):
        one_line(outcome)


@FEW
@given(st.lists(BITS, max_size=60).map("".join))
def test_csv_like_text_is_accounted_for_at_physical_lines(text: str) -> None:
    body = text.encode()
    outcome = build("events.csv", HEADER + body)
    if isinstance(outcome, str):
        one_line(outcome)
        return
    report, bad = outcome
    physical = io.TextIOWrapper(io.BytesIO(HEADER + body), "utf-8", newline="").readlines()
    expected = list(records(iter(physical), ","))[1:]
    assert report.tables["events"].rows_in == len(expected)
    begins = {record.line for record in expected}
    assert {row["line"] for row in bad} <= begins
    for row in bad:
        if row["rule"] == "ragged_row":
            first = json.loads(row["row"])[0]
            assert first[:1].strip("\n\r") in physical[row["line"] - 1]


@MANY
@given(st.lists(st.lists(st.text(CHARACTERS, max_size=8), min_size=2, max_size=4), max_size=8))
def test_what_csv_writes_is_read_back_with_its_lines(rows: list[list[str]]) -> None:
    """Every field as it was, each record at the physical line where it begins, worked out from the text written."""
    stream = io.StringIO(newline="")
    begins = []
    for row in rows:
        written = stream.getvalue()
        begins.append(len(io.StringIO(written, newline="").readlines()) + 1)
        csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(row)
    found = list(records(iter(io.StringIO(stream.getvalue(), newline="").readlines()), ","))
    assert [(r.line, r.fields) for r in found] == list(zip(begins, rows, strict=True))


@MANY
@given(st.text(st.sampled_from('",ab\r\n'), max_size=40))
def test_no_line_of_any_csv_is_lost(text: str) -> None:
    """Records begin at rising lines, and every line that is not blank is within one of them."""
    lines = io.StringIO(text, newline="").readlines()
    found = list(records(iter(lines), ","))
    assert [r.line for r in found] == sorted({r.line for r in found})
    if found:
        before = [line for line in lines[: found[0].line - 1] if line.strip("\r\n")]
        assert before == []
    else:
        assert not any(line.strip("\r\n") for line in lines)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(CHARACTERS, max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(CHARACTERS, max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["user_id", "product_id", "event", "time", "price", "x", "\ud800", " user_id"])
LINES = st.dictionaries(KEYS, JSON | st.sampled_from(["view", "u1", "p1"]), max_size=6).map(
    json.dumps
) | st.sampled_from(
    ["", "{", "[1]", "null", '{"user_id": "u", "product_id": "p", "event": "view"}', '{"a": NaN}', "\x00", '"\\ud800"']
)


@FEW
@given(st.lists(LINES, max_size=12))
def test_json_like_lines_are_accounted_for_at_their_lines(lines: list[str]) -> None:
    good = '{"user_id": "u0", "product_id": "p0", "event": "view"}'
    outcome = build("events.jsonl", "\n".join([good, *lines]).encode())
    if isinstance(outcome, str):
        one_line(outcome)
        return
    report, bad = outcome
    filled = {n for n, line in enumerate([good, *lines], start=1) if line.strip()}
    assert report.tables["events"].rows_in == len(filled)
    assert {row["line"] for row in bad} <= filled
    for row in bad:
        if row["rule"] == "ragged_row":
            assert json.loads(row["row"]) == lines[row["line"] - 2].strip()


@SOME
@given(st.lists(LINES, min_size=1, max_size=8))
def test_staged_json_lines_name_their_lines(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        path.write_bytes("\n".join(lines).encode() or b"\n")
        try:
            _, parts = stage_jsonl(
                path, path.name, 3, Path(folder) / "staged.parquet", ColumnRegister(), TableMapping()
            )
        except IngestError as error:
            one_line(str(error))
            return
        places = [place for part in parts for place in pq.read_table(part)["__ord"].to_pylist()]
    assert places == [(3 << LINE_BITS) + n for n, line in enumerate(lines, start=1) if line.strip()]


TYPES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.string(), st.text(max_size=5)),
    (pa.large_string(), st.text(max_size=5)),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.bool_(), st.booleans()),
    (pa.binary(), st.binary(max_size=5)),
    (pa.decimal128(20, 3), st.decimals(-(10**9), 10**9, places=3)),
    (pa.date32(), st.dates()),
    (pa.timestamp("ns"), st.integers(-(2**60), 2**60)),
    (pa.timestamp("us", "UTC"), st.integers(-(2**55), 2**55)),
    (pa.time64("us"), st.times()),
    (pa.dictionary(pa.int32(), pa.string()), st.text(max_size=3)),
    (pa.list_(pa.string()), st.lists(st.text(max_size=3), max_size=2)),
    (
        pa.struct([("a", pa.int64()), ("b", pa.string())]),
        st.fixed_dictionaries({"a": st.integers(0, 9), "b": st.text()}),
    ),
    (pa.null(), st.none()),
]


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Contract columns and others, each of any type, with nulls."""
    rows = draw(st.integers(0, 5))
    columns = {}
    for name in [
        "user_id",
        "product_id",
        "event",
        *draw(st.sets(st.sampled_from(["time", "price", "text", "x", "Ä"]))),
    ]:
        kind, values = draw(st.sampled_from(TYPES))
        column = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        columns[name] = pa.array(column, kind)
    return pa.table(columns)


@FEW
@given(tables())
def test_parquet_of_any_types_is_accounted_for_at_its_rows(table: pa.Table) -> None:
    outcome = build("events.parquet", table)
    if isinstance(outcome, str):
        one_line(outcome)
        return
    report, bad = outcome
    assert report.tables["events"].rows_in == table.num_rows
    assert {row["line"] for row in bad} <= set(range(1, table.num_rows + 1))
