from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import neo4j
import pytest

from ingest.progress import SilentProgress
from kg.errors import GraphError
from kg.neo4j_store import batches, ledger, load, writing
from kg.neo4j_store.store import Neo4jStore
from kg.schema import LABELS, LEDGER_LABELS
from kg.snapshot_read import read_snapshot
from kg.stores import GraphFiles, open_store

PROGRESS = SilentProgress()
pytestmark = pytest.mark.neo4j


@pytest.fixture
def session(empty_neo4j: Any) -> Iterator[neo4j.Session]:
    auth = (empty_neo4j.username, empty_neo4j.password)
    with neo4j.GraphDatabase.driver(empty_neo4j.url, auth=auth) as driver, driver.session() as opened:
        yield opened


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches small enough that the rich shop has dozens of them."""
    for module in (batches, ledger, load):
        monkeypatch.setattr(module, "BATCH_ROWS", 100)


def assert_holds(url: str, graph: GraphFiles, tmp_path: Any) -> None:
    """The server holds what a fresh embedded database of the same files holds."""
    with open_store(url) as store, open_store(str(tmp_path / "reference.lbug")) as reference:
        reference.load(graph, PROGRESS)
        mine, theirs = (read_snapshot(s, PROGRESS, everything=True) for s in (store, reference))
        assert mine.fingerprint == theirs.fingerprint
        assert store.built() == graph.fingerprint
        counts, wanted = store.counts(), reference.counts()
        assert {k: v for k, v in counts.items() if k not in LEDGER_LABELS} == {
            k: v for k, v in wanted.items() if k not in LEDGER_LABELS
        }


@pytest.mark.usefixtures("small_batches")
def test_an_interrupted_load_is_resumed(
    empty_neo4j: Any, rich_graph: GraphFiles, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = ledger.write

    def fail_after_twenty(tx: neo4j.ManagedTransaction, build: str, batch: batches.Batch) -> None:
        write(tx, build, batch)
        if len(written) == 20:
            raise KeyboardInterrupt  # after its rows were sent, before they are committed
        written.append(batch.id)

    with Neo4jStore(empty_neo4j.url) as store:
        monkeypatch.setattr(ledger, "write", fail_after_twenty)
        with pytest.raises(KeyboardInterrupt):
            store.load(rich_graph, PROGRESS)
        assert store.built() is None
        with pytest.raises(GraphError, match="not loaded completely"):
            store.labels()

        again: list[str] = []

        def note(tx: neo4j.ManagedTransaction, build: str, batch: batches.Batch) -> None:
            again.append(batch.id)
            write(tx, build, batch)

        monkeypatch.setattr(ledger, "write", note)
        assert store.load(rich_graph, PROGRESS)
    files = [*rich_graph.nodes, *rich_graph.edges]
    assert sorted([*written, *again]) == sorted(i for file in files for i in batches.batch_ids(file))
    assert_holds(empty_neo4j.url, rich_graph, tmp_path)


@pytest.mark.usefixtures("small_batches")
def test_a_killed_load_is_resumed(empty_neo4j: Any, rich_graph: GraphFiles, tmp_path: Any) -> None:
    code = """
import os, pickle, signal, sys
from ingest.progress import SilentProgress
from kg.neo4j_store import batches, ledger, load
from kg.stores import open_store
for module in (batches, ledger, load):
    module.BATCH_ROWS = 100
count, write = [0], ledger.write
def killing(tx, build, batch):
    write(tx, build, batch)
    count[0] += 1
    if count[0] == 15:
        os.kill(os.getpid(), signal.SIGKILL)
ledger.write = killing
open_store(sys.argv[1]).load(pickle.loads(sys.stdin.buffer.read()), SilentProgress())
"""
    environment = {**os.environ, "NEO4J_USERNAME": empty_neo4j.username, "NEO4J_PASSWORD": empty_neo4j.password}
    killed = subprocess.run(
        [sys.executable, "-c", code, empty_neo4j.url],
        input=pickle.dumps(rich_graph),
        env=environment,
        check=False,
    )
    assert killed.returncode == -9
    with Neo4jStore(empty_neo4j.url) as store:
        assert (
            store.counts()["Batch"] >= 1 + 14 - writing.WORKERS
        )  # the build's own, and those committed before the kill
        assert store.load(rich_graph, PROGRESS)
    assert_holds(empty_neo4j.url, rich_graph, tmp_path)


def test_batches_of_another_size_start_over(
    empty_neo4j: Any, rich_graph: GraphFiles, session: neo4j.Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "BATCH_ROWS", 7)
        session.execute_write(ledger.begin, rich_graph)
    session.run("CREATE (:User {id: 'of a batch of seven'})").consume()
    with Neo4jStore(empty_neo4j.url) as store:
        assert store.load(rich_graph, PROGRESS)
    assert_holds(empty_neo4j.url, rich_graph, tmp_path)


@pytest.mark.usefixtures("small_batches")
def test_a_commit_whose_answer_was_lost_is_not_written_twice(
    empty_neo4j: Any, rich_graph: GraphFiles, session: neo4j.Session, tmp_path: Any
) -> None:
    with Neo4jStore(empty_neo4j.url) as store:
        session.execute_write(ledger.begin, rich_graph)
        session.run("CREATE CONSTRAINT shopgraph_batch_id IF NOT EXISTS FOR (n:Batch) REQUIRE n.id IS UNIQUE").consume()
        user = next(n for n in rich_graph.nodes if n.label == "User")
        (batch,) = batches.node_batches(user, frozenset())
        assert writing.write_batch(store._driver, None, rich_graph.fingerprint, batch) == user.rows
        assert writing.write_batch(store._driver, None, rich_graph.fingerprint, batch) == user.rows
        assert store.counts()["User"] == user.rows
        assert store.load(rich_graph, PROGRESS)
    assert_holds(empty_neo4j.url, rich_graph, tmp_path)


@pytest.mark.parametrize("label", ["User", "Category", "Batch"])
def test_nodes_of_others_are_never_touched(
    empty_neo4j: Any, small_graph: GraphFiles, session: neo4j.Session, label: str
) -> None:
    session.run(f"CREATE (:`{label}` {{id: 'build', precious: true}})").consume()
    with (
        Neo4jStore(empty_neo4j.url) as store,
        pytest.raises(GraphError, match=f"1 {label} nodes that shopgraph did not"),
    ):
        store.load(small_graph, PROGRESS)
    assert session.run("MATCH (n) RETURN count(n) AS n").single(strict=True)["n"] == 1


def test_nodes_added_to_our_graph_by_others_are_not_deleted(
    empty_neo4j: Any, small_graph: GraphFiles, rich_graph: GraphFiles, session: neo4j.Session
) -> None:
    with Neo4jStore(empty_neo4j.url) as store:
        store.load(small_graph, PROGRESS)
        session.run("CREATE (:Product {id: 'precious'})").consume()
        with pytest.raises(GraphError, match="1 Product nodes that shopgraph did not write"):
            store.load(rich_graph, PROGRESS)
        assert store.built() == small_graph.fingerprint


def test_other_labels_are_left_alone(
    empty_neo4j: Any, small_graph: GraphFiles, rich_graph: GraphFiles, session: neo4j.Session
) -> None:
    session.run("CREATE (:Employee {id: 'e'})-[:MANAGES]->(:Shop {id: 's'})").consume()
    with Neo4jStore(empty_neo4j.url) as store:
        store.load(rich_graph, PROGRESS)
        store.load(small_graph, PROGRESS)
    found = session.run("MATCH (:Employee)-[r:MANAGES]->(:Shop) RETURN count(r) AS n").single(strict=True)
    assert found["n"] == 1


def test_an_interrupted_removal_is_finished_by_the_next_load(
    empty_neo4j: Any, small_graph: GraphFiles, rich_graph: GraphFiles, session: neo4j.Session, tmp_path: Any
) -> None:
    with Neo4jStore(empty_neo4j.url) as store:
        store.load(rich_graph, PROGRESS)
        session.execute_write(ledger.set_state, "deleting")
        session.run("MATCH (u:User) WITH u LIMIT 7 DETACH DELETE u").consume()
        assert store.built() is None
        assert store.load(small_graph, PROGRESS)
    assert_holds(empty_neo4j.url, small_graph, tmp_path)


def test_a_relationship_without_its_ends_is_noticed(empty_neo4j: Any, small_graph: GraphFiles) -> None:
    nodes = tuple(replace(n, rows=0) if n.label == "Order" else n for n in small_graph.nodes)
    with Neo4jStore(empty_neo4j.url) as store, pytest.raises(GraphError, match="1 of 1 rows did not find both"):
        store.load(replace(small_graph, nodes=nodes), PROGRESS)


def test_every_label_has_a_unique_id(empty_neo4j: Any, small_graph: GraphFiles, session: neo4j.Session) -> None:
    with Neo4jStore(empty_neo4j.url) as store:
        store.load(small_graph, PROGRESS)
    found = session.run("SHOW CONSTRAINTS YIELD type, labelsOrTypes, properties RETURN *")
    unique = {r["labelsOrTypes"][0] for r in found if (r["type"], r["properties"]) == ("UNIQUENESS", ["id"])}
    assert unique == set(LABELS)
    found = session.run("SHOW INDEXES YIELD name, state RETURN *")
    assert {r["state"] for r in found} == {"ONLINE"}


def test_product_titles_can_be_searched(empty_neo4j: Any, rich_graph: GraphFiles) -> None:
    with Neo4jStore(empty_neo4j.url) as store:
        store.load(rich_graph, PROGRESS)
        query = (
            "CALL db.index.fulltext.queryNodes('shopgraph_product_text', $words) YIELD node "
            "RETURN node.title AS title ORDER BY title LIMIT 1"
        )
        assert store.run(query, {"words": "Käse"}).rows == [["Käse 1"]]


def test_a_wrong_password_is_one_line(
    empty_neo4j: Any, small_graph: GraphFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_USERNAME", "nobody")
    monkeypatch.setenv("NEO4J_PASSWORD", "not-the-password")
    with pytest.raises(GraphError, match=r"wrong password for user 'nobody'.*NEO4J_PASSWORD") as caught:
        open_store(empty_neo4j.url)
    assert "not-the-password" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_password_the_login_is_asked_for(
    empty_neo4j: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("SHOPGRAPH_STATE", str(tmp_path))
    monkeypatch.delenv("NEO4J_PASSWORD", raising=False)
    with pytest.raises(GraphError, match=r"wants a password.*NEO4J_USERNAME"):
        open_store(empty_neo4j.url)


def test_a_missing_database_is_named(empty_neo4j: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEO4J_DATABASE", "elsewhere")
    with pytest.raises(GraphError, match=r"there is no database 'elsewhere'.*NEO4J_DATABASE"):
        open_store(empty_neo4j.url)
