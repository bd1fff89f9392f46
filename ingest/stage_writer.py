"""Rows of text to staged Parquet, in chunks."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.staging import LINE_BITS

_CHUNK_ROWS = 65_536


class StageWriter:
    """Writes rows of text to a staged Parquet file in chunks, marking fields with undecodable bytes."""

    def __init__(self, target: Path, number: int, columns: list[str]) -> None:
        self.columns = columns
        self.undecodable: set[str] = set()
        self._base = number << LINE_BITS
        self._rows: list[list[str | None]] = []
        self._places: list[int] = []
        self._ragged: list[str | None] = []
        names = ["__ord", "__ragged", "__undecodable", *columns]
        self._schema = pa.schema([(n, pa.int64() if n == "__ord" else pa.string()) for n in names])
        self._writer = pq.ParquetWriter(target, self._schema, compression="lz4")
        self._blank: list[str | None] = [None] * len(columns)

    def __enter__(self) -> StageWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._flush()
        self._writer.close()

    def add(self, line: int, row: list[str] | list[str | None] | None, raw: object = None) -> None:
        """Add the row that begins on `line`; None for one that does not fit, of which only `raw` is kept as JSON."""
        self._places.append(self._base + line)
        self._rows.append(self._blank if row is None else list(row))
        self._ragged.append(_json(raw) if row is None else None)
        if len(self._places) == _CHUNK_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._places:
            return
        marks: list[str | None] = [None] * len(self._places)
        arrays = []
        for name, values in zip(self.columns, zip(*self._rows, strict=True), strict=True):
            try:
                arrays.append(pa.array(values, pa.string()))
            except UnicodeEncodeError:
                arrays.append(pa.array(self._repaired(name, values, marks), pa.string()))
        fixed = [pa.array(self._places, pa.int64()), pa.array(self._ragged, pa.string()), pa.array(marks, pa.string())]
        self._writer.write_table(pa.Table.from_arrays(fixed + arrays, schema=self._schema))
        self._places, self._rows, self._ragged = [], [], []

    def _repaired(self, name: str, values: tuple[str | None, ...], marks: list[str | None]) -> list[str | None]:
        """`values` with undecodable bytes as U+FFFD; the rows concerned are noted in `marks`."""
        repaired: list[str | None] = []
        for i, value in enumerate(values):
            tidy = without_surrogates(value) if value is not None else None
            if tidy != value:
                marks[i] = name if marks[i] is None else f"{marks[i]},{name}"
                self.undecodable.add(name)
            repaired.append(tidy)
        return repaired


def without_surrogates(text: str) -> str:
    """`text` with halves of surrogate pairs, which stand for undecodable bytes, as U+FFFD."""
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


def _json(raw: object) -> str:
    return without_surrogates(json.dumps(raw, ensure_ascii=False))
