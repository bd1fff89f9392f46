"""The first rows of every readable file of a directory, with its encoding and delimiter as its bytes show them."""

from __future__ import annotations

import ast
import gzip
import io
import json
import warnings
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.contract import MISSING
from ingest.read_csv import records
from ingest.source_directory import file_format

ROWS = 2_000
_BYTES = 1 << 24
_DELIMITERS = ",;\t|"
_LINES = 50


@dataclass(frozen=True)
class SampleColumn:
    """A column of a file.

    Attributes:
        name: its name in the source.
        values: its values in the sampled rows, but missing ones.
        typed: whether the file itself says its type.
    """

    name: str
    values: tuple[Any, ...]
    typed: bool = False

    @property
    def texts(self) -> list[str]:
        """The values as text, nested ones left out, trimmed."""
        return [str(v).strip() for v in self.values if not isinstance(v, (list, dict))]

    @property
    def nested(self) -> bool:
        """Whether it holds lists or objects."""
        return any(isinstance(v, (list, dict)) for v in self.values)


@dataclass(frozen=True)
class FileSample:
    """The beginning of a file.

    Attributes:
        name: its path within the directory.
        kind: CSV, Parquet or JSON lines.
        columns: its columns, in its order.
        encoding: of a text file.
        delimiter: of a CSV file.
        literals: whether lines are Python literals rather than JSON.
    """

    name: str
    kind: str
    columns: tuple[SampleColumn, ...]
    encoding: str = "utf-8"
    delimiter: str = ","
    literals: bool = False

    def column(self, name: str) -> SampleColumn | None:
        """The column of that name."""
        return next((c for c in self.columns if c.name == name), None)


def sample_file(path: Path, name: str) -> FileSample | None:
    """The beginning of a file; None for one that cannot be read."""
    kind = file_format(path)
    try:
        if kind == "Parquet":
            return _parquet(path, name)
        return _text(path, name, kind) if kind else None
    except (OSError, EOFError, ValueError, zlib.error, pa.ArrowException):
        return None


def _parquet(path: Path, name: str) -> FileSample:
    with pq.ParquetFile(path) as file:
        batch = next(file.iter_batches(ROWS), None)
        rows = batch.to_pylist() if batch is not None else []
        columns = [SampleColumn(n, _known(row[n] for row in rows), typed=True) for n in file.schema_arrow.names]
    return FileSample(name, "Parquet", tuple(columns))


def _text(path: Path, name: str, kind: str) -> FileSample | None:
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rb") as stream:
        content = stream.read(_BYTES)
    encoding = _encoding(content)
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    text = content.decode(codec, "replace")
    return _json_lines(name, text, encoding) if kind == "JSON lines" else _csv(name, text, encoding)


def _encoding(content: bytes) -> str:
    """UTF-16 by its mark; UTF-8 where more letters are written so than are not; else the code page of the West."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    broken = content.decode("utf-8", "replace").count("\ufffd")
    letters = sum(c > "\x7f" for c in content.decode("utf-8", "ignore"))
    return "utf-8" if broken <= letters or not broken else "cp1252"


def _csv(name: str, text: str, encoding: str) -> FileSample | None:
    delimiter = _delimiter(text)
    rows = records(iter(io.StringIO(text, newline="")), delimiter)
    header = next(rows, None)
    if header is None:
        return None
    names = [field.strip() or f"column_{i}" for i, field in enumerate(header.fields, start=1)]
    read = [r.fields for r in islice(rows, ROWS) if r.whole and len(r.fields) == len(names)]
    columns = [SampleColumn(n, _known(row[i] for row in read)) for i, n in enumerate(names)]
    return FileSample(name, "CSV", tuple(columns), encoding, delimiter)


def _delimiter(text: str) -> str:
    """The sign that cuts the most lines into as many fields as the header, more than one; a comma if none does."""
    lines = list(islice(io.StringIO(text, newline=""), _LINES))

    def fitting(delimiter: str) -> tuple[int, int]:
        widths = [len(r.fields) for r in records(iter(lines), delimiter)]
        if not widths or widths[0] < 2:
            return 0, 0
        return sum(w == widths[0] for w in widths), widths[0]

    return max(_DELIMITERS, key=fitting)


def _json_lines(name: str, text: str, encoding: str) -> FileSample | None:
    rows: list[Mapping[str, Any]] = []
    literals = 0
    for line in islice(io.StringIO(text), ROWS):
        row, literal = _object(line)
        literals += literal
        if row is not None:
            rows.append(row)
    names = dict.fromkeys(key.strip() for row in rows for key in row)
    columns = [SampleColumn(n, _known(row.get(n) for row in rows)) for n in names]
    return FileSample(name, "JSON lines", tuple(columns), encoding, literals=literals > 0) if rows else None


def _object(line: str) -> tuple[Mapping[str, Any] | None, bool]:
    """The object of a line, and whether it is a Python literal."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                row = ast.literal_eval(line.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None, False
        return (row, True) if isinstance(row, dict) else (None, False)
    return (row, False) if isinstance(row, dict) else (None, False)


def _known(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(v for v in values if v is not None and not (isinstance(v, str) and v.strip().lower() in MISSING))
