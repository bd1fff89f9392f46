"""`shopgraph query`: the analysts' library, or any read-only Cypher."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from kg.query_file import TOPICS, Parameter, Query
from kg.query_guard import check_query
from kg.query_library import list_queries, load_query, query_names, run_query
from kg.stores import Rows, Store, open_store
from shopgraph.cli import console
from shopgraph.cli.options import DEFAULT_WORKSPACE, StoreOption, VerboseOption, WorkspaceOption, workspace_at
from shopgraph.cli.rows import check_ending, show, write
from shopgraph.errors import AppError


class QueryCommand(TyperCommand):
    """The command whose `--help` after the name of a query is about that query."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the query's own help, else go on as ever."""
        named = [word for word in args if word in query_names()]
        if "--help" in args and named:
            show_query(load_query(named[0]))
            ctx.exit()
        return super().parse_args(ctx, args)


def command(
    name: Annotated[str | None, typer.Argument(help="A query of the library; NAME --help tells about it.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Show the library.")] = False,
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the query.")
    ] = None,
    cypher: Annotated[str | None, typer.Option("--cypher", help="Any read-only Cypher, instead of a name.")] = None,
    output: Annotated[Literal["table", "csv", "json"], typer.Option("--format", help="How to print rows.")] = "table",
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the rows to this file (.parquet, .csv or .json) instead.")
    ] = None,
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
    if out is not None:
        check_ending(out)
    place = workspace_at(workspace)
    with open_store(place.store_url(store)) as opened:
        if cypher is None:
            rows = run_query(opened, str(name), param or (), timeout_s=timeout, max_rows=limit)
        else:
            rows = _ad_hoc(opened, cypher, param or (), timeout, limit)
    if out is not None:
        write(rows, out)
    else:
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


def show_library(queries: Sequence[Query], output: str) -> None:
    """The library by topic: name, meaning, parameters."""
    rows = []
    for query in sorted(queries, key=lambda query: TOPICS.index(query.topic)):
        parameters = ", ".join(p.name if p.default is None else f"{p.name}={_default(p)}" for p in query.parameters)
        where = "" if query.folder == "common" else "Neo4j"
        rows.append([query.topic, query.name, query.title, parameters, where])
    columns = ["topic", "name", "answers", "parameters", "store"]
    if output != "table":
        show(Rows(columns, [list(row) for row in rows]), output)
        return
    for topic in TOPICS:
        lines = [row[1:] for row in rows if row[0] == topic]
        if lines:
            console.out.print(console.table(topic.capitalize(), columns[1:], lines))
            console.out.print()
    console.out.print("shopgraph query NAME --help tells the parameters and columns of one.", markup=False)


def _default(parameter: Parameter) -> str:
    """As it is written after `--param NAME=`."""
    if parameter.default is None:
        return "must be given"
    return str(parameter.default).lower() if isinstance(parameter.default, bool) else str(parameter.default)


def show_query(query: Query) -> None:
    """What a query answers, takes and gives."""
    lines = [f"{query.name}: {query.title}.", *([query.about] if query.about else [])]
    lines.append(f"Topic: {query.topic}. Runs on {'every store' if query.folder == 'common' else 'Neo4j alone'}.")
    lines.append(f"Reads {', '.join(query.reads)}.")
    for line in lines:
        console.out.print(line, markup=False)
    if query.parameters:
        taken = [(p.name, p.type, _default(p), p.meaning) for p in query.parameters]
        console.out.print()
        console.out.print(console.table("Parameters", ("name", "type", "default", "meaning"), taken))
    given = [(column.name, column.meaning) for column in query.columns]
    console.out.print()
    console.out.print(console.table("Columns of the answer", ("name", "meaning"), given))
    words = [f"--param {p.name}=…" for p in query.parameters if p.default is None]
    console.out.print()
    console.out.print(" ".join(["Example: shopgraph query", query.name, *words]), markup=False)
