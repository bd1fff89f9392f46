"""A shop of three channels from its tables to the graph: one user, with the events of every account."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ingest.build import build_tables
from ingest.linkage.settings import LinkSettings
from ingest.progress import SilentProgress
from ingest.settings import IngestSettings
from kg.shape import shape_graph
from kg.stores import GraphFiles

ACCOUNTS = """account_id,channel,user_id,loyalty_id,email,phone
w1,web,,,ann@x.org,
a1,app,,,Ann@X.org,
s1,store,,C-77,,020 7946 0958
s2,store,,c77,,
w2,web,u9,,bob@x.org,
a2,app,,,bob@x.org,
"""
EVENTS = """account_id,user_id,product_id,event,channel
w1,,p1,view,
a1,,p1,cart,
a1,,p2,view,tablet
s1,,p1,purchase,
s2,,p2,purchase,
a2,,p2,purchase,
loose,,p1,view,
"""


def shaped(tmp_path: Path, decisions: str = "") -> GraphFiles:
    source = tmp_path / "source"
    source.mkdir(exist_ok=True)
    (source / "accounts.csv").write_text(ACCOUNTS)
    (source / "events.csv").write_text(EVENTS)
    if decisions:
        (source / "decisions.csv").write_text(f"account_a,account_b,same\n{decisions}\n")
    settings = IngestSettings(link=LinkSettings(probabilistic=False))
    as_of = datetime(2024, 1, 1, tzinfo=UTC)
    build_tables(str(source), tmp_path / "tables", tmp_path / "reports", as_of=as_of, settings=settings)
    return shape_graph(tmp_path / "tables", tmp_path / "graph", SilentProgress())


def edges(graph: GraphFiles, name: str, *columns: str) -> list[tuple[Any, ...]]:
    rows = [r for e in graph.edges if e.type == name for r in pq.read_table(e.path).to_pylist()]
    return sorted(tuple(r[c] for c in columns) for r in rows)


def nodes(graph: GraphFiles, label: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [r for n in graph.nodes if n.label == label for r in pq.read_table(n.path).to_pylist()]
    return rows


def test_the_events_of_all_accounts_are_the_users(tmp_path: Path) -> None:
    graph = shaped(tmp_path)
    assert edges(graph, "BELONGS_TO", "source", "target", "method", "confidence") == [
        ("a1", "a1", "own", 1.0), ("a2", "u9", "email", 1.0), ("loose", "loose", "own", 1.0), ("s1", "s1", "own", 1.0),
        ("s2", "s1", "loyalty", 1.0), ("w1", "a1", "email", 1.0), ("w2", "u9", "given", 1.0),
    ]  # fmt: skip
    assert [n["id"] for n in nodes(graph, "User")] == ["a1", "loose", "s1", "u9"]
    assert {n["id"]: n["channel"] for n in nodes(graph, "Account")} == {
        "a1": "app", "a2": "app", "loose": None, "s1": "store", "s2": "store", "w1": "web", "w2": "web",
    }  # fmt: skip
    columns = ("source", "target", "account_id", "channel")
    assert edges(graph, "VIEWED", *columns[:3]) == [("a1", "p1", "w1"), ("a1", "p2", "a1"), ("loose", "p1", "loose")]
    assert edges(graph, "VIEWED", *columns)[:2] == [("a1", "p1", "w1", "web"), ("a1", "p2", "a1", "tablet")]
    assert edges(graph, "CARTED", *columns) == [("a1", "p1", "a1", "app")]
    assert edges(graph, "PURCHASED", *columns) == [
        ("s1", "p1", "s1", "store"), ("s1", "p2", "s2", "store"), ("u9", "p2", "a2", "app"),
    ]  # fmt: skip


def test_a_decision_changes_the_graph(tmp_path: Path) -> None:
    before = shaped(tmp_path)
    after = shaped(tmp_path, "w1,a1,false\ns1,a1,true")
    assert before.fingerprint != after.fingerprint
    assert edges(after, "BELONGS_TO", "source", "target", "method")[:1] == [("a1", "a1", "own")]
    assert ("s1", "a1", "decision") in edges(after, "BELONGS_TO", "source", "target", "method")
    assert ("w1", "w1", "own") in edges(after, "BELONGS_TO", "source", "target", "method")
    assert edges(after, "PURCHASED", "source", "target") == [("a1", "p1"), ("a1", "p2"), ("u9", "p2")]


def test_without_account_users_the_accounts_speak_for_themselves(tmp_path: Path) -> None:
    shaped(tmp_path)
    (tmp_path / "tables" / "account_users.parquet").unlink()
    graph = shape_graph(tmp_path / "tables", tmp_path / "graph", SilentProgress())
    assert edges(graph, "BELONGS_TO", "source", "target", "method") == [("w2", "u9", "given")]
