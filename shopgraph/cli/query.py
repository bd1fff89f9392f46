"""`shopgraph query`: the analysts' library, or any read-only Cypher."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

import typer

from kg.query_guard import check_query
from kg.query_library import Query, list_queries, run_query
from kg.stores import Rows, Store, open_store
from shopgraph.cli import console
from shopgraph.cli.options import DEFAULT_WORKSPACE, StoreOption, VerboseOption, WorkspaceOption, workspace_at
from shopgraph.errors import AppError

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What the text of a cell begins with that a spreadsheet takes for a formula."""


def command(
    name: Annotated[str | None, typer.Argument(help="A query of the library.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Show the library.")] = False,
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the query.")
    ] = None,
    cypher: Annotated[str | None, typer.Option("--cypher", help="Any read-only Cypher, instead of a name.")] = None,
    output: Annotated[Literal["table", "csv", "json"], typer.Option("--format", help="How to print rows.")] = "table",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Stop after so many rows, and say so.")] = 1000,
    timeout: Annotated[float, typer.Option("--timeout", min=0.001, help="Seconds that a query may take.")] = 60.0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    store: StoreOption = None,
    verbose: VerboseOption = False,  # noqa: ARG001 - read by the option's callback
) -> None:
    """Ask the graph: a query of the library, or Cypher that only reads.

    Example: shopgraph query best_sellers --param month=201711
    """
    if list_all:
        show_library(list_queries(), output)
        return
    if (name is None) == (cypher is None):
        raise typer.BadParameter("name a query (see --list), or give one with --cypher")
    place = workspace_at(workspace)
    with open_store(place.store_url(store)) as opened:
        if cypher is None:
            rows = run_query(opened, str(name), param or (), timeout_s=timeout, max_rows=limit)
        else:
            rows = _ad_hoc(opened, cypher, param or (), timeout, limit)
    show(rows, output)


def _ad_hoc(store: Store, cypher: str, assignments: Sequence[str], timeout: float, limit: int) -> Rows:
    return store.run(check_query(cypher), dict(map(_parameter, assignments)), timeout_s=timeout, max_rows=limit)


def _parameter(assignment: str) -> tuple[str, Any]:
    """A parameter of ad-hoc Cypher: a JSON value where it is one (10, 0.5, true, [1,2], "10"), else text."""
    name, equals, text = assignment.partition("=")
    if not equals or not name.strip():
        raise AppError(f"{assignment!r} is not NAME=VALUE", "--param", "write it as in month=201711")
    try:
        return name.strip(), json.loads(text)
    except ValueError:
        return name.strip(), text


def show(rows: Rows, output: str) -> None:
    """Print the answer in the format asked for; a shortened one is said so on stderr."""
    if output == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(rows.columns)
        writer.writerows([["" if v is None else _text(v) for v in row] for row in rows.rows])
        _warn_of_formulas(rows)
    elif output == "json":
        console.emit_json([dict(zip(rows.columns, row, strict=True)) for row in rows.rows])
    else:
        numbers = [c for i, c in enumerate(rows.columns) if any(isinstance(r[i], int | float) for r in rows.rows)]
        lines = [[_shown(value) for value in row] for row in rows.rows]
        console.out.print(console.table("", rows.columns, lines, right=numbers))
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


def show_library(queries: Sequence[Query], output: str) -> None:
    """The library: name, meaning, parameters."""
    rows = []
    for query in queries:
        parameters = ", ".join(p.name if p.default is None else f"{p.name}={p.default}" for p in query.parameters)
        rows.append([query.name, query.title, parameters, "" if query.folder == "common" else "Neo4j"])
    columns = ["name", "answers", "parameters", "store"]
    if output == "table":
        console.out.print(console.table("", columns, rows))
    else:
        show(Rows(columns, [list(row) for row in rows]), output)
