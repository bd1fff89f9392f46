from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.progress import SilentProgress
from kg.errors import GraphError
from kg.schema import EVENT_PROPERTIES, LABELS, RELATIONSHIPS
from kg.shape import shape_graph
from kg.stores import GraphFiles

PROGRESS = SilentProgress()


def shaped(write_tables: Any, folder: Path, tables: dict[str, Any], extras: Any = None) -> GraphFiles:
    return shape_graph(write_tables(folder / "tables", tables, extras), folder / "graph", PROGRESS)


def nodes(graph: GraphFiles, label: str) -> list[dict[str, Any]]:
    file = next(n for n in graph.nodes if n.label == label)
    return _present(file.path)


def edges(graph: GraphFiles, name: str, target: str | None = None) -> list[dict[str, Any]]:
    files = [e for e in graph.edges if e.type == name and target in {None, e.target}]
    return [row for file in files for row in _present(file.path)]


def _present(path: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if v is not None} for row in pq.read_table(path).to_pylist()]


def pairs(graph: GraphFiles, name: str) -> list[tuple[str, str]]:
    return [(row["source"], row["target"]) for row in edges(graph, name)]


def test_categories_are_paths_and_a_product_hangs_at_its_deepest(write_tables: Any, tmp_path: Path) -> None:
    graph = shaped(
        write_tables,
        tmp_path,
        {
            "products": [
                {"product_id": "a", "category": "food > tea > green; gifts"},
                {"product_id": "b", "category": "food > tea;food > tea > black"},
                {"product_id": "c", "category": " food >  > tea ;; "},
                {"product_id": "d"},
            ]
        },
    )
    assert nodes(graph, "Category") == [
        {"id": "food", "name": "food", "level": 1},
        {"id": "food > tea", "name": "tea", "level": 2},
        {"id": "food > tea > black", "name": "black", "level": 3},
        {"id": "food > tea > green", "name": "green", "level": 3},
        {"id": "gifts", "name": "gifts", "level": 1},
    ]
    assert pairs(graph, "IN_CATEGORY") == [
        ("a", "food > tea > green"),
        ("a", "gifts"),
        ("b", "food > tea > black"),
        ("c", "food > tea"),
    ]
    assert pairs(graph, "CHILD_OF") == [
        ("food > tea", "food"),
        ("food > tea > black", "food > tea"),
        ("food > tea > green", "food > tea"),
    ]


def test_orders_begin_with_their_first_line_and_sum_their_products(write_tables: Any, tmp_path: Path) -> None:
    def line(n: int, product: str, hour: int, quantity: float | None, price: float | None, user: str = "u") -> Any:
        time = datetime(2024, 2, 29, hour, tzinfo=UTC)
        return {
            "event_id": str(n), "user_id": user, "product_id": product, "event": "purchase", "time": time,
            "quantity": quantity, "price": price, "order_id": "o1", "store": "s", "channel": "web",
        }  # fmt: skip

    events = [
        line(1, "p", 9, 2.0, 3.0),
        line(2, "p", 8, 1.0, 6.0, user="v"),
        line(3, "q", 10, None, 5.0),
        line(4, "r", 10, 2.0, None),
        dict(line(5, "r", 7, 1.0, 1.0), event="view"),  # not a purchase
        dict(line(6, "r", 7, 1.0, 1.0), order_id=None),
    ]
    graph = shaped(write_tables, tmp_path, {"events": events})
    day = (datetime(2024, 2, 29) - datetime(1970, 1, 1)).days
    assert nodes(graph, "Order") == [
        {"id": "o1", "at": datetime(2024, 2, 29, 8, tzinfo=UTC), "day": day, "month": 202402, "channel": "web",
         "store": "s"}
    ]  # fmt: skip
    assert pairs(graph, "PLACED") == [("u", "o1"), ("v", "o1")]
    assert edges(graph, "CONTAINS") == [
        {"source": "o1", "target": "p", "quantity": 3, "price": (2 * 3.0 + 6.0) / 3},
        {"source": "o1", "target": "q", "quantity": 1, "price": 5.0},
        {"source": "o1", "target": "r", "quantity": 2},
    ]
    assert len(edges(graph, "PURCHASED")) == 5
    assert len(edges(graph, "VIEWED")) == 1


def test_an_event_keeps_its_properties_and_extra_columns(write_tables: Any, tmp_path: Path) -> None:
    time = datetime(2024, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    event = {
        "event_id": "e", "user_id": "u", "product_id": "p", "event": "review", "time": time, "sequence": 7,
        "quantity": 2.0, "price": 1.5, "rating": 4.5, "text": "ok", "channel": "web", "store": "s", "order_id": "o",
        "session_id": "x", "list_id": "l", "slot": 3, "propensity": 0.25, "account_id": "a", "split": "test",
        "discount": 0.1, "gift": True, "shipped": time,
    }  # fmt: skip
    extras = {"events": {"discount": pa.float32(), "gift": pa.bool_(), "shipped": pa.timestamp("ms")}}
    graph = shaped(write_tables, tmp_path, {"events": [event]}, extras)
    (row,) = edges(graph, "REVIEWED")
    assert row.pop("discount") == pytest.approx(0.1)
    assert row.pop("shipped") == time.replace(microsecond=999_000)
    assert row.pop("gift") is True
    assert (row.pop("source"), row.pop("target"), row.pop("id"), row.pop("at")) == ("u", "p", "e", time)
    assert (row.pop("day"), row.pop("month")) == (20088, 202412)
    assert row.pop("quantity") == 2
    assert row == {k: event[k] for k in row}
    assert set(row) == set(EVENT_PROPERTIES) - {"id", "at", "day", "month", "quantity"}
    assert nodes(graph, "Account") == [{"id": "a"}]


def test_days_before_1970_count_down(write_tables: Any, tmp_path: Path) -> None:
    time = datetime(1969, 12, 31, 23, tzinfo=UTC)
    graph = shaped(write_tables, tmp_path, {"redemptions": [{"user_id": "u", "coupon_id": "k", "time": time}]})
    (row,) = edges(graph, "REDEEMED")
    assert (row["day"], row["month"]) == (-1, 196912)


def test_who_is_only_named_is_created(write_tables: Any, tmp_path: Path) -> None:
    graph = shaped(
        write_tables,
        tmp_path,
        {
            "products": [{"product_id": "p", "recommendable": False, "parent_id": "family"}],
            "users": [{"user_id": "known"}],
            "events": [
                {"event_id": "1", "user_id": "buyer", "product_id": "q", "event": "cart"},
                {"event_id": "2", "user_id": "searcher", "event": "search", "query": "tea"},
            ],
            "campaigns": [{"campaign_id": "c", "user_id": "target"}],
            "redemptions": [{"user_id": "redeemer", "coupon_id": "k", "campaign_id": "d"}],
            "accounts": [{"account_id": "a", "user_id": "owner"}],
        },
    )
    assert [n["id"] for n in nodes(graph, "User")] == ["buyer", "known", "owner", "redeemer", "searcher", "target"]
    recommendable = {n["id"]: n["recommendable"] for n in nodes(graph, "Product")}
    # the parent groups variants, and is nothing that could be sold
    assert recommendable == {"p": False, "q": True, "family": False}
    assert pairs(graph, "VARIANT_OF") == [("p", "family")]
    assert [n["id"] for n in nodes(graph, "Campaign")] == ["c", "d"]
    assert [n["id"] for n in nodes(graph, "Coupon")] == ["k"]
    assert edges(graph, "BELONGS_TO") == [{"source": "a", "target": "owner", "confidence": 1.0, "method": "given"}]


def test_a_campaign_is_described_by_its_rows_without_user(write_tables: Any, tmp_path: Path) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [
        {"campaign_id": "c", "user_id": "u", "kind": "zzz"},
        {"campaign_id": "c", "start_time": start, "kind": "mail"},
        {"campaign_id": "d", "user_id": "u", "kind": "sms"},
    ]
    graph = shaped(write_tables, tmp_path, {"campaigns": rows}, {"campaigns": {"kind": pa.string()}})
    assert nodes(graph, "Campaign") == [{"id": "c", "start_time": start, "kind": "mail"}, {"id": "d", "kind": "sms"}]
    assert pairs(graph, "TARGETED_BY") == [("u", "c"), ("u", "d")]


def test_ends_of_triples_are_products_unless_their_type_says_otherwise(write_tables: Any, tmp_path: Path) -> None:
    def triple(head: str, tail: str, head_type: str | None = None, tail_type: str | None = None) -> dict[str, Any]:
        return {"head": head, "relation": "r", "tail": tail, "head_type": head_type, "tail_type": tail_type}

    graph = shaped(
        write_tables,
        tmp_path,
        {
            "products": [{"product_id": "p"}, {"product_id": "q"}],
            "triples": [
                triple("p", "q"),
                triple("p", "x"),
                triple("x", "q", tail_type="Product"),
                triple("p", "y", head_type="artist", tail_type="product"),
            ],
        },
    )
    related = {(e.source, e.target): _present(e.path) for e in graph.edges if e.type == "RELATED"}
    found = {pair: [(r["source"], r["target"]) for r in rows] for pair, rows in related.items()}
    assert found == {
        ("Product", "Product"): [("p", "q")],
        ("Product", "Entity"): [("p", "x")],
        ("Entity", "Product"): [("x", "q")],
        ("Entity", "Entity"): [("p", "y")],
    }
    assert nodes(graph, "Entity") == [{"id": "p", "type": "artist"}, {"id": "x"}, {"id": "y", "type": "product"}]


def test_every_label_type_and_property_has_a_file(small_graph: GraphFiles) -> None:
    assert {n.label for n in small_graph.nodes} == set(LABELS)
    keys = {(e.source, e.type, e.target) for e in small_graph.edges}
    assert keys == {(s, r.name, t) for r in RELATIONSHIPS.values() for s, t in r.endpoints}
    for node in small_graph.nodes:
        assert pq.read_schema(node.path).names == ["id", *LABELS[node.label].properties]
        assert dict(node.properties) == LABELS[node.label].properties
    for edge in small_graph.edges:
        assert pq.read_schema(edge.path).names == ["source", "target", *RELATIONSHIPS[edge.type].properties]
    assert small_graph.rows == 3 + 3  # user, product, order; purchased, placed, contains


def test_files_are_sorted(rich_graph: GraphFiles) -> None:
    last = datetime.max.replace(tzinfo=UTC)
    for node in rich_graph.nodes:
        ids = pq.read_table(node.path)["id"].to_pylist()
        assert ids == sorted(set(ids))
        assert len(ids) == node.rows
    for edge in rich_graph.edges:
        rows = pq.read_table(edge.path).to_pylist()
        keys = [(r["source"], r["target"], r.get("at") or last, r.get("id", "")) for r in rows]
        assert keys == sorted(keys)
        assert len(rows) == edge.rows


def test_the_same_tables_give_the_same_files(rich_tables: Path, rich_graph: GraphFiles, tmp_path: Path) -> None:
    again = shape_graph(rich_tables, tmp_path / "again", PROGRESS)
    assert again.fingerprint == rich_graph.fingerprint
    for one, other in zip(rich_graph.edges, again.edges, strict=True):
        assert pq.read_table(one.path).equals(pq.read_table(other.path))


def test_unchanged_tables_are_not_shaped_again(write_tables: Any, tmp_path: Path) -> None:
    tables = {"products": [{"product_id": "a", "title": "A"}]}
    first = shaped(write_tables, tmp_path, tables)
    stamps = {n.path: n.path.stat().st_mtime_ns for n in first.nodes}
    second = shape_graph(tmp_path / "tables", tmp_path / "graph", PROGRESS)
    assert second == first
    assert {n.path: n.path.stat().st_mtime_ns for n in second.nodes} == stamps
    changed = shaped(write_tables, tmp_path, {"products": [{"product_id": "a", "title": "B"}]})
    assert changed.fingerprint != first.fingerprint
    assert nodes(changed, "Product")[0]["title"] == "B"


def test_leftovers_of_a_killed_build_are_removed(write_tables: Any, tmp_path: Path) -> None:
    (tmp_path / ".graph-killed").mkdir()
    shaped(write_tables, tmp_path, {"products": [{"product_id": "a"}]})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["graph", "tables"]


def test_no_tables_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match="no clean tables"):
        shape_graph(tmp_path, tmp_path / "graph", PROGRESS)


def test_a_truncated_table_is_named(write_tables: Any, tmp_path: Path) -> None:
    folder = write_tables(tmp_path / "tables", {"products": [{"product_id": "a"}]})
    path = folder / "products.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(GraphError, match=r"products\.parquet"):
        shape_graph(folder, tmp_path / "graph", PROGRESS)
    assert not (tmp_path / "graph").exists()


@pytest.mark.parametrize("column", ["Bad Name", "id", "at", "x`]->() DETACH DELETE n //"])
def test_a_column_that_cannot_be_a_property_is_refused(write_tables: Any, tmp_path: Path, column: str) -> None:
    rows = {"users": [{"user_id": "u", column: "v"}]}
    with pytest.raises(GraphError, match="cannot be a property"):
        shaped(write_tables, tmp_path, rows, {"users": {column: pa.string()}})
