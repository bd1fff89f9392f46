"""Makes docs/neo4j/ from the library: favourites for Neo4j Browser and a dashboard for NeoDash.

Run `python -m kg.browser_files` after a change of a query; a test compares the files with what this makes.

- favourites.zip is laid out as Neo4j Browser exports saved scripts: a folder per topic, a file per query, whose first
  line is its name; `:param` lines before the statement give its parameters.
- dashboard.json is a dashboard of NeoDash 2.4. Its parameters arrive as texts or floating numbers, hence toInteger.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kg.cypher_tokens import Kind, tokenize
from kg.query_file import TOPICS, Parameter, Query, Value
from kg.query_library import list_queries

FOLDER = Path(__file__).parents[1] / "docs" / "neo4j"
"""Where the files lie in a checkout."""

SHARED = ("user", "product", "category", "month", "before", "segment")
"""Parameters that mean the same in every query: one selector of the dashboard sets them for a whole page."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_COLUMNS, _WIDTH, _HEIGHT = 24, 12, 4


@dataclass(frozen=True)
class Chart:
    """How the dashboard shows a query other than as a table.

    Attributes:
        type: of the report: line, bar or graph.
        across: the column along the axis; '' for a graph.
        values: the columns that are drawn.
    """

    type: str
    across: str = ""
    values: tuple[str, ...] = ()

    def selection(self) -> dict[str, Any]:
        """What NeoDash calls so: which column is what."""
        if self.type == "line":
            return {"x": self.across, "value": list(self.values)}
        return {"index": self.across, "value": self.values[0], "key": "(none)"} if self.type == "bar" else {}


CHARTS = {
    "monthly_sales": Chart("line", "month", ("revenue",)),
    "new_and_returning": Chart("line", "month", ("new_users", "returning_users")),
    "best_sellers": Chart("bar", "title", ("units",)),
    "category_revenue": Chart("bar", "category", ("revenue",)),
    "baskets_by_weekday": Chart("bar", "weekday", ("baskets",)),
    "segments": Chart("bar", "segment", ("users",)),
    "recommendation_reasons": Chart("bar", "reason_kind", ("recommendations",)),
    "recommendation_outcome": Chart("line", "rank", ("share",)),
    "purchases_by_hour": Chart("bar", "hour", ("purchases",)),
    "product_graph": Chart("graph"),
    "recommendation_path": Chart("graph"),
}
"""Queries that the dashboard draws; the others are tables."""


def favourite(query: Query) -> str:
    """A query as Neo4j Browser keeps it: its name in a comment, its parameters, the statement."""
    lines = [f"// {query.title}", *([f"// {query.about}"] if query.about else [])]
    for parameter in query.parameters:
        fill = "set it: " if parameter.default is None else ""
        lines.append(f"// {parameter.name}: {fill}{parameter.meaning}")
    lines += [f":param {p.name} => {_literal(p.default)};" for p in query.parameters]
    return "\n".join([*lines, f"{query.cypher};", ""])


def favourites() -> bytes:
    """The zip file of all favourites, the same bytes for the same library."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for query in _by_topic():
            name = f"shopgraph {query.topic}/{query.name}.cypher"
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), favourite(query))
    return stream.getvalue()


def dashboard() -> dict[str, Any]:
    """The dashboard: a page per topic, a report per query, selectors for the parameters of a page."""
    queries = _by_topic()
    values = {_global(q, p): "" if p.default is None else p.default for q in reversed(queries) for p in q.parameters}
    return {
        "title": "shopgraph",
        "version": "2.4",
        "settings": {"pagenumber": 0, "editable": True, "fullscreenEnabled": True, "parameters": values},
        "pages": [
            {"title": topic.capitalize(), "reports": _reports([q for q in queries if q.topic == topic])}
            for topic in TOPICS
        ],
        "parameters": {},
        "extensions": {"active": True},
    }


def dashboard_text() -> str:
    """`dashboard` as the file holds it."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


def statement(query: Query) -> str:
    """The query's Cypher with the dashboard's parameters."""
    known = {parameter.name: parameter for parameter in query.parameters}
    parts, dollar = [], False
    for token in tokenize(query.cypher):
        if dollar and token.kind is Kind.WORD:
            parameter = known[token.text]
            given = f"${_global(query, parameter)}"
            cast = {"integer": "toInteger", "float": "toFloat", "boolean": "toBoolean"}.get(parameter.type)
            parts.append(f"{cast}({given})" if cast else given)
        else:
            parts.append(token.before + ("" if token.text == "$" else token.text))
        dollar = token.text == "$"
    return "".join(parts).strip()


def _by_topic() -> list[Query]:
    return sorted(list_queries(), key=lambda query: (TOPICS.index(query.topic), query.name))


def _global(query: Query, parameter: Parameter) -> str:
    own = parameter.name if parameter.name in SHARED else f"{query.name}_{parameter.name}"
    return f"neodash_{own}"


def _literal(value: Value | None) -> str:
    """A parameter's value as Cypher; '' where a person has to set it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else "'" + (value or "").replace("'", "\\'") + "'"


def _reports(queries: Sequence[Query]) -> list[dict[str, Any]]:
    asked = [name for name in SHARED if any(p.name == name for q in queries for p in q.parameters)]
    width = _COLUMNS // max(len(asked), 3)
    reports = [
        _report(
            f"select-{queries[0].topic}-{name}", name.capitalize(), "RETURN true", (at * width, 0, width, 2), "select"
        )
        | {"settings": {"type": "Free Text", "entityType": name, "parameterName": f"neodash_{name}"}}
        for at, name in enumerate(asked)
    ]
    top = 2 if asked else 0
    for at, query in enumerate(queries):
        place = (at % 2 * _WIDTH, top + at // 2 * _HEIGHT, _WIDTH, _HEIGHT)
        chart = CHARTS.get(query.name, Chart("table"))
        shown = _report(query.name, query.title, statement(query), place, chart.type)
        reports.append(shown | {"selection": chart.selection()})
    return reports


def _report(name: str, title: str, cypher: str, place: tuple[int, int, int, int], kind: str) -> dict[str, Any]:
    x, y, width, height = place
    return {
        "id": name, "title": title, "query": cypher, "width": width, "height": height, "x": x, "y": y, "type": kind,
        "selection": {}, "settings": {}, "schema": [],
    }  # fmt: skip


def main() -> None:
    """Write the files into docs/neo4j/."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "favourites.zip").write_bytes(favourites())
    (FOLDER / "dashboard.json").write_text(dashboard_text(), "utf-8")


if __name__ == "__main__":
    main()
