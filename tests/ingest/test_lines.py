"""The line of every row of a file is the physical one, whatever stands in fields before it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from ingest.mapping import TableMapping
from ingest.read_csv import stage_csv
from ingest.read_jsonl import stage_jsonl
from ingest.staging import LINE_BITS, ColumnRegister

# surrogates stand for bytes that are not UTF-8: \udcff is the byte 0xff
fields = st.text(st.sampled_from('ab,"\n\r\t \u2028\x0bé\udcff\udcc3'), max_size=6)
rows = st.lists(st.tuples(fields, fields), min_size=1, max_size=15)
FILE = 3


def physical_line(content: bytes, offset: int) -> int:
    """The number of the line that a byte stands on: line ends are \\n, \\r and \\r\\n alone."""
    return len(re.findall(rb"\r\n|\n|\r", content[:offset])) + 1


def staged(files: list[Path]) -> list[tuple[int, str | None, str | None]]:
    found = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert {row["__ord"] >> LINE_BITS for row in found} <= {FILE}
    return [(row["__ord"] & ((1 << LINE_BITS) - 1), row["c0"], row["c1"]) for row in found]


def mended(text: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


@given(rows, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_rows_of_csv(tmp_path_factory, rows: list[tuple[str, str]], end: str, packed: bool) -> None:  # type: ignore[no-untyped-def]
    content = f"x,y{end}".encode()
    expected = []
    for row in rows:
        line = physical_line(content, len(content))
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL).writerow(row)
        content += out.getvalue().encode("utf-8", "surrogateescape")
        expected.append((line, mended(row[0]), mended(row[1])))
    folder = tmp_path_factory.mktemp("lines")
    path = folder / ("t.csv.gz" if packed else "t.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    stage_csv(path, path.name, FILE, folder / "out.parquet", ColumnRegister(), "utf-8", ",")
    # adjacent escapes may be whole UTF-8 by chance: then the text is what those bytes mean
    again = [(line, *(mended(_decoded(f)) for f in row)) for (line, _, _), row in zip(expected, rows, strict=True)]
    assert staged([folder / "out.parquet"]) == again


def _decoded(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


@given(rows, st.lists(st.sampled_from([b"", b" ", b"no json \xff"]), max_size=15))
def test_rows_of_json_lines(tmp_path_factory, rows: list[tuple[str, str]], between: list[bytes]) -> None:  # type: ignore[no-untyped-def]
    content = b""
    expected: list[tuple[int, str | None, str | None]] = []
    for i, row in enumerate(rows):
        for other in between[i : i + 1]:
            if other.strip():
                expected.append((physical_line(content, len(content)), None, None))
            content += other + b"\n"
        expected.append((physical_line(content, len(content)), mended(_decoded(row[0])), mended(_decoded(row[1]))))
        line = json.dumps(dict(zip("xy", row, strict=True)), ensure_ascii=False)
        content += line.encode("utf-8", "surrogateescape") + b"\n"
    folder = tmp_path_factory.mktemp("lines")
    (folder / "t.jsonl").write_bytes(content)
    register = ColumnRegister({"x": "c0", "y": "c1"})
    _, parts = stage_jsonl(folder / "t.jsonl", "t.jsonl", FILE, folder / "out.parquet", register, TableMapping())
    assert staged(parts) == expected
