from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.contract import TABLES, Kind
from ingest.progress import SilentProgress
from kg.query_library import load_query, run_query
from kg.shape import shape_graph
from kg.stores import GraphFiles, Store, open_store

Rows = Sequence[Mapping[str, Any]]
ARROW_TYPE = {
    Kind.ID: pa.string(),
    Kind.TEXT: pa.string(),
    Kind.FLOAT: pa.float64(),
    Kind.INTEGER: pa.int64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.TIME: pa.timestamp("us", "UTC"),
}
WriteTables = Callable[..., Path]


def _write(folder: Path, tables: Mapping[str, Rows], extras: Mapping[str, Mapping[str, pa.DataType]]) -> Path:
    """Clean tables as ingest writes them: contract columns in their types, then extra ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        fields = [(column.name, ARROW_TYPE[column.kind]) for column in TABLES[name].columns]
        fields += list(extras.get(name, {}).items())
        pq.write_table(pa.Table.from_pylist([dict(r) for r in rows], pa.schema(fields)), folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="session")
def write_tables() -> WriteTables:
    """`write_tables(folder, {table: rows}, {table: {extra column: type}})`; columns that a row leaves out are null."""

    def write(
        folder: Path, tables: Mapping[str, Rows], extras: Mapping[str, Mapping[str, pa.DataType]] | None = None
    ) -> Path:
        return _write(folder, tables, extras or {})

    return write


def at(day: int, hour: int = 0, micros: int = 0) -> datetime:
    return datetime(2024, 1, 1, hour, tzinfo=UTC) + timedelta(days=day, microseconds=micros)


def _rich_shop() -> tuple[dict[str, Rows], dict[str, dict[str, pa.DataType]]]:
    """A shop in which every label and every type that a build makes occurs, with what is hard to carry over."""
    draw = random.Random(3)
    words = ["Tee", "Käse", "北京", "naïve 'quote'", 'double "quote"', "back\\slash", "tab\there", "😀", "", "`tick`"]
    products: list[dict[str, Any]] = [
        {
            "product_id": f"p{n:03d}",
            "title": None if n % 11 == 0 else f"{words[n % len(words)]} {n}",
            "description": "line one\nline two" if n % 5 == 0 else None,
            "brand": None if n % 7 == 0 else f"Brand {words[n % 4]}",
            "category": None if n % 9 == 0 else f"food > drinks > {words[n % 3]}; gifts",
            "price": None if n % 6 == 0 else draw.random() * 100,
            "stock": float(n),
            "parent_id": f"p{n - 1:03d}" if n % 8 == 1 else None,
            "recommendable": n % 10 != 3,
            "available_from": at(n, micros=n) if n % 2 else None,
            "organic": None if n % 4 == 0 else n % 3 == 0,
            "weight": n,
            "tags": [None, [], [words[n % 10]], [words[n % 10], None, "x"]][n % 4],
            "picture": [0.1 * n, -1.5] if n % 3 else None,
        }
        for n in range(120)
    ]
    users = [{"user_id": f"u{n:02d}", "age": n if n % 3 else None, "joined": at(-n)} for n in range(40)]
    kinds = ["impression", "click", "view", "cart", "purchase", "review", "wishlist", "return", "search"]
    events: list[dict[str, Any]] = [
        {
            "event_id": f"e{n:05d}",
            "user_id": f"u{draw.randrange(45):02d}",
            "product_id": f"p{draw.randrange(120):03d}",
            "event": kinds[n % 9] if n % 3 else "purchase",
            "time": None if n % 50 == 0 else at(draw.randrange(90), draw.randrange(24), draw.randrange(10**6)),
            "sequence": n if n % 2 else None,
            "quantity": float(draw.randrange(1, 5)) if n % 4 else None,
            "price": draw.random() * 10 if n % 5 else None,
            "rating": float(n % 5) if n % 9 == 5 else None,
            "text": words[n % len(words)] if n % 9 == 5 else None,
            "channel": ["web", "store", None][n % 3],
            "store": f"s{n % 4}",
            "order_id": f"o{n // 4}" if n % 10 else None,
            "account_id": f"a{n % 5}" if n % 6 == 0 else None,
            "split": ["train", "valid", "test"][n % 3],
            "discount": draw.random() if n % 2 else None,
            "week": n % 53,
        }
        for n in range(2500)
    ]
    # the same product twice in one order, and the very same sale under another id
    events += [dict(events[3], event_id=f"twin{n}") for n in range(3)]
    tables: dict[str, Rows] = {
        "products": products,
        "users": users,
        "events": events,
        "triples": [
            {"head": "p001", "relation": "goes_with", "tail": "p002", "time": at(1)},
            {"head": "p001", "relation": "goes_with", "tail": "p002", "time": at(1), "weight": 0.5},
            *(
                {"head": "p001", "relation": "origin", "tail": "Ceylon", "tail_type": "country", "seen_in": seen}
                for seen in (["b", "a"], None, ["a"], [], ["a", "b"])
            ),
            {"head": "Ceylon", "head_type": "country", "relation": "exports", "tail": "p003"},
            {"head": "Ceylon", "head_type": "country", "relation": "near", "tail": "India"},
            {"head": "p004", "head_type": "artist", "relation": "sings", "tail": "p005", "tail_type": "Product"},
        ],
        "campaigns": [
            {"campaign_id": "c1", "start_time": at(-30_000), "end_time": at(3), "kind": "mail"},
            {"campaign_id": "c1", "user_id": "u01"},
            {"campaign_id": "c2", "user_id": "u02", "start_time": at(5), "kind": "sms"},
        ],
        "coupons": [
            {"coupon_id": "k1", "product_id": "p001", "campaign_id": "c1"},
            {"coupon_id": "k1", "product_id": "p002", "campaign_id": "c1"},
            {"coupon_id": "k1", "product_id": "p001", "campaign_id": "c3"},
            {"coupon_id": "k2", "product_id": "p009"},
        ],
        "redemptions": [
            {"user_id": "u01", "coupon_id": "k1", "campaign_id": "c1", "time": at(2)},
            {"user_id": "u01", "coupon_id": "k1", "campaign_id": "c1", "time": at(2)},
            {"user_id": "u99", "coupon_id": "k9"},
        ],
        "accounts": [
            {"account_id": "a1", "channel": "web", "user_id": "u01", "email": "x@example.org"},
            {"account_id": "a9", "channel": "app"},
        ],
    }
    extras = {
        "products": {
            "organic": pa.bool_(),
            "weight": pa.int64(),
            "tags": pa.list_(pa.string()),
            "picture": pa.list_(pa.float32()),
        },
        "users": {"age": pa.int64(), "joined": pa.timestamp("us", "UTC")},
        "events": {"discount": pa.float64(), "week": pa.int64(), "never": pa.string()},
        "campaigns": {"kind": pa.string()},
        "triples": {"weight": pa.float64(), "seen_in": pa.list_(pa.string())},
    }
    return tables, extras


@pytest.fixture(scope="session")
def rich_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("rich") / "tables", *_rich_shop())


@pytest.fixture(scope="session")
def rich_graph(rich_tables: Path) -> GraphFiles:
    return shape_graph(rich_tables, rich_tables.parent / "graph", SilentProgress())


@pytest.fixture(scope="session")
def small_graph(tmp_path_factory: pytest.TempPathFactory) -> GraphFiles:
    folder = tmp_path_factory.mktemp("small")
    events = [{"event_id": "1", "user_id": "u", "product_id": "p", "event": "purchase", "order_id": "o", "time": at(0)}]
    _write(folder / "tables", {"events": events}, {})
    return shape_graph(folder / "tables", folder / "graph", SilentProgress())


@pytest.fixture(params=["ladybug", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty store of each kind."""
    yield str(tmp_path / "graph.lbug") if request.param == "ladybug" else request.getfixturevalue("empty_neo4j").url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with open_store(store_url) as opened:
        yield opened


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class WrittenBack:
    """What a training run writes into the graph: maps of properties.

    Attributes:
        runs: of Run nodes.
        recommended: of RECOMMENDED, with `user` and `product`.
        similar: of SIMILAR, with `product` and `other`.
    """

    runs: Rows = ()
    recommended: Rows = ()
    similar: Rows = ()


WriteBack = Callable[[str, WrittenBack], None]
_RUN = ("id", "current", "created", "model", "version", "config", "metrics", "cutoff")
_RECOMMENDED = ("run", "rank", "score", "reason_kind", "reason", "evidence")
_SIMILAR = ("run", "rank", "score")


def _written(written: WrittenBack) -> Iterator[tuple[str, Mapping[str, Any]]]:
    def maps(names: Sequence[str]) -> str:
        return ", ".join(f"{name}: ${name}" for name in names)

    pair = "MATCH (a:{} {{id: ${}}}), (b:Product {{id: ${}}}) CREATE (a)-[:{} {{{}}}]->(b)"
    for row in written.runs:
        yield f"CREATE (:Run {{{maps(_RUN)}}})", row
    for row in written.recommended:
        yield pair.format("User", "user", "product", "RECOMMENDED", maps(_RECOMMENDED)), row
    for row in written.similar:
        yield pair.format("Product", "product", "other", "SIMILAR", maps(_SIMILAR)), row


def _into_ladybug(path: str, written: WrittenBack) -> None:
    import ladybug

    with ladybug.Database(path, max_db_size=1 << 32) as database, ladybug.Connection(database) as connection:
        for cypher, row in _written(written):
            connection.execute(cypher, dict(row))


@pytest.fixture(scope="session")
def into_ladybug() -> WriteBack:
    """`into_ladybug(path, written)`; no store may have the file open."""
    return _into_ladybug


@pytest.fixture(scope="session")
def into_neo4j(neo4j_server: Any) -> WriteBack:
    """`into_neo4j(url, written)`, with the credentials of the tests' server."""

    def write(url: str, written: WrittenBack) -> None:
        from neo4j import GraphDatabase

        with GraphDatabase.driver(url, auth=(neo4j_server.username, neo4j_server.password)) as driver:
            for cypher, row in _written(written):
                driver.execute_query(cypher, dict(row))

    return write


@pytest.fixture(scope="session")
def written_back() -> type[WrittenBack]:
    return WrittenBack


def _answers(store: Store, name: str, assignments: list[str], expected: list[list[Any]]) -> None:
    found = run_query(store, name, assignments)
    query = load_query(name)
    assert found.columns == [column.name for column in query.columns]
    rows = sorted(found.rows) if "UNION ALL" in query.cypher else found.rows  # which promises no order
    assert len(rows) == len(expected), rows
    for row, wanted in zip(rows, expected, strict=True):
        assert row == [pytest.approx(value) if isinstance(value, float) else value for value in wanted]


@pytest.fixture(scope="session")
def answers() -> Callable[[Store, str, list[str], list[list[Any]]], None]:
    """`answers(store, name, assignments, expected)`: the query of the library gives just these rows and its columns."""
    return _answers
