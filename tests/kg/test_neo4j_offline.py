from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import neo4j
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.progress import SilentProgress
from kg.errors import GraphError
from kg.neo4j_store import ledger
from kg.neo4j_store.import_marker import Marker, importing, read_marker, write_marker
from kg.neo4j_store.java import find_java, server_jars
from kg.neo4j_store.offline import import_offline
from kg.neo4j_store.offline_files import write_import_files
from kg.neo4j_store.process import importer_arguments
from kg.neo4j_store.server import ServerOptions, managed_options, start, status, stop
from kg.neo4j_store.store import Neo4jStore
from kg.shape import shape_graph
from kg.snapshot_read import read_snapshot
from kg.stores import GraphFiles, Store, open_store
from kg.stores import import_offline as into_store

PROGRESS = SilentProgress()


@pytest.fixture(scope="module")
def hard_graph(tmp_path_factory: pytest.TempPathFactory, write_tables: Callable[..., Path]) -> GraphFiles:
    """What a CSV file, a number or a time in text can get wrong."""
    texts = [
        "",
        " padded ",
        'all "of" it',
        "a,b;c\td",
        "line\r\nfeed\rreturn\n",
        "\\N",
        "\\",
        "'",
        '"',
        "北京 😀",
        "null",
    ]
    old = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    users = [
        {
            "user_id": f"u {text}".strip() if n % 2 else f"u{n}",
            "note": text,
            "words": [[], [""], ["", ""], [text], [text, "x", ""], None][n % 6],
            "score": [0.1, float("nan"), float("inf"), float("-inf"), -1.5e-300, None][n % 6],
            "point": [[0.1, -1e20, float("nan")], [], None][n % 3],
            "born": [old, old - timedelta(days=25_000, microseconds=1), datetime(1, 1, 2, tzinfo=UTC), None][n % 4],
            "big": [2**62, -(2**62), None][n % 3],
            "likes": [True, False, None][n % 3],
        }
        for n, text in enumerate(texts)
    ]
    events = [
        {
            "event_id": f"e{n}", "user_id": users[n % len(users)]["user_id"], "product_id": f"p,{n % 3}\"",
            "event": "view", "text": texts[n % len(texts)], "tags": [[""], [], ["a", ""], None][n % 4],
        }
        for n in range(40)
    ]  # fmt: skip
    extras = {
        "users": {
            "note": pa.string(), "words": pa.list_(pa.string()), "score": pa.float64(), "point": pa.list_(pa.float32()),
            "born": pa.timestamp("us", "UTC"), "big": pa.int64(), "likes": pa.bool_(),
        },
        "events": {"tags": pa.list_(pa.string())},
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("hard, with a comma")
    write_tables(folder / "tables", {"users": users, "events": events}, extras)
    return shape_graph(folder / "tables", folder / "graph", PROGRESS)


@pytest.fixture
def managed(empty_neo4j: Any) -> Iterator[Any]:
    if empty_neo4j.home is None:
        pytest.skip("the server is not ours: it cannot be stopped for an import")
    options = server_options(empty_neo4j.home)
    yield empty_neo4j
    if status() is None:
        start(PROGRESS, options)


def server_options(home: Path) -> ServerOptions:
    """With what the server runs, to start it again."""
    known = managed_options(home)
    return ServerOptions(**{field.name: known[field.name] for field in fields(ServerOptions)})


def content(store: Store) -> dict[str, Any]:
    """Everything that can be asked of the nodes and relationships, each with the types that the server names."""
    queries = {
        "nodes": "MATCH (n) WHERE NOT n:Batch RETURN labels(n) AS kind, n.id AS a, null AS b, properties(n) AS p, "
        "[k IN keys(n) | k + ' ' + valueType(n[k])] AS types",
        "edges": "MATCH (a)-[n]->(b) RETURN type(n) AS kind, a.id AS a, b.id AS b, properties(n) AS p, "
        "[k IN keys(n) | k + ' ' + valueType(n[k])] AS types",
    }
    found = {}
    for name, query in queries.items():
        answer = store.run(query, {}, max_rows=100_000)
        assert not answer.truncated
        found[name] = sorted(
            repr((kind, a, b, sorted(p.items()), sorted(types))) for kind, a, b, p, types in answer.rows
        )
    return found


@pytest.mark.neo4j
@pytest.mark.parametrize("name", ["rich_graph", "hard_graph"])
def test_an_import_equals_a_load_over_bolt(
    managed: Any, request: pytest.FixtureRequest, name: str, tmp_path: Path
) -> None:
    graph: GraphFiles = request.getfixturevalue(name)
    with open_store(managed.url) as store:
        store.load(graph, PROGRESS)
        wanted, loaded = content(store), read_snapshot(store, PROGRESS, everything=True)
    managed.empty()
    done = into_store(managed.url, graph, tmp_path / "a, b" / "import", PROGRESS)
    assert (done.loaded, done.command) == (True, None)
    assert not (tmp_path / "a, b" / "import").exists()
    with open_store(managed.url) as store:
        assert store.built() == graph.fingerprint
        for part, rows in content(store).items():
            assert sorted(set(rows) ^ set(wanted[part])) == []
            assert rows == wanted[part]
        assert read_snapshot(store, PROGRESS, everything=True).fingerprint == loaded.fingerprint
        assert store.load(graph, PROGRESS) is False
    assert into_store(managed.url, graph, tmp_path / "import", PROGRESS).loaded is False
    with neo4j.GraphDatabase.driver(managed.url, auth=(managed.username, managed.password)) as driver:
        rows = driver.execute_query("SHOW INDEXES YIELD name, state RETURN name, state").records
    assert {row["state"] for row in rows} == {"ONLINE"}
    names = {row["name"] for row in rows}
    assert {"shopgraph_user_id", "shopgraph_batch_id", "shopgraph_product_text", "shopgraph_order_day"} <= names


@pytest.mark.neo4j
@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE (:Employee {id: 'e'})", "1 nodes of labels that are none of shopgraph's"),
        ("CREATE ({id: 'e'})", "1 nodes of labels that are none of shopgraph's"),
        ("CREATE (:User {id: 'precious'})", "1 User nodes that shopgraph did not write"),
    ],
)
def test_an_import_refuses_what_is_not_ours(
    managed: Any, small_graph: GraphFiles, rich_graph: GraphFiles, tmp_path: Path, statement: str, message: str
) -> None:
    with open_store(managed.url) as store:
        store.load(small_graph, PROGRESS)
    with neo4j.GraphDatabase.driver(managed.url, auth=(managed.username, managed.password)) as driver:
        driver.execute_query(statement)
    before = status()
    with pytest.raises(GraphError, match=message):
        import_offline(managed.url, rich_graph, tmp_path / "import", PROGRESS)
    assert status() == before
    with open_store(managed.url) as store:
        assert store.built() == small_graph.fingerprint


_KILLED = """
import os, pickle, signal, sys, threading, time
from pathlib import Path
from ingest.progress import SilentProgress
from kg.neo4j_store import offline
url, folder, step = sys.argv[1:]
graph = pickle.loads(sys.stdin.buffer.read())
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if step == "during":
    log = offline.server_home().resolve() / "logs" / "import.log"
    log.unlink(missing_ok=True)
    def watch():
        while not (log.exists() and "Node import" in log.read_text()):
            time.sleep(0.005)
        die()
    threading.Thread(target=watch, daemon=True).start()
else:  # the importer has ended, the server has not been started
    offline.start = die
offline.import_offline(url, graph, Path(folder), SilentProgress())
"""


@pytest.mark.neo4j
@pytest.mark.parametrize("step", ["during", "after"])
def test_a_killed_import_is_simply_done_again(
    managed: Any, small_graph: GraphFiles, rich_graph: GraphFiles, tmp_path: Path, step: str
) -> None:
    with open_store(managed.url) as store:
        store.load(small_graph, PROGRESS)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, managed.url, str(tmp_path / "import"), step],
        input=pickle.dumps(rich_graph),
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    with open_store(str(tmp_path / "reference.lbug")) as reference:
        reference.load(rich_graph, PROGRESS)
        wanted = read_snapshot(reference, PROGRESS, everything=True).fingerprint
    assert import_offline(managed.url, rich_graph, tmp_path / "import", PROGRESS).loaded is True
    with open_store(managed.url) as store:
        assert store.built() == rich_graph.fingerprint
        assert read_snapshot(store, PROGRESS, everything=True).fingerprint == wanted
    assert read_marker(managed.home) is None


@pytest.mark.neo4j
def test_half_an_import_is_never_started(managed: Any, rich_graph: GraphFiles, tmp_path: Path) -> None:
    with open_store(managed.url) as store:
        store.load(rich_graph, PROGRESS)
    options = server_options(managed.home)
    stop()
    write_marker(managed.home, Marker(managed.url, asdict(options), half=True))
    (managed.home / "data" / "databases" / "neo4j" / "neostore.nodestore.db").unlink(missing_ok=True)
    with importing(managed.home), pytest.raises(GraphError, match="an offline import into this server is under way"):
        start(PROGRESS, options)
    start(PROGRESS, options)
    with open_store(managed.url) as store:
        assert store.built() is None
        assert set(store.counts().values()) == {0}
    assert read_marker(managed.home) is None


@pytest.mark.neo4j
def test_a_server_of_ones_own_is_told_the_command(
    managed: Any, rich_graph: GraphFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is run here as its reader would; the next load finishes what it began."""
    with monkeypatch.context() as patch:
        patch.setenv("NEO4J_PASSWORD", managed.password)
        patch.setenv("SHOPGRAPH_STATE", str(tmp_path / "elsewhere"))  # no server is managed there
        done = import_offline(managed.url, rich_graph, tmp_path / "import", PROGRESS)
    assert done.loaded is None
    assert done.command == f"cd {tmp_path / 'import'} && neo4j-admin database import full neo4j @import.args"
    options = server_options(managed.home)
    stop()
    words = done.command.partition("neo4j-admin ")[2].split()
    tool = [find_java(), "-cp", f"{server_jars(PROGRESS)}/*", *importer_arguments(managed.home), *words]
    environment = {**os.environ, "NEO4J_HOME": str(managed.home), "NEO4J_CONF": str(managed.home / "conf")}
    subprocess.run(tool, cwd=tmp_path / "import", env=environment, check=True, capture_output=True)
    start(PROGRESS, options)
    with Neo4jStore(managed.url) as store:
        assert store.built() is None
        with pytest.raises(GraphError, match="not loaded completely"):
            store.labels()
        writes: list[str] = []
        monkeypatch.setattr(ledger, "write", lambda *_: writes.append("written"))
        assert store.load(rich_graph, PROGRESS) is True
        assert not writes
        assert store.built() == rich_graph.fingerprint


@pytest.mark.neo4j
def test_an_import_with_wrong_counts_is_loaded_again(managed: Any, rich_graph: GraphFiles, tmp_path: Path) -> None:
    with neo4j.GraphDatabase.driver(managed.url, auth=(managed.username, managed.password)) as driver:
        node = ledger.build_node(rich_graph, ledger.IMPORTING)
        driver.execute_query("CREATE (b:Batch {id: 'build'}) SET b += $node CREATE (:User {id: 'half'})", node=node)
    with open_store(managed.url) as store, open_store(str(tmp_path / "reference.lbug")) as reference:
        assert store.load(rich_graph, PROGRESS) is True
        reference.load(rich_graph, PROGRESS)
        mine, theirs = (read_snapshot(s, PROGRESS, everything=True) for s in (store, reference))
        assert mine.fingerprint == theirs.fingerprint


def test_the_embedded_store_has_no_importer(small_graph: GraphFiles, tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"the embedded store is loaded from files anyway.*without --offline"):
        into_store(str(tmp_path / "graph.lbug"), small_graph, tmp_path / "import", PROGRESS)


def test_times_that_the_importer_cannot_read_are_named(write_tables: Callable[..., Path], tmp_path: Path) -> None:
    far = pa.scalar(300_000_000_000_000_000, pa.timestamp("us", "UTC"))
    tables = write_tables(tmp_path / "tables", {"users": [{"user_id": "u"}]})
    table = pa.table({"user_id": ["u"], "age": pa.array([None], pa.int64()), "until": pa.array([far])})
    pq.write_table(table, tables / "users.parquet")
    graph = shape_graph(tables, tmp_path / "graph", PROGRESS)
    with pytest.raises(GraphError, match=r"1 times in 'until' lie outside the years 0 to 9999.*without --offline"):
        write_import_files(graph, tmp_path / "import", PROGRESS)
    assert not list(tmp_path.glob("*import*"))


def test_a_killed_writing_leaves_nothing_for_the_next(small_graph: GraphFiles, tmp_path: Path) -> None:
    (tmp_path / ".import-killed").mkdir()
    (tmp_path / ".import-killed" / "User.csv").write_text("half")
    write_import_files(small_graph, tmp_path / "import", PROGRESS)
    assert [p.name for p in tmp_path.iterdir()] == ["import"]
    arguments = (tmp_path / "import" / "import.args").read_text().splitlines()
    assert "--nodes=User=User.header.csv,User.csv" in arguments
    assert not [a for a in arguments if "SAW" in a or "multiline" in a]
    assert (tmp_path / "import" / "User.csv").read_text() == '"u"\n'
    assert (tmp_path / "import" / "User.header.csv").read_text() == "id:ID(User)\n"
