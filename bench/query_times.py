"""Seconds that each query of the analysts' library takes on a graph.

    python -m bench.query_times STORE [STORE …] [--repeats 3] [--out FILE]

Parameters have their defaults; a product, user or campaign that has to be named is the one with most purchases or
users. The first run of a query in Neo4j includes its planning.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.measure import machine, write_report
from kg.errors import GraphError
from kg.query_file import Query
from kg.query_library import list_queries, run_query
from kg.stores import Store, open_store
from shopgraph.cli.console import PIPE_WIDTH, table

_EXAMPLES = {
    "product": "MATCH (:User)-[e:PURCHASED]->(p:Product) RETURN p.id AS id, count(e) AS n ORDER BY n DESC, id LIMIT 1",
    "user": "MATCH (u:User)-[e:PURCHASED]->(:Product) RETURN u.id AS id, count(e) AS n ORDER BY n DESC, id LIMIT 1",
    "campaign": "MATCH (u:User)-[:TARGETED_BY]->(c:Campaign) RETURN c.id AS id, count(u) AS n "
    "ORDER BY n DESC, id LIMIT 1",
}  # fmt: skip
_RECOMMENDED = "MATCH (:User {id: $user})-[r:RECOMMENDED]->(p:Product) RETURN p.id AS id ORDER BY r.rank LIMIT 1"


def examples(store: Store) -> dict[str, str]:
    """Values for parameters that have no default."""
    found = {name: rows[0][0] for name, query in _EXAMPLES.items() if (rows := store.run(query, {}).rows)}
    rows = store.run(_RECOMMENDED, {"user": found.get("user", "")}).rows
    return found | ({"recommended": rows[0][0]} if rows else {})


def timed(store: Store, query: Query, values: dict[str, str], repeats: int) -> dict[str, Any]:
    """Seconds of each run and the number of rows, or why it cannot be asked of this graph."""
    words = []
    for parameter in query.parameters:
        if parameter.default is None:
            about = "recommended" if query.name == "recommendation_origin" and parameter.name == "product" else ""
            words.append(f"{parameter.name}={values.get(about or parameter.name, '')}")
    runs, rows = [], 0
    try:
        for _ in range(repeats):
            began = time.perf_counter()
            rows = len(run_query(store, query.name, words, timeout_s=300).rows)
            runs.append(round(time.perf_counter() - began, 3))
    except GraphError as error:
        return {"says": str(error)}
    return {"runs": runs, "median": statistics.median(runs), "rows": rows}


def figures(url: str, repeats: int) -> dict[str, dict[str, Any]]:
    """Every query that the store can answer."""
    with open_store(url) as store:
        values = examples(store)
        return {query.name: timed(store, query, values, repeats) for query in list_queries(store.capabilities)}


def show(stores: dict[str, dict[str, dict[str, Any]]]) -> None:
    """A line per query, the slowest first; one that a graph cannot answer says why."""
    names = list(dict.fromkeys(name for found in stores.values() for name in found))
    slowest = {
        name: max((s[name].get("median", 0.0) for s in stores.values() if name in s), default=0) for name in names
    }
    rows = []
    for name in sorted(names, key=lambda n: -slowest[n]):
        cells = [stores[url].get(name, {"says": "not in this store"}) for url in stores]
        rows.append((name, cells[0].get("rows", ""), *(str(c.get("median", c.get("says"))) for c in cells)))
    columns = ("query", "rows", *(f"seconds, {url}" for url in stores))
    Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH).print(
        table("The analysts' library", columns, rows, right=columns[1:])
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", metavar="STORE", help="path or URL")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("bench/results/query_times.json"))
    args = parser.parse_args()
    found = {url: figures(url, args.repeats) for url in args.stores}
    show(found)
    write_report({"machine": machine(), "stores": found}, args.out)


if __name__ == "__main__":
    main()
