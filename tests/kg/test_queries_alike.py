"""Every query for both stores gives the same answer in both, on a shop drawn at random."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest.build import build_tables
from ingest.progress import SilentProgress
from kg.query_library import list_queries, run_query
from kg.shape import shape_graph
from kg.stores import Store, open_store

PRODUCTS = [f"p{n}" for n in range(25)]
USERS = [f"u{n}" for n in range(15)]
CATEGORIES = ["food > tea", "food > coffee > beans", "home", "home > cups", "food > tea; home"]
BEGINS = datetime(2023, 11, 20, tzinfo=UTC)
VALUES = {
    "product": PRODUCTS[:6],
    "other": PRODUCTS[3:5],
    "user": USERS[:6],
    "campaign": ["c0", "c1", "c2"],
    "category": ["food", "food > tea", "home"],
    "month": ["202312", "202401"],
    "before": ["202311"],
    "level": ["1", "2", "3"],
    "segment": ["tier", "age"],
    "times": ["1.5"],
    "discount": ["0.2"],
    "days": ["5"],
    "rising": ["true", "false"],
    "late": ["9"],
}
LEAST = ("min_", "max_")
FAR = 10_000
"""As `k`: where figures are equal the limit must not decide which row is there."""


def _source(folder: Path, draw: random.Random) -> None:
    """Tables with gaps, ties and doubled rows."""

    def some(value: str, rate: float = 0.9) -> str:
        return value if draw.random() < rate else ""

    def table(name: str, head: str, rows: list[list[str]]) -> None:
        (folder / f"{name}.csv").write_text("\n".join([head, *(",".join(row) for row in rows)]) + "\n")

    def moment() -> str:
        return f"{BEGINS + timedelta(hours=draw.randrange(24 * 110)):%Y-%m-%dT%H:%M:%SZ}"

    table("products", "product_id,title,brand,category,price,recommendable,brand_kind", [
        [p, some(f"Title {n % 7}"), some(f"B{n % 4}"), some(CATEGORIES[n % 5]), some("2.5"),
         "false" if n % 9 == 8 else "true", ["Private", "National"][n % 2]] for n, p in enumerate(PRODUCTS)
    ])  # fmt: skip
    table("users", "user_id,tier,age", [[u, some(["gold", "silver"][n % 2]), str(20 + n % 3)] for n, u in
                                        enumerate([*USERS, "idle"])])  # fmt: skip
    kinds = ["purchase"] * 5 + ["view", "cart", "click", "review", "return"]
    table("events", "event_id,user_id,product_id,event,time,quantity,price,order_id,store", [
        [f"e{n}", draw.choice(USERS), draw.choice(PRODUCTS[:20]), draw.choice(kinds), some(moment(), 0.97),
         some(str(draw.randrange(1, 4))), some(str(draw.choice([1, 1.5, 2, 20]))), some(f"o{n // 3}"), f"s{n % 2}"]
        for n in range(600)
    ])  # fmt: skip
    windows = {f"c{n}": (f"2023-12-0{n + 1}T00:00:00Z", f"2023-12-2{n}T00:00:00Z") for n in range(2)}
    table("campaigns", "campaign_id,user_id,start_time,end_time", [
        [c, u, *windows[c]] for c in windows for u in draw.sample(USERS, 6)
    ] + [["c2", "", "", ""]])  # fmt: skip
    table("coupons", "coupon_id,product_id,campaign_id", [
        [f"k{n % 5}", p, f"c{n % 3}"] for n, p in enumerate(draw.sample(PRODUCTS, 12))
    ])  # fmt: skip
    table("redemptions", "user_id,coupon_id,campaign_id,time", [
        [draw.choice(USERS), f"k{draw.randrange(6)}", f"c{draw.randrange(2)}", moment()] for _ in range(20)
    ])  # fmt: skip


def _written(draw: random.Random, written_back: Any) -> Any:
    run = {"version": "1", "config": "{}", "metrics": "{}", "model": "m", "created": BEGINS}
    cutoff = BEGINS + timedelta(days=60)
    recommended = [
        {"user": u, "product": p, "run": "r", "rank": rank, "score": draw.random(), "reason": "x",
         "reason_kind": draw.choice(["popular", "same-brand", "same-category", "bought-before"]),
         "evidence": [u, draw.choice(PRODUCTS), draw.choice(["B1", "food > tea", "u3"]), p]}
        for n, u in enumerate(USERS[:9]) for rank, p in enumerate([PRODUCTS[n], *draw.sample(PRODUCTS[9:], 4)], 1)
    ]  # fmt: skip
    similar = [
        {"product": a, "other": b, "run": "r", "rank": rank, "score": draw.random()}
        for a in PRODUCTS for rank, b in enumerate(draw.sample(PRODUCTS, 3), 1) if a != b
    ]  # fmt: skip
    return written_back([{**run, "id": "r", "current": True, "cutoff": cutoff}], recommended, similar)


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, neo4j_server: Any, into_ladybug: Any, into_neo4j: Any, written_back: Any
) -> Iterator[tuple[Store, Store]]:
    folder, draw = tmp_path_factory.mktemp("alike"), random.Random(11)
    (folder / "source").mkdir()
    _source(folder / "source", draw)
    written = _written(draw, written_back)
    build_tables(str(folder / "source"), folder / "tables", folder / "reports")
    files = shape_graph(folder / "tables", folder / "graph", SilentProgress())
    path = str(folder / "graph.lbug")
    neo4j_server.empty()
    with open_store(path) as embedded, open_store(neo4j_server.url) as server:
        embedded.load(files, SilentProgress())
        server.load(files, SilentProgress())
        embedded.close()
        into_ladybug(path, written)
        into_neo4j(neo4j_server.url, written)
        yield embedded, server
    neo4j_server.empty()


def _assignments(query: Any) -> list[list[str]]:
    """Some ways to call the query, with every row in the answer."""
    if query.name == "price_band_penetration":
        return [["segment=champions"], ["segment=hibernating"]]
    texts = {
        p.name: [str(FAR)] if p.name == "k" else ["1", "2"] if p.name.startswith(LEAST) else VALUES[p.name]
        for p in query.parameters
    }
    most = max([len(values) for values in texts.values()], default=1)
    return [[f"{name}={values[n % len(values)]}" for name, values in texts.items()] for n in range(most)]


def _bag(rows: list[list[Any]]) -> Counter[tuple[Any, ...]]:
    """Rows without their order; numbers to nine digits, since sums depend on the order of their parts."""
    return Counter(tuple(float(f"{v:.9g}") if isinstance(v, float) else v for v in row) for row in rows)


SPARSE = {"price_band_penetration", "segments", "due_for_repurchase"}
"""Rest on labels that a shop this small has few of: an empty answer of both says little, but is allowed."""


@pytest.mark.neo4j
@pytest.mark.parametrize("query", [q for q in list_queries() if q.folder == "common"], ids=lambda q: str(q.name))
def test_both_stores_give_the_same_answer(both: tuple[Store, Store], query: Any) -> None:
    seen = 0
    for assignments in _assignments(query):
        mine, theirs = (run_query(store, query.name, assignments) for store in both)
        assert mine.columns == theirs.columns
        assert _bag(mine.rows) == _bag(theirs.rows), assignments
        assert not any(isinstance(v, float) and math.isnan(v) for row in mine.rows for v in row)
        seen += len(mine.rows)
    assert seen or query.name in SPARSE, "no answer to compare"
