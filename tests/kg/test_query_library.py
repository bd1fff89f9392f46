"""Every named query on a small shop whose answers are worked out by hand, on both stores."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.build import build_tables
from ingest.enrich.labels import LabelSettings
from ingest.progress import SilentProgress
from ingest.settings import IngestSettings
from kg.errors import GraphError
from kg.query_file import TOPICS, parse_query
from kg.query_library import FOLDERS, list_queries, load_query, query_names, run_query
from kg.shape import shape_graph
from kg.stores import Capabilities, GraphFiles, Store, open_store

SHOP = {
    "products": """product_id,title,brand,category,recommendable,brand_kind
tea,Black tea,Leaf,drinks > tea,true,National
green,Green tea,Pot,drinks > tea,true,National
cup,Cup,Pot,home > cups,true,Private
pot,Pot,Pot,home,true,Private
fuel,Gasoline,Leaf,fuel,false,National
""",
    "users": "user_id\nann\nbob\ncat\ndan\n",
    # o1 Wednesday, o2 Thursday, o3 and o4 Monday, o5 Tuesday
    "events": """user_id,product_id,event,time,quantity,price,order_id,store
ann,tea,purchase,2017-11-01T10:00:00Z,2,2,o1,s1
ann,cup,purchase,2017-11-01T10:00:00Z,1,5,o1,s1
bob,tea,purchase,2017-11-02T10:00:00Z,1,2,o2,s1
bob,cup,purchase,2017-11-02T10:00:00Z,1,5,o2,s1
bob,fuel,purchase,2017-11-02T10:00:00Z,10,1,o2,s1
ann,tea,purchase,2017-11-06T10:00:00Z,1,3,o3,s1
cat,green,purchase,2017-12-04T10:00:00Z,4,1.5,o4,s1
cat,tea,purchase,2017-12-04T10:00:00Z,1,2,o4,s1
cat,pot,purchase,2017-12-05T10:00:00Z,1,20,o5,s2
""",
    "campaigns": "campaign_id,user_id\nc1,ann\nc1,bob\nc2,\n",
    "coupons": "coupon_id,product_id,campaign_id\nk1,tea,c1\nk2,cup,c1\nk2,cup,c2\n",
    "redemptions": """user_id,coupon_id,campaign_id,time
ann,k1,c1,2017-11-01T10:00:00Z
ann,k2,c1,2017-11-06T10:00:00Z
""",
}
COMMON: list[tuple[str, list[str], list[list[Any]]]] = [
    ("best_sellers", ["month=201711"], [["tea", "Black tea", 4, 2, 9.0], ["cup", "Cup", 2, 2, 10.0]]),
    ("best_sellers", ["month=201711", "k=1"], [["tea", "Black tea", 4, 2, 9.0]]),
    ("category_brands", ["category=drinks"], [["Leaf", 1, 5, 11.0, 11 / 17], ["Pot", 1, 4, 6.0, 6 / 17]]),
    ("category_brands", ["category=nowhere"], []),
    # five baskets, four with tea: lift of the cup 2 * 5 / (4 * 2), of green tea 1 * 5 / (4 * 1)
    (
        "bought_together",
        ["product=tea", "min_baskets=1"],
        [["cup", "Cup", 2, 2, 0.4, 0.5, 1.25], ["green", "Green tea", 1, 1, 0.2, 0.25, 1.25]],
    ),
    # November has three baskets: tea lies in all of them, the cup in two
    (
        "basket_rules",
        ["month=201711", "min_baskets=2"],
        [
            ["cup", "Cup", "tea", "Black tea", 2, 2 / 3, 1.0, 1.0],
            ["tea", "Black tea", "cup", "Cup", 2, 2 / 3, 2 / 3, 1.0],
        ],
    ),
    # of five baskets drinks are in four, home in three, fuel in one
    (
        "category_affinity",
        ["min_baskets=1"],
        [
            ["fuel", "home", 1, 0.2, 1.0, 1 / 3, 5 / 3],
            ["drinks", "fuel", 1, 0.2, 1 / 4, 1.0, 5 / 4],
            ["drinks", "home", 2, 0.4, 2 / 4, 2 / 3, 10 / 12],
        ],
    ),
    ("complements", ["product=tea", "min_baskets=1"], [["cup", "Cup", 2, 0.5, 1.25]]),
    # users: 1 * 3 / (3 * 1); baskets: 1 * 5 / (4 * 1)
    ("substitutes", ["product=tea", "min_buyers=1"], [["green", "Green tea", 1, 1, 1.0, 1.25]]),
    # Pot: 6 of the 8 that cat spent; Leaf: 11 of the 17 that all three spent
    (
        "brand_loyalty",
        ["category=drinks", "min_buyers=1"],
        [["Pot", 1, 0, 0.0, 0.75], ["Leaf", 3, 2, 2 / 3, 11 / 17]],
    ),
    # one of three buyers buys fuel, one of two in the segment: half as many again
    (
        "category_penetration",
        ["category=fuel"],
        [["hibernating", 2, 1, 0.5, 1.5, 10.0], ["promising", 1, 0, 0.0, 0.0, 0.0]],
    ),
    ("category_penetration", ["category=nowhere"], []),
    (
        "repeat_cadence",
        ["level=1", "min_buyers=1"],
        [["drinks", 3, 1, 1 / 3, 5.0], ["fuel", 1, 0, 0.0, None], ["home", 3, 0, 0.0, None]],
    ),
    (
        "movers",
        ["month=201712", "before=201711"],
        [
            ["green", "Green tea", 4, 0, 4],
            ["pot", "Pot", 1, 0, 1],
            ["cup", "Cup", 0, 2, -2],
            ["tea", "Black tea", 1, 4, -3],
        ],
    ),
    ("movers", ["month=201712", "before=201711", "rising=false", "k=1"], [["tea", "Black tea", 1, 4, -3]]),
    ("coupon_use", [], [["k1", 1, 1, 1, 1], ["k2", 1, 1, 1, 2]]),
    (
        "user_profile",
        ["user=ann", "k=1"],
        [
            ["brand", "Leaf", "Leaf", 2, 3, 7.0],
            ["category", "drinks", "drinks", 2, 3, 7.0],
            ["product", "tea", "Black tea", 2, 3, 7.0],
        ],
    ),
    ("repeat_buyers", ["product=tea"], [["ann", 2, 3, 5.0]]),
    ("category_revenue", [], [["home", 2, 3, 3, 30.0], ["drinks", 2, 5, 9, 17.0], ["fuel", 1, 1, 10, 10.0]]),
    ("category_revenue", ["level=2"], [["drinks > tea", 2, 5, 9, 17.0], ["home > cups", 1, 2, 2, 10.0]]),
    ("similar_users", ["user=ann"], [["bob", 2, 3, 2 / 3], ["cat", 1, 3, 1 / 4]]),
    ("lapsed_users", ["days=20", "min_orders=1"], [["ann", 2, 29], ["bob", 1, 33]]),
    ("campaign_redemption", [], [["c1", 2, 2, 1, 2, 0.5], ["c2", 1, 0, 0, 0, 0.0]]),
    ("basket_size_by_store", ["min_baskets=1"], [["s1", 4, 2.0, 9.25, 8.5], ["s2", 1, 1.0, 20.0, 20.0]]),
    (
        "baskets_by_weekday",
        [],
        [["Monday", 2, 1.5, 5.5], ["Tuesday", 1, 1.0, 20.0], ["Wednesday", 1, 2.0, 9.0], ["Thursday", 1, 3.0, 17.0]],
    ),
    ("private_label_share", [], [["home", 30.0, 30.0, 1.0], ["drinks", 17.0, 0.0, 0.0], ["fuel", 10.0, 0.0, 0.0]]),
    ("new_products", ["month=201712"], [["green", "Green tea", 1, 1, 201712], ["pot", "Pot", 1, 1, 201712]]),
    ("monthly_sales", [], [[201711, 2, 3, 16, 29.0], [201712, 1, 2, 6, 28.0]]),
    (
        "product_neighbourhood",
        ["product=tea"],
        [
            ["brand", "Leaf", "Leaf", 1],
            ["category", "drinks", "drinks", 1],
            ["category", "drinks > tea", "tea", 2],
            ["coupon", "k1", "k1", 1],
            ["in one basket", "cup", "Cup", 2],
            ["in one basket", "green", "Green tea", 1],
        ],
    ),
    # nothing is published here; tests/kg/test_publish.py has answers of runs
    ("recommendations", ["user=ann"], []),
    ("recommendation_paths", ["user=ann"], []),
    ("similar_products", ["product=tea"], []),
    # of three buyers bob is the worst by recency, then ann; ann by money, then bob: both are hibernating
    (
        "segments",
        [],
        [["hibernating", 2, 3, 29.0, 29 / 57], ["promising", 1, 2, 28.0, 28 / 57], ["prospect", 1, 0, 0.0, 0.0]],
    ),
    # by the prices paid: fuel 1 and green 1.5 are low, tea 2 is in the middle, cup 5 and pot 20 are high
    (
        "price_band_penetration",
        ["segment=hibernating"],
        [["high", 1, 2, 1.0, 10.0], ["middle", 1, 2, 1.0, 9.0], ["low", 1, 1, 0.5, 10.0]],
    ),
    ("price_band_penetration", [], []),
    # tea is bought again after 5 days, and ann's last one is 29 days old
    ("due_for_repurchase", ["user=ann", "late=6"], [["tea", "Black tea", 2, 29, 5.0, 5.8]]),
    ("due_for_repurchase", ["user=ann"], []),
    ("due_for_repurchase", ["user=bob", "late=6"], []),
]
NEO4J: list[tuple[str, list[str], list[list[Any]]]] = [
    (
        "shortest_path",
        ["product=cup", "other=green"],
        [
            [0, None, "Product", "cup", "Cup"],
            [1, "MADE_BY", "Brand", "Pot", "Pot"],
            [2, "MADE_BY", "Product", "green", "Green tea"],
        ],
    ),
    ("shortest_path", ["product=tea", "other=nothing"], []),
    ("similar_by_vector", ["product=tea"], []),
    ("order_rhythm", ["min_orders=2"], [["ann", 2, 5.0, 0.0], ["cat", 2, 1.0, 0.0]]),
    # the week from Monday, 30 October: 4 + 2; that from 6 November: 3; that from 4 December: 6 + 2
    (
        "weekly_trend",
        ["category=drinks"],
        [["2017-10-30", 2, 3, 6.0], ["2017-11-06", 1, 1, 3.0], ["2017-12-04", 1, 5, 8.0]],
    ),
]
PLAIN = Capabilities(vector_index=False, full_text=False, server_transactions=False, roles=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> GraphFiles:
    folder = tmp_path_factory.mktemp("query-shop")
    (folder / "source").mkdir()
    for table, text in SHOP.items():
        (folder / "source" / f"{table}.csv").write_text(text)
    settings = IngestSettings(labels=LabelSettings(min_repeats=1))
    build_tables(str(folder / "source"), folder / "tables", folder / "reports", settings=settings)
    return shape_graph(folder / "tables", folder / "graph", SilentProgress())


@pytest.fixture(scope="module")
def embedded(files: GraphFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(str(tmp_path_factory.mktemp("query-store") / "graph.lbug")) as store:
        store.load(files, SilentProgress())
        yield store


@pytest.fixture(scope="module")
def server(files: GraphFiles, neo4j_server: Any) -> Iterator[Store]:
    neo4j_server.empty()
    with open_store(neo4j_server.url) as store:
        store.load(files, SilentProgress())
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


@pytest.mark.neo4j
def test_search_on_neo4j(server: Store) -> None:
    found = run_query(server, "product_search", ["words=green tea"])
    assert [row[:3] for row in found.rows] == [
        ["green", "Green tea", "drinks > tea"],
        ["tea", "Black tea", "drinks > tea"],
    ]


def test_headers_are_complete() -> None:
    queries = list_queries()
    assert [query.name for query in queries] == query_names()
    assert len(set(query_names())) == len(queries)
    for query in queries:
        assert query.folder in FOLDERS
        assert query.title
        assert query.topic in TOPICS
        assert query.reads
        assert query.columns
        used = set(re.findall(r"\$(\w+)", query.cypher))
        assert used == {parameter.name for parameter in query.parameters}


def test_a_query_of_neo4j_says_what_it_needs(embedded: Store) -> None:
    with pytest.raises(GraphError, match="'product_search' needs a full-text index"):
        run_query(embedded, "product_search", [])
    with pytest.raises(GraphError, match="'weekly_trend' needs Neo4j's full Cypher"):
        run_query(embedded, "weekly_trend", [])


def test_a_graph_without_a_property_is_named(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "products.csv").write_text("product_id,title\np,x\n")
    build_tables(str(tmp_path / "source"), tmp_path / "tables", tmp_path / "reports")
    files = shape_graph(tmp_path / "tables", tmp_path / "graph", SilentProgress())
    with open_store(str(tmp_path / "graph.lbug")) as store:
        store.load(files, SilentProgress())
        with pytest.raises(GraphError, match=r"reads Product\.brand_kind, which this graph has not"):
            run_query(store, "private_label_share", [])
        assert run_query(store, "monthly_sales", []).rows == []


def test_unknown_query_names_its_neighbours() -> None:
    with pytest.raises(GraphError, match=r"no query 'category' .*did you mean category_affinity, category_brands"):
        load_query("category")
    with pytest.raises(GraphError, match="see shopgraph query --list"):
        load_query("zzz")


@pytest.mark.parametrize(
    ("name", "assignments", "message"),
    [
        ("best_sellers", ["month=may"], "'may' is no integer .*parameter month"),
        ("best_sellers", ["months=201701"], "unknown parameter 'months' .*it has month, k"),
        ("best_sellers", ["k=3", "k=4"], "'k' is given twice"),
        ("best_sellers", ["k"], "'k' is no parameter .*name=value"),
        ("monthly_sales", ["k=3"], "unknown parameter 'k' .*it has none"),
        ("repeat_buyers", [], "'product' is missing .*--param product="),
    ],
)
def test_wrong_parameters_are_named(name: str, assignments: list[str], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        load_query(name).bind(assignments)


def test_values_and_defaults() -> None:
    assert load_query("best_sellers").bind(["k= 3"]) == {"month": 201711, "k": 3}
    # ids are strings: leading zeros and signs of equality stay
    assert load_query("repeat_buyers").bind(["product=00=7"]) == {"product": "00=7", "k": 10}


def test_a_property_is_one_of_the_graph(embedded: Store) -> None:
    with pytest.raises(GraphError, match=r"User has no property 'shoe_size' .*parameter segment.*label_segment"):
        run_query(embedded, "category_penetration", ["segment=shoe_size"])
    with pytest.raises(GraphError, match="User has no property"):
        run_query(embedded, "category_penetration", ["segment=id`) DETACH DELETE u //"])


def test_a_header_says_what_is_wrong_with_it() -> None:
    good = "// title: a\n// topic: sales\n// column n: b\nRETURN 1 AS n"
    assert parse_query("x", "common", good).about == ""
    for wrong, message in [
        (good.replace("topic: sales", "topic: sails"), "one topic of sales"),
        (good.replace("// title: a\n", ""), "one title"),
        (good.replace("column n: b", "column n"), "is not `name: meaning`"),
        (good.replace("column n: b", "param n: text — b"), "is not `name: type = default — meaning`"),
        (good.replace("column n: b", "columns n: b"), "a header line is none of"),
    ]:
        with pytest.raises(ValueError, match=message):
            parse_query("x", "common", wrong)
