"""CSV to staged Parquet: every row keeps the physical line it begins on, and no stray quote swallows its neighbours."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import IngestError
from ingest.names import look_like_data, shown_names
from ingest.stage_writer import StageWriter
from ingest.staging import ColumnRegister, StagedFile
from ingest.text_files import open_text

_LONGEST_FIELD = 1 << 24  # characters; an open quote is given up after this


@dataclass(frozen=True)
class Record:
    """A row of a CSV file.

    Attributes:
        line: physical line on which it begins; the first line of the file is 1.
        fields: its fields.
        whole: False for a line with a quote that is never closed.
    """

    line: int
    fields: list[str]
    whole: bool = True


class _LineFeed:
    """Physical lines, counted; those of the record being read can be given back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._returned: deque[str] = deque()
        self.held: list[str] = []
        self.number = 0

    def __iter__(self) -> _LineFeed:
        return self

    def __next__(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._lines)
        self.held.append(line)
        self.number += 1
        return line

    def keep_first(self) -> str:
        """Give back every line of the record but its first, which is returned."""
        first, *rest = self.held
        self._returned.extendleft(reversed(rest))
        self.number -= len(rest)
        return first


def records(lines: Iterator[str], delimiter: str = ",") -> Iterator[Record]:
    """The records of CSV lines (RFC 4180; blank lines are no records).

    Where quoting is broken, the first line of the broken record is read alone and leniently, and reading goes on with
    the next physical line: a stray quote costs one row, not the rest of the file.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
    feed = _LineFeed(lines)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        begin = feed.number + 1
        feed.held.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield _lenient(begin, feed.keep_first(), delimiter)
            reader = csv.reader(feed, delimiter=delimiter, strict=True)
            continue
        if fields:
            yield Record(begin, fields)


def _lenient(line_number: int, line: str, delimiter: str) -> Record:
    """One physical line with broken quoting: stray quotes are taken literally, an open one makes it ragged."""
    bare = line.rstrip("\r\n")
    fields = next(csv.reader([bare], delimiter=delimiter), [])
    # A quote that stays open would swallow a second line; one that is closed leaves it alone.
    swallowed = len(list(csv.reader([bare + "\n", "x"], delimiter=delimiter))) == 1
    return Record(line_number, fields, whole=not swallowed)


def stage_csv(
    path: Path, name: str, number: int, target: Path, register: ColumnRegister, encoding: str, delimiter: str
) -> StagedFile:
    """Read one CSV file into the staged Parquet file `target`.

    Args:
        path: the file.
        name: its name for messages and the quarantine.
        number: its number among the table's files.
        target: Parquet file to write.
        register: relation names of the table's columns.
        encoding: of the file.
        delimiter: of the file.

    Raises:
        IngestError: no header, a column named twice, or a file that cannot be read.
    """
    with open_text(path, name, encoding) as stream:
        rows = records(iter(stream), delimiter)
        header = next(rows, None)
        if header is None:
            raise IngestError("the file has no header line", name, "write the column names into its first line")
        columns = _column_names(header.fields, name)
        writer = StageWriter(target, number, [register.sql(c) for c in columns])
        with writer:
            for record in rows:
                fits = record.whole and len(record.fields) == len(columns)
                writer.add(record.line, record.fields if fits else None, record.fields)
    bad = frozenset(c for c in columns if register.sql(c) in writer.undecodable)
    return StagedFile(number, name, tuple(columns), bad)


def _column_names(fields: list[str], name: str) -> list[str]:
    """Header fields trimmed; an empty one is named by its place."""
    columns = [f.strip().encode("utf-8", "replace").decode() or f"column_{i}" for i, f in enumerate(fields, start=1)]
    for column in columns:
        if columns.count(column) > 1:
            which = "a value" if look_like_data(columns) else f"the column {shown_names([column])!r}"
            raise IngestError(f"{which} stands twice in the header", name, "write column names there, each once")
    return columns
