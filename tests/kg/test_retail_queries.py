"""What analysts ask of campaigns, prices, cohorts, carts, data quality and recommendations, worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.build import build_tables
from ingest.progress import SilentProgress
from kg.query_library import run_query
from kg.shape import shape_graph
from kg.stores import GraphFiles, Store, open_store

# weeks of seven days since 1970-01-01 begin on Thursdays: 4, 11, 18 January, 1 and 8 February 2024
SHOP = {
    "products": """product_id,title,brand,category,price
a1,Cola,Fizz,drinks > soda,2
a2,COLA,Fizz,drinks > soda,2
b1,Lemonade,Bubble,drinks > soda,2
n1,,,,
s1,Soap,Clean,home,5
z1,Cherry cola,Fizz,drinks > soda,
""",
    "users": "user_id,tier\nu1,gold\nu2,gold\nu3,silver\nu4,\nu5,silver\nu6,silver\n",
    "events": """user_id,product_id,event,time,quantity,price,order_id
u6,s1,purchase,2023-12-28T10:00:00Z,1,5,o13
u1,a1,purchase,2024-01-04T00:00:00Z,4,2,o1
u1,a1,purchase,2024-01-11T10:00:00Z,2,3,o2
u2,a1,purchase,2024-01-18T10:00:00Z,6,1,o3
u3,b1,purchase,2024-01-11T11:00:00Z,1,2,o6
u4,a2,purchase,2024-01-12T10:00:00Z,1,2,o8
u1,b1,purchase,2024-02-01T10:00:00Z,1,2,o11
u4,b1,purchase,2024-02-02T10:00:00Z,1,2,o10
u1,b1,purchase,2024-02-05T10:00:00Z,3,2,o4
u2,b1,purchase,2024-02-06T10:00:00Z,1,2,o5
u2,a2,purchase,2024-02-06T10:00:00Z,1,2,o5
u3,b1,purchase,2024-02-07T10:00:00Z,1,2,o7
u4,a2,purchase,2024-02-08T10:00:00Z,2,2,o9
u6,s1,purchase,2024-02-09T10:00:00Z,1,5,o14
u2,s1,purchase,2024-04-01T10:00:00Z,1,5,
u1,a1,view,2024-01-03T09:00:00Z,,,
u2,a1,view,2024-01-17T09:00:00Z,,,
u3,a1,view,2024-01-19T09:00:00Z,,,
u3,a1,view,2024-01-19T09:01:00Z,,,
u3,b1,view,2024-01-19T09:02:00Z,,,
u4,b1,view,2024-02-01T09:00:00Z,,,
u1,a1,cart,2024-01-03T09:10:00Z,,,
u3,a1,cart,2024-01-20T09:10:00Z,,,
u4,b1,cart,2024-02-01T09:10:00Z,,,
u2,b1,cart,2024-03-01T09:10:00Z,,,
""",
    "campaigns": """campaign_id,user_id,start_time,end_time
c1,u1,2024-02-05T00:00:00Z,2024-02-08T23:59:00Z
c1,u3,2024-02-05T00:00:00Z,2024-02-08T23:59:00Z
""",
    "coupons": "coupon_id,product_id,campaign_id\nk1,b1,c1\n",
    "redemptions": "user_id,coupon_id,campaign_id,time\nu1,k9,c1,2024-02-05T10:00:00Z\n",
}
CREATED, CUTOFF = datetime(2024, 2, 7, 9, tzinfo=UTC), datetime(2024, 2, 6, 12, tzinfo=UTC)
RUN = {"version": "1", "config": "{}", "metrics": '{"ndcg@10": 0.5}', "created": CREATED, "cutoff": CUTOFF}
RUNS = [
    {**RUN, "id": "r0", "current": False, "model": "popularity"},
    {**RUN, "id": "r1", "current": True, "model": "fused"},
]


def _recommended(user: str, product: str, rank: int, kind: str, *evidence: str) -> dict[str, Any]:
    return {
        "user": user, "product": product, "run": "r1", "rank": rank, "score": 1 - rank / 10,
        "reason_kind": kind, "reason": f"why {product}", "evidence": list(evidence),
    }  # fmt: skip


RECOMMENDED = [
    _recommended("u1", "z1", 1, "same-category", "u1", "a1", "drinks > soda", "z1"),
    _recommended("u1", "s1", 2, "popular", "u1", "s1"),
    _recommended("u2", "b1", 1, "bought-together", "u2", "a1", "u1", "b1"),
    _recommended("u3", "b1", 1, "bought-before", "u3", "b1"),
    # of the run before, as while a new one is being published: no query may count them
    *({**_recommended(u, p, 1, "popular", u, p), "run": "r0"} for u in ("u1", "u4") for p in ("z1", "a1")),
]
SIMILAR = [
    {"product": "z1", "other": "a1", "run": "r1", "rank": 1, "score": 0.9},
    {"product": "z1", "other": "b1", "run": "r1", "rank": 2, "score": 0.8},
    {"product": "a1", "other": "b1", "run": "r1", "rank": 1, "score": 0.7},
    {"product": "z1", "other": "s1", "run": "r0", "rank": 1, "score": 0.99},
]
COMMON: list[tuple[str, list[str], list[list[Any]]]] = [
    # u1 and u2 bought Fizz, then Bubble (u2 one piece of each: the first by name); u4 stayed, u3 too
    (
        "brand_switching",
        ["category=drinks", "month=202402"],
        [["Fizz", "Bubble", 2, 2 / 3], ["Bubble", "Bubble", 1, 1.0], ["Fizz", "Fizz", 1, 1 / 3]],
    ),
    # four days from 5 February, and the four before; the targeted: before 2, then 6 + 2; the other four: 2, then 2
    (
        "campaign_response",
        ["campaign=c1"],
        [["targeted", 2, 2, 1.0, 1.0, 4.0, 3.0], ["untargeted", 4, 1, 0.25, 0.5, 0.5, 0.0]],
    ),
    ("campaign_response", ["campaign=none"], []),
    # cola at 1, 2, 3 sells 6, 4, 2: slope -2, times price 2 per 4 pieces
    (
        "price_sensitivity",
        ["category=drinks > soda", "min_weeks=3"],
        [["a1", "Cola", 3, 2.0, 1.0, 3.0, 4.0, -1.0]],
    ),
    # of the medians 2, 2, 2 and 5 one line lies below: u2's cola at 1
    ("discount_share", ["segment=tier"], [["gold", 2, 8, 1, 1 / 8], ["silver", 2, 4, 0, 0.0]]),
    (
        "cohort_retention",
        [],
        [[202312, 0, 1, 1.0], [202312, 2, 1, 1.0], [202401, 0, 4, 1.0], [202401, 1, 4, 1.0], [202401, 3, 1, 0.25]],
    ),
    (
        "new_and_returning",
        [],
        [[202312, 1, 0, 5.0, 0.0], [202401, 4, 0, 24.0, 0.0], [202402, 0, 5, 0.0, 25.0], [202404, 0, 1, 0.0, 5.0]],
    ),
    (
        "product_funnel",
        ["min_viewers=1"],
        [["a1", "Cola", 3, 2, 2, 2 / 3], ["b1", "Lemonade", 2, 2, 4, 1.0]],
    ),
    # u3 never bought the cola; u2 bought lemonade, but before
    ("abandoned_carts", ["min_carters=1"], [["a1", "Cola", 2, 1, 0.5], ["b1", "Lemonade", 2, 1, 0.5]]),
    ("cold_shelves", ["min_purchases=6"], [["z1", "Cherry cola", "drinks > soda", "Fizz", 2, 6]]),
    (
        "cold_neighbours",
        ["min_buyers=2"],
        [["z1", "Cherry cola", "a1", "Cola", 0.9, 2], ["z1", "Cherry cola", "b1", "Lemonade", 0.8, 4]],
    ),
    (
        "data_gaps",
        [],
        [
            ["coupons without a product", 1, 2],
            ["products without a brand", 1, 6],
            ["products without a category", 1, 6],
            ["products without a list price", 2, 6],
            ["products without a purchase", 2, 6],
            ["products without a title", 1, 6],
            ["purchases without a price", 0, 15],
            ["purchases without a time", 0, 15],
            ["purchases without an order", 1, 15],
            ["users without an event", 1, 6],
        ],
    ),
    ("duplicate_titles", [], [["cola", "Fizz", 2, "a1", "a2"]]),
    # six Thursdays have a purchase, in all seven lines; 11 January has two of them
    ("odd_days", ["times=1.5"], [[19733, datetime(2024, 1, 11, 10, tzinfo=UTC), 2, 7 / 6]]),
    (
        "price_outliers",
        ["times=2", "min_lines=3"],
        [["a1", "Cola", "u2", datetime(2024, 1, 18, 10, tzinfo=UTC), 1.0, 2.0]],
    ),
    ("busiest_user_days", ["min_events=3"], [["u3", datetime(2024, 1, 19, 9, tzinfo=UTC), 3, 2]]),
    (
        "recommendations",
        ["user=u1"],
        [[1, "z1", "Cherry cola", "Fizz", 0.9, "why z1"], [2, "s1", "Soap", "Clean", 0.8, "why s1"]],
    ),
    (
        "recommendation_origin",
        ["user=u1", "product=z1"],
        [
            [1, "User", "u1", "u1", "same-category", "why z1"],
            [2, "Product", "a1", "Cola", "same-category", "why z1"],
            [3, "Category", "drinks > soda", "soda", "same-category", "why z1"],
            [4, "Product", "z1", "Cherry cola", "same-category", "why z1"],
        ],
    ),
    (
        "recommendation_origin",
        ["user=u2", "product=b1"],
        [
            [1, "User", "u2", "u2", "bought-together", "why b1"],
            [2, "Product", "a1", "Cola", "bought-together", "why b1"],
            [3, "User", "u1", "u1", "bought-together", "why b1"],
            [4, "Product", "b1", "Lemonade", "bought-together", "why b1"],
        ],
    ),
    (
        "recommendation_reasons",
        [],
        [
            ["bought-before", 1, 1, 1, 0.25, 1.0],
            ["bought-together", 1, 1, 1, 0.25, 1.0],
            ["popular", 1, 1, 1, 0.25, 2.0],
            ["same-category", 1, 1, 1, 0.25, 1.0],
        ],
    ),
    # lists per product 2, 1, 1, 0, 0, 0: differences over ordered pairs 28, by 2 * 6 * 4
    ("recommendation_coverage", [], [[6, 3, 6, 3, 0.5, 4, 28 / 48]]),
    (
        "recommended_products",
        ["k=2"],
        [["b1", "Lemonade", 2, 2 / 3, 1.0, 4], ["s1", "Soap", 1, 1 / 3, 2.0, 2]],
    ),
    # u3 bought on 7 February, u2 on the morning before the cut-off
    ("recommendation_outcome", [], [[1, 3, 1, 1 / 3], [2, 1, 0, 0.0]]),
    ("current_run", [], [["r1", CREATED, "fused", "1", CUTOFF, '{"ndcg@10": 0.5}', "{}"]]),
]
NEO4J: list[tuple[str, list[str], list[list[Any]]]] = [
    ("purchases_by_hour", [], [[0, 1, 1 / 15], [10, 13, 13 / 15], [11, 1, 1 / 15]]),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> GraphFiles:
    folder = tmp_path_factory.mktemp("retail")
    (folder / "source").mkdir()
    for table, text in SHOP.items():
        (folder / "source" / f"{table}.csv").write_text(text)
    build_tables(str(folder / "source"), folder / "tables", folder / "reports")
    return shape_graph(folder / "tables", folder / "graph", SilentProgress())


@pytest.fixture(scope="module")
def embedded(files: GraphFiles, tmp_path_factory: pytest.TempPathFactory, into_ladybug: Any, written_back: Any) -> Any:
    path = str(tmp_path_factory.mktemp("retail-store") / "graph.lbug")
    with open_store(path) as store:
        store.load(files, SilentProgress())
    into_ladybug(path, written_back(RUNS, RECOMMENDED, SIMILAR))
    with open_store(path) as store:
        yield store


@pytest.fixture(scope="module")
def server(files: GraphFiles, neo4j_server: Any, into_neo4j: Any, written_back: Any) -> Iterator[Store]:
    neo4j_server.empty()
    with open_store(neo4j_server.url) as store:
        store.load(files, SilentProgress())
        into_neo4j(neo4j_server.url, written_back(RUNS, RECOMMENDED, SIMILAR))
        yield store
    neo4j_server.empty()


@pytest.mark.parametrize(("name", "assignments", "expected"), COMMON)
def test_common_query(
    answers: Any, embedded: Store, name: str, assignments: list[str], expected: list[list[Any]]
) -> None:
    answers(embedded, name, assignments, expected)


@pytest.mark.neo4j
@pytest.mark.parametrize(("name", "assignments", "expected"), COMMON + NEO4J)
def test_query_on_neo4j(
    answers: Any, server: Store, name: str, assignments: list[str], expected: list[list[Any]]
) -> None:
    answers(server, name, assignments, expected)


def _ways(store: Store, name: str, assignments: list[str]) -> set[tuple[str, ...]]:
    """Ids of the nodes along each path of the answer."""
    return {tuple(node["id"] for node in path["nodes"]) for (path,) in run_query(store, name, assignments).rows}


@pytest.mark.neo4j
def test_graphs_to_draw(server: Store) -> None:
    assert _ways(server, "recommendation_path", ["user=u1", "product=z1"]) == {("u1", "a1", "drinks > soda", "z1")}
    ways = _ways(server, "recommendation_path", ["user=u2", "product=b1"])
    assert ("u2", "a1", "u1", "b1") in ways
    assert {node for way in ways for node in way} == {"u2", "a1", "u1", "b1"}
    expected = {("a2", "Fizz"), ("a2", "drinks > soda", "drinks"), ("a2", "o5", "b1")}
    assert _ways(server, "product_graph", ["product=a2"]) == expected
    assert _ways(server, "product_graph", ["product=b1"]) == {
        ("b1", "Bubble"), ("b1", "drinks > soda", "drinks"), ("b1", "k1"), ("b1", "o5", "a2"),
    }  # fmt: skip
