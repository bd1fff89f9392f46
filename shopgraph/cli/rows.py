"""Shows a query's rows as a table, CSV or JSON, or writes them to a file: Parquet, CSV or JSON by its ending."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kg.stores import Rows
from shopgraph.cli import console
from shopgraph.errors import AppError

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What the text of a cell begins with that a spreadsheet takes for a formula."""

ENDINGS = (".parquet", ".csv", ".json")
"""What the name of a written file may end with."""


def show(rows: Rows, output: str) -> None:
    """Print the answer in the format asked for; a shortened one is said so on stderr."""
    if output == "csv":
        sys.stdout.write(_as_csv(rows))
    elif output == "json":
        console.emit_json(_as_json(rows))
    else:
        numbers = [c for i, c in enumerate(rows.columns) if any(isinstance(r[i], int | float) for r in rows.rows)]
        lines = [[_shown(value) for value in row] for row in rows.rows]
        console.out.print(console.table("", rows.columns, lines, right=numbers))
    _say_if_short(rows)


def check_ending(path: Path) -> None:
    """Raise before a query is run where its answer could not be written.

    Raises:
        AppError: the ending is none of `ENDINGS`, or the folder does not exist.
    """
    if path.suffix.lower() not in ENDINGS:
        raise AppError(f"unknown format {path.suffix!r}", str(path), f"name a file that ends with {', '.join(ENDINGS)}")
    if not path.absolute().parent.is_dir():
        raise AppError("there is no such folder", str(path.parent), "make it, or write somewhere else")


def write(rows: Rows, path: Path) -> None:
    """Write the answer to `path`, whole or not at all.

    In Parquet a column has the type of its values; a node, and values of several types, become JSON text.
    """
    check_ending(path)
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    try:
        if path.suffix.lower() == ".parquet":
            pq.write_table(as_arrow(rows), part)
        elif path.suffix.lower() == ".csv":
            part.write_text(_as_csv(rows), "utf-8", newline="")
        else:
            part.write_text(json.dumps(_as_json(rows), ensure_ascii=False, default=str), "utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    console.say(f"{len(rows.rows):,} rows in {path}")
    _say_if_short(rows)


def as_arrow(rows: Rows) -> pa.Table:
    """The answer as an Arrow table."""
    columns = zip(*rows.rows, strict=True) if rows.rows else [() for _ in rows.columns]
    arrays = [_array(list(values)) for values in columns]
    return pa.Table.from_arrays(arrays, names=rows.columns)


def _array(values: list[Any]) -> pa.Array:
    if not any(isinstance(v, dict) for v in values):
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            pass  # several types in one column, which no column of Parquet can hold
    return pa.array([None if v is None else _text(v) for v in values], pa.string())


def _as_csv(rows: Rows) -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(rows.columns)
    writer.writerows([["" if v is None else _text(v) for v in row] for row in rows.rows])
    _warn_of_formulas(rows)
    return stream.getvalue()


def _as_json(rows: Rows) -> list[dict[str, Any]]:
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]


def _say_if_short(rows: Rows) -> None:
    if rows.truncated:
        console.say(f"stopped after {len(rows.rows):,} rows; --limit sets how many")


def _warn_of_formulas(rows: Rows) -> None:
    """Say on stderr where a spreadsheet would run a cell; the cells stay as they are, for programs that read them."""
    cells = sum(isinstance(v, str) and v.startswith(FORMULA) for row in [rows.columns, *rows.rows] for v in row)
    if cells:
        console.say(f"{cells:,} cells begin with =, +, - or @, which spreadsheets run: import them there as text")


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _shown(value: Any) -> str | None:
    """A value for people: numbers grouped and rounded."""
    if value is None:
        return None
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.4g}"
    return _text(value)
