"""Hostile and broken input: nothing executed, nothing lost, and one line where it cannot be read."""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.errors import IngestError

Build = Callable[..., Any]
HEAD = "user_id,product_id,event,time,text\n"
GOOD = "u,p,view,2024-01-01,t\n"

TEXTS = [
    "'; MATCH (n) DETACH DELETE n //",
    '"; DROP TABLE events; --',
    "`) RETURN 1 //",
    "' OR '1'='1",
    "$parameter {{7*7}} ${env:HOME} %s%n \\u0041",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "</style></code>'><b>",
    "=cmd|'/c calc'!A0",
    "+1+1",
    "@SUM(1)",
    "\u202eabc\u202c",
    "a\u200bb",
    "😀👩\u200d👩\u200d👧",
    "line\nbreak, comma\tand tab",
]
"""Text that must come out as it went in."""


def as_csv(rows: list[list[str]]) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    return stream.getvalue().encode("utf-8", "surrogatepass")


COLUMNS = ["user_id", "product_id", "event", "text", "channel", "note"]


def write(kind: str, rows: list[list[str]]) -> dict[str, Any]:
    """An events table of one format."""
    if kind == "csv":
        return {"events.csv": as_csv([COLUMNS, *rows])}
    if kind == "jsonl":
        return {"events.jsonl": "\n".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in rows).encode()}
    return {"events.parquet": pa.table({c: [row[i] for row in rows] for i, c in enumerate(COLUMNS)})}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_hostile_values_stay_what_they_are(build: Build, kind: str) -> None:
    good = [[text, text, "view", text, text, text] for text in TEXTS]
    bad = [[text, text, text, text, text, text] for text in TEXTS]
    built = build(write(kind, good + bad))
    account = built.report.tables["events"]
    assert (account.rows_in, account.loaded, account.quarantined, account.mended) == (28, 14, 14, 0)
    for column in ("user_id", "product_id", "text", "channel", "note"):
        assert sorted(row[column] for row in built.rows("events")) == sorted(TEXTS), column
    assert sorted(row["user_id"] for row in built.rows("users")) == sorted(TEXTS)
    assert sorted(row["value"] for row in built.quarantine("events")) == sorted(TEXTS)
    assert [json.loads(row["row"])["note"] for row in built.quarantine("events")] == TEXTS


def test_the_page_shows_hostile_values_escaped(build: Build) -> None:
    files = {
        "events-<script>alert(2)'\".csv": as_csv(
            [
                ["user_id", "product_id", "event", "<script>alert(3)</script>"],
                *[["u", "p", text, ""] for text in [*TEXTS, TEXTS[5]]],  # the commonest is shown first
                ["<svg onload=alert(4)>", "p", "view", ""],
                ["<SVG onload=alert(4)>", "p", "view", ""],
            ]
        ),
        "<script>alert(5).txt": "",
    }
    built = build(files)
    page = (built.root / "work" / "reports" / "quality.html").read_text("utf-8")
    plain = page.lower()
    for word in ("<script", "<img", "<svg onload", "</style></code>"):
        assert word not in plain
    assert set(re.findall("<svg [^ ]*", plain)) <= {f"<svg class='{ours}'" for ours in ("hist", "line", "flow")}
    assert html.escape(TEXTS[5]) in page
    for number in (2, 3, 4, 5):
        assert f"alert({number})" in page, number


def test_control_characters_nul_and_half_surrogates_are_mended_and_counted(build: Build) -> None:
    rows = [["a\0b", "p", "view", "\x1b[31mred", "c", "n"], ["u", "p", "view", "x\ud800y", "c", "n"]]
    built = build(write("csv", rows))
    assert built.report.tables["events"].mends == {
        "user_id": {"control_characters": 1},
        "text": {"control_characters": 1, "not_utf8": 1},
    }
    by_user = {row["user_id"]: row["text"] for row in built.rows("events")}
    assert by_user["ab"] == "[31mred"
    assert by_user["u"].startswith("x\ufffd") and by_user["u"].endswith("y")


def test_a_megabyte_of_text_is_cut_and_as_an_id_refused(build: Build) -> None:
    long = "x" * 1_000_000
    built = build(write("csv", [["u", "p", "view", long, "c", long], [long, "p", "view", "t", "c", "n"]]))
    account = built.report.tables["events"]
    assert (account.loaded, account.rules) == (1, {"missing_key": 1})
    assert {len(built.rows("events")[0][c]) for c in ("text", "note")} == {65_536}


HOSTILE_NAMES = ["'; DROP TABLE x; --", '"quoted"', "<b>", "=1+1", "\u202e", "😀", "`n`", "a.b", "SELECT", "x" * 10_000]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_hostile_column_names_become_property_names(build: Build, kind: str) -> None:
    names = ["user_id", "product_id", "event", *HOSTILE_NAMES]
    values = ["u", "p", "view", *(str(i) for i in range(len(HOSTILE_NAMES)))]
    row = dict(zip(names, values, strict=True))
    files: dict[str, Any] = {
        "csv": {"events.csv": as_csv([names, values])},
        "jsonl": {"events.jsonl": json.dumps(row)},
        "parquet": {"events.parquet": pa.table({n: [v] for n, v in row.items()})},
    }[kind]
    built = build(files)
    extras = built.report.tables["events"].extras
    assert sorted(extras.values()) == sorted(HOSTILE_NAMES)
    assert all(name.isascii() and name.isidentifier() and len(name) <= 62 for name in extras)
    loaded = built.rows("events")[0]
    assert {extras[n]: str(loaded[n]) for n in extras} == dict(zip(HOSTILE_NAMES, values[3:], strict=True))


def test_half_a_surrogate_pair_in_a_json_key(build: Build) -> None:
    built = build({"events.jsonl": '{"user_id": "u", "product_id": "p", "event": "view", "\\ud800x": "kept"}\n'})
    assert built.report.tables["events"].extras == {"x": "\ufffdx"}
    assert built.rows("events")[0]["x"] == "kept"


def test_hostile_file_names(build: Build) -> None:
    files = {f"events-{n}.csv": HEAD + f"u{i},p,view,,\nbad\n" for i, n in enumerate(["'; --", "\n", "[a]*?", "😀"])}
    built = build(files)
    assert built.report.tables["events"].loaded == 4
    assert sorted(row["source_file"] for row in built.quarantine("events")) == sorted(files)


def test_hostile_mapping_values(build: Build) -> None:
    hostile = "'; DROP TABLE x; --"
    built = build(
        {
            "e 'x.csv": HEAD + "u,p,'; bought,2024-01-01,t\n",
            "mapping.toml": f"""[tables.events]
files = ["e 'x.csv"]
[tables.events.constants]
channel = "{hostile}"
"x'; \\"DROP" = "{hostile}"
[tables.events.event_values]
"'; bought" = "view"
""",
        }
    )
    row = built.rows("events")[0]
    assert (row["channel"], row["x_drop"], row["event"]) == (hostile, hostile, "view")


def truncated(table: pa.Table, left_out: int) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()[: len(stream.getvalue()) - left_out]


def damaged(table: pa.Table) -> bytes:
    """A whole footer over pages of noise."""
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    content = bytearray(stream.getvalue())
    for i in range(4, 2000, 7):
        content[i] ^= 0x5A
    return bytes(content)


VIEWS = pa.table({"user_id": [str(i) for i in range(1000)], "product_id": ["p"] * 1000, "event": ["view"] * 1000})
WIDE = pa.table({n: ["view"] for n in VIEWS.column_names} | {f"c{i}": [i] for i in range(5000)})


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("events.parquet", truncated(VIEWS, 50), "no whole Parquet"),
        ("events.parquet", damaged(VIEWS), "damaged"),
        ("events.parquet", b"", "0 bytes"),
        ("events.csv.gz", gzip.compress((HEAD + GOOD * 10_000).encode())[:-20], "truncated"),
        ("events.csv.gz", b"plain text", "no gzip"),
        ("events.csv", (HEAD + GOOD).encode("utf-16"), 'encoding = "utf-16"'),
        ("events.csv", (HEAD + GOOD).encode("utf-16-le"), 'encoding = "utf-16"'),
        ("events.jsonl", b"\xff\xfe{\0}\0", 'encoding = "utf-16"'),
        ("events.csv", b"\0" * 1000, "no text"),
        ("events.csv", b"\xef\xbb\xbf", "no header"),
        ("events.csv", b"\n\n\n", "no header"),
        ("events.csv", HEAD.replace(",", ";").encode(), "columns found: user_id;product_id"),
        ("events.csv", b"x" * 10_000 + b",b\n1,2\n", "…, b"),
        (
            "events.csv",
            ",".join(["user_id", "product_id", "event", *(f"c{i}" for i in range(5000))]).encode(),
            "extras",
        ),
        ("events.parquet", truncated(WIDE, 0), "5,000 columns beyond"),
        ("events.csv", b"event,event\n", "stands twice"),
        ("events.jsonl", b"[1]\n2\n", "JSON object"),
    ],
)
def test_what_cannot_be_read_is_one_line(build: Build, name: str, content: bytes, words: str) -> None:
    with pytest.raises(IngestError) as error:
        build({name: content, "products.csv": "product_id\np\n"})
    message = str(error.value)
    assert words in message
    assert "events" in message
    assert len(message) < 400 and "\n" not in message
    assert not (Path(build.__closure__[0].cell_contents) / "work" / "tables").exists()  # type: ignore[attr-defined]


def test_utf16_that_the_mapping_names(build: Build) -> None:
    built = build({"events.csv": (HEAD + "ü,p,view,,€\n").encode("utf-16"), "mapping.toml": 'encoding = "utf-16"\n'})
    assert [(r["user_id"], r["text"]) for r in built.rows("events")] == [("ü", "€")]


def test_two_encodings_in_one_file(build: Build) -> None:
    built = build({"events.csv": (HEAD + "u,p,view,,café\n").encode() + "v,p,view,,café\n".encode("latin1")})
    assert {r["user_id"]: r["text"] for r in built.rows("events")} == {"u": "café", "v": "caf\ufffd"}
    assert built.report.tables["events"].mends == {"text": {"not_utf8": 1}}


def test_parquet_of_odd_types(build: Build) -> None:
    table = pa.table(
        {
            "user_id": pa.array([Decimal("1.50"), Decimal("2.00")]),
            "product_id": pa.array(["a", "b"]).dictionary_encode(),
            "event": pa.array(["view", "view"], pa.large_string()),
            "time": pa.array([date(2024, 1, 1), None]),
            "price": pa.array([Decimal("1.50"), None]),
            "nested": pa.array([{"a": 1, "b": [1, 2]}, None]),
            "pairs": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
            "raw": pa.array([b"\xff\x00", b"abc"]),
            "span": pa.array([timedelta(1), None]),
            "clock": pa.array([time(1, 2), None]),
            "big": pa.array([2**64 - 1, 0], pa.uint64()),
            "nothing": pa.nulls(2),
            "half": pa.array([1.5, 2.0], pa.float16()),
            "huge": pa.array([Decimal(10) ** 50, None], pa.decimal256(60, 2)),
        }
    )
    built = build({"events.parquet": table})
    first = next(row for row in built.rows("events") if row["product_id"] == "a")
    assert (first["user_id"], first["price"], str(first["time"])) == ("1.50", 1.5, "2024-01-01 00:00:00+00:00")
    assert json.loads(first["nested"]) == {"a": 1, "b": [1, 2]}
    assert (first["raw"], first["half"], first["big"]) == ("FF00", 1.5, None)
    assert built.report.tables["events"].mends == {"big": {"wrong_type": 1}}


def test_tables_that_are_no_files(tmp_path: Path, build: Build) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for make, word in (
        (lambda p: p.mkdir(), "a directory"),
        (lambda p: p.symlink_to(p.name), "a link that leads nowhere"),
        (lambda p: p.symlink_to("nothing.csv"), "a link that leads nowhere"),
        (os.mkfifo, "no file"),
    ):
        path = source / "events.csv"
        make(path)
        with pytest.raises(IngestError, match=f"events.csv is {word}"):
            build({"products.csv": "product_id\np\n"})
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_file_name_that_is_not_utf8(tmp_path: Path, build: Build) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / os.fsdecode(b"events-\xff.csv")).write_text(HEAD)
    with pytest.raises(IngestError, match=r"'events-\\udcff.csv' is not UTF-8"):
        build({})


def test_a_loop_of_folders_is_walked_once(tmp_path: Path, build: Build) -> None:
    (tmp_path / "source" / "events").mkdir(parents=True)
    (tmp_path / "source" / "events" / "loop").symlink_to("..")
    assert build({"events/a.csv": HEAD + GOOD}).report.tables["events"].loaded == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission(tmp_path: Path, build: Build) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "events.csv").write_text(HEAD)
    (tmp_path / "source" / "events.csv").chmod(0)
    with pytest.raises(IngestError, match=r"Permission denied|cannot be read"):
        build({})


def test_an_empty_directory_and_header_only(build: Build, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(IngestError, match="holds no table; found: nothing"):
        build({})
    for text in (HEAD, HEAD.strip()):
        assert build({"events.csv": text}).report.tables["events"].rows_in == 0


@pytest.mark.parametrize("others", ["Events.csv", "events.parquet", "EVENTS.CSV.GZ"])
def test_two_tables_of_one_name(build: Build, others: str) -> None:
    with pytest.raises(IngestError, match="in two formats"):
        build({"events.csv": HEAD, others: VIEWS if others.endswith("parquet") else HEAD})


FILL = """
import resource, sys
from pathlib import Path
from ingest.build import build_tables
from ingest.errors import IngestError
limit, root = int(sys.argv[1]), Path(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    build_tables(str(root / "source"), root / "work" / "tables", root / "work" / "reports")
except IngestError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("limit", [1_000, 100_000, 1_500_000])
def test_a_full_disk_leaves_the_old_tables(build: Build, limit: int) -> None:
    """No file may grow beyond the limit: staging, working database and commit fail in turn."""
    built = build({"events.csv": HEAD + GOOD})
    tables = built.root / "work" / "tables"
    before = {p.relative_to(tables): p.read_bytes() for p in tables.rglob("*") if p.is_file()}
    rows = "".join(f"u{i},p{i * 7919},view,,{i * 104729 % 1_000_003}\n" for i in range(20_000))
    (built.root / "source" / "events.csv").write_text(HEAD + rows)
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(limit), str(built.root)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 1
    assert "disk has room" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert {p.relative_to(tables): p.read_bytes() for p in tables.rglob("*") if p.is_file()} == before
    assert sorted(p.name for p in (built.root / "work").iterdir()) == ["reports", "tables"]
