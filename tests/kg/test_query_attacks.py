"""What the guard is for: statements that do harm where nothing stops them, and do none through it, on both stores.

Each attack is run twice: as it is, on a database that may be harmed, to see that it does harm; and through the guard.
"""

from __future__ import annotations

import json
import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import ladybug
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from neo4j import READ_ACCESS, WRITE_ACCESS, GraphDatabase, Session
from neo4j.exceptions import Neo4jError

from ingest.progress import SilentProgress
from kg.errors import GraphError
from kg.query_guard import check_query
from kg.stores import GraphFiles, Store, open_store


@contextmanager
def listener() -> Iterator[tuple[str, list[str]]]:
    """A loopback URL and the requests that arrive there."""
    arrived: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            arrived.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"stolen\n")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/x.csv", arrived
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Raw:
    """A small embedded database that may be harmed, in a folder that shows files that appear."""

    def __init__(self, path: Path) -> None:
        self.folder = path.parent
        self.database = ladybug.Database(path, buffer_pool_size=1 << 28, max_db_size=1 << 32)
        self.connection = ladybug.Connection(self.database)

    def run(self, cypher: str) -> None:
        self.connection.set_query_timeout(2_000)
        results = self.connection.execute(cypher)
        for result in results if isinstance(results, list) else [results]:
            result.close()

    def state(self) -> tuple[Any, ...]:
        """Counts of the graph, its tables, and the files beside it."""
        counts = []
        for cypher in (
            "MATCH (n) RETURN count(n), min(n.id)",
            "MATCH ()-[r]->() RETURN count(r)",
            "MATCH (:User)-[r:PURCHASED]->(:Product) RETURN sum(r.quantity)",
        ):
            result = self.connection.execute(cypher)
            assert not isinstance(result, list)
            counts.append(result.get_next())
            result.close()
        tables = self.connection.execute("CALL show_tables() RETURN count(*)")
        assert not isinstance(tables, list)
        return (*counts, tables.get_next(), sorted(p.name for p in self.folder.rglob("*") if p.name[:1] == "H"))

    def close(self) -> None:
        self.connection.close()
        self.database.close()


@pytest.fixture(scope="module")
def embedded_file(small_graph: GraphFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("attacked") / "graph.lbug"
    with open_store(str(path)) as store:
        store.load(small_graph, SilentProgress())
    return path


@pytest.fixture
def raw(embedded_file: Path, tmp_path: Path) -> Iterator[Raw]:
    shutil.copy(embedded_file, tmp_path / "graph.lbug")
    opened = Raw(tmp_path / "graph.lbug")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def server(small_graph: GraphFiles, neo4j_server: Any) -> Iterator[Store]:
    neo4j_server.empty()
    with open_store(neo4j_server.url) as store:
        store.load(small_graph, SilentProgress())
        yield store
    neo4j_server.empty()


@contextmanager
def session_with(server: Any, mode: str) -> Iterator[Session]:
    """A session of the driver itself, without a guard."""
    with (
        GraphDatabase.driver(server.url, auth=(server.username, server.password)) as driver,
        driver.session(default_access_mode=mode) as session,
    ):
        yield session


def refused(run: Callable[[str], Any], cypher: str) -> None:
    with pytest.raises(GraphError) as error:
        run(check_query(cypher))
    assert "\n" not in str(error.value)


EMBEDDED_HARM = [
    "CREATE (:User {id: 'H'})",
    "MATCH (:User)-[r:PURCHASED]->(:Product) SET r.quantity = 99",
    "MATCH (u:User)-[r]->() DELETE r",
    "MATCH (u:User) DETACH DELETE u",
    "CREATE NODE TABLE H(id STRING PRIMARY KEY)",
    "DROP TABLE SIMILAR",
    "COPY (MATCH (u:User) RETURN u.id) TO 'FOLDER/H.csv'",
    "RETURN 1; MATCH (u:User) DETACH DELETE u",
    "MATCH (u:User) RETURN u.id /* */; COPY (MATCH (u:User) RETURN u.id) TO 'FOLDER/H.csv'",
    "mAtCh (u:User)\tdEtAcH/**/dElEtE//\nu",
    "MATCH (u:User) WITH u CREATE (:User {id: concat('H', u.id)})",
    "MERGE (:User {id: 'H'})",
]


@pytest.mark.parametrize("cypher", EMBEDDED_HARM)
def test_harm_to_an_embedded_database(raw: Raw, cypher: str) -> None:
    cypher = cypher.replace("FOLDER", str(raw.folder))
    before = raw.state()
    refused(raw.run, cypher)
    assert raw.state() == before
    raw.run(cypher)
    assert raw.state() != before, "the attack does no harm, so refusing it shows nothing"


@pytest.mark.parametrize("cypher", ["LOAD FROM 'FILE' RETURN *", "LOAD FROM 'FILE' (header = false) RETURN column0"])
def test_files_are_not_read(raw: Raw, tmp_path: Path, cypher: str) -> None:
    (tmp_path / "secret.csv").write_text("secret\n1\n")
    cypher = cypher.replace("FILE", str(tmp_path / "secret.csv"))
    refused(raw.run, cypher)
    raw.run(cypher)  # without the guard it reads: it raises nothing


def test_a_database_is_not_exported(tmp_path: Path) -> None:
    """On a plain one: the graph's own, in which a relationship joins several labels, Ladybug cannot export."""
    cypher = f"EXPORT DATABASE '{tmp_path / 'H'}' "
    with (
        ladybug.Database(tmp_path / "plain.lbug", max_db_size=1 << 32) as database,
        ladybug.Connection(database) as connection,
    ):
        connection.execute("CREATE NODE TABLE User(id STRING PRIMARY KEY)")
        refused(connection.execute, cypher)
        assert not (tmp_path / "H").exists()
        connection.execute(cypher)
        assert (tmp_path / "H").exists()


NEO4J_HARM = [
    "CREATE (:User {id: 'H'})",
    "MATCH (u:User) SET u.id = 'H'",
    "MATCH (u:User) DETACH DELETE u",
    "MATCH (u:User) CALL (u) { DETACH DELETE u }",
    "CALL { CREATE (:User {id: 'H'}) }",
    "MATCH (u:User) FOREACH (x IN [1] | SET u.id = 'H')",
    "MATCH (u:User) \\u0044ETACH \\u0064elete u",
    "MATCH (u:User) WITH u AS `a\\u0060 DETACH DELETE \\u0060a`",
    "MATCH (u:User) DETACH\u00a0DELETE\u2003u",
    "MATCH (u:User)\x0bDETACH\x0cDELETE\x1fu",
    "MATCH (u:User) /* ' */ DETACH /* ' */ DELETE u // '",
    "CALL db.createLabel('H')",
    "CALL `db`.`createLabel`('H')",
    "CALL db . /* */ createLabel('H')",
    "CYPHER runtime=slotted MATCH (u:User) DETACH DELETE u",
    "PROFILE MATCH (u:User) DETACH DELETE u",
]


@pytest.mark.neo4j
@pytest.mark.parametrize("cypher", NEO4J_HARM)
def test_harm_to_a_server(server: Store, neo4j_server: Any, cypher: str) -> None:
    refused(lambda text: server.run(text, {}), cypher)
    if "`a" in cypher:
        return  # resolved to a name in backticks by newer servers: harmless there, and refused all the same
    with session_with(neo4j_server, WRITE_ACCESS) as session, session.begin_transaction() as transaction:
        summary = transaction.run(cypher).consume()
        assert summary.counters.contains_updates or "createLabel" in cypher, "no harm, so refusing it shows nothing"
        transaction.rollback()


@pytest.mark.neo4j
@pytest.mark.parametrize("shape", ["CALL {{ {} }} IN TRANSACTIONS", "MATCH (x:User) CALL (x) {{ {} }} IN 2 CONCURRENT "
                                   "TRANSACTIONS OF 1 ROW ON ERROR CONTINUE"])  # fmt: skip
def test_transactions_of_their_own(server: Store, neo4j_server: Any, shape: str) -> None:
    cypher = shape.format("CREATE (:Harmed)")
    refused(lambda text: server.run(text, {}), cypher)
    with session_with(neo4j_server, WRITE_ACCESS) as session:
        session.run(cypher).consume()
        assert session.run("MATCH (n:Harmed) DELETE n RETURN count(*) AS n").single(strict=True)["n"] == 1


@pytest.mark.neo4j
def test_no_url_is_opened(server: Store, neo4j_server: Any) -> None:
    with listener() as (url, arrived):
        for cypher in (
            f"LOAD CSV FROM '{url}' AS row RETURN row",
            f"load/**/csv WITH HEADERS FROM '{url}' AS row RETURN row",
            f"MATCH (u:User) CALL (u) {{ LOAD CSV FROM '{url}' AS row RETURN row }} RETURN row",
            f"UNWIND [1] AS x LOAD CSV FROM '{url}' AS row RETURN row",
        ):
            refused(lambda text: server.run(text, {}), cypher)
            assert arrived == []
            with session_with(neo4j_server, READ_ACCESS) as session:
                session.run(cypher).consume()
            assert arrived, "READ access mode alone stops this attack, so refusing it shows nothing"
            arrived.clear()
        server.run("RETURN $x AS x", {"x": f"LOAD CSV FROM '{url}' AS row RETURN row"})
        assert arrived == []


@pytest.mark.neo4j
@pytest.mark.parametrize("call", ["CALL dbms.listConfig()", "CALL dbms.listConfig() YIELD name, value", "SHOW SETTINGS",
                                  "SHOW USERS", "SHOW TRANSACTIONS", "CALL dbms.queryJmx('java.lang:*')"])  # fmt: skip
def test_what_tells_of_the_server_is_refused(server: Store, neo4j_server: Any, call: str) -> None:
    refused(lambda text: server.run(text, {}), call)
    asked = f"{call} RETURN *" if "YIELD" in call else call
    with session_with(neo4j_server, READ_ACCESS) as session:
        assert session.run(asked).peek() is not None


TRICKS = ["MATCH (u:User) DETACH DELETE u", "`}) DETACH DELETE u //", "x: 1}) CREATE (n {y: 2", "' OR true //"]


@pytest.mark.parametrize("text", TRICKS)
def test_parameters_are_values(raw: Raw, embedded_file: Path, text: str) -> None:
    with open_store(str(embedded_file)) as store:
        assert store.run("RETURN $x AS x", {"x": text}).rows == [[text]]
        assert store.run("MATCH (u:User {id: $x}) RETURN count(u) AS n", {"x": text}).rows == [[0]]
        assert store.run("MATCH (u:User) RETURN count(u) AS n", {}).rows == [[1]]


SPACES = sorted({chr(c) for c in range(0x3001) if chr(c).isspace()} | set("\u200b\u2060\ufeff\u180e\x00\x08\x7f\u0085"))


@pytest.mark.parametrize("space", SPACES, ids=lambda space: f"U+{ord(space):04X}")
def test_every_white_space(raw: Raw, space: str) -> None:
    """Between the words of a clause none hides it; beside the plain ones none is let through outside of quotes."""
    refused(raw.run, f"MATCH (u:User){space}DETACH{space}DELETE{space}u")
    if space not in " \t\n\r":
        with pytest.raises(GraphError):
            check_query(f"MATCH (u:User){space}RETURN u.id")


RUNAWAY = [
    "UNWIND range(1, 1000000) AS a UNWIND range(1, 1000000) AS b RETURN count(*) AS n",
    "UNWIND range(1, 1000000) AS a UNWIND range(1, 1000000) AS b WITH a, b WHERE a * b < 0 RETURN a",
]


def _is_stopped(store: Store, cypher: str, seconds: float) -> None:
    began = time.monotonic()
    with pytest.raises(GraphError, match=r"took longer than 1 s"):
        store.run(check_query(cypher), {}, timeout_s=1)
    assert time.monotonic() - began < seconds


@pytest.mark.parametrize("cypher", RUNAWAY)
def test_an_embedded_query_ends_in_time(embedded_file: Path, cypher: str) -> None:
    with open_store(str(embedded_file)) as store:
        _is_stopped(store, cypher, 60)
        assert store.run("MATCH (u:User) RETURN count(u) AS n", {}).rows == [[1]]


def test_a_query_without_memory_leaves_the_next_one_all_of_it(
    embedded_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that ran out of memory keeps what some joins held: the file is opened anew."""

    def fails(*_: object) -> None:
        raise RuntimeError("Buffer manager exception: Unable to allocate memory! The buffer pool is full.")

    opened: list[object] = []
    database = ladybug.Database
    monkeypatch.setattr(ladybug, "Database", lambda *words, **more: opened.append(words) or database(*words, **more))
    with open_store(str(embedded_file)) as store:
        with monkeypatch.context() as patch:
            patch.setattr("kg.ladybug_store.store.answer", fails)
            with pytest.raises(GraphError, match="more memory than a reader has"):
                store.run("MATCH (u:User) RETURN u.id", {})
        assert len(opened) == 1
        assert store.run("MATCH (u:User) RETURN count(u) AS n", {}).rows == [[1]]
        assert len(opened) == 2
        assert store.run("MATCH (u:User) RETURN count(u) AS n", {}).rows == [[1]]
        assert len(opened) == 2


@pytest.mark.neo4j
@pytest.mark.parametrize("cypher", RUNAWAY)
def test_a_server_ends_a_query_in_time(server: Store, cypher: str) -> None:
    _is_stopped(server, cypher, 60)
    left = server.run("SHOW TRANSACTIONS YIELD currentQuery AS q RETURN q", {}).rows
    assert not [q for (q,) in left if q and "1000000" in q]


@pytest.mark.neo4j
def test_a_server_that_does_not_end_a_query_is_left(server: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An expression looks at no clock: the guard refuses it, and the client does not wait for it."""
    cypher = "RETURN reduce(s = 0, x IN range(1, 800000000) | s + x % 7) AS s"
    with pytest.raises(GraphError, match="cannot stand in a range"):
        check_query(cypher)
    monkeypatch.setattr("kg.neo4j_store.store._GRACE_SECONDS", 1.0)
    began = time.monotonic()
    with pytest.raises(GraphError, match=r"longer than 1 s, and the server is still busy with it"):
        server.run(cypher, {}, timeout_s=1)
    assert time.monotonic() - began < 30
    assert server.run("RETURN 1 AS n", {}).rows == [[1]]


COSTS = [
    "RETURN range(1, 1000000000)",
    "RETURN range(1, 10 * 1000000)",
    "WITH 1000000000 AS n RETURN range(1, n)",
    "RETURN range(1, $n)",
    "RETURN `range`(1, 2000000)",
    "RETURN reduce(s = 0, x IN range(1, 9) | s + reduce(t = 0, y IN range(1, 9) | t + y))",
    "RETURN [x IN range(1, 9) | [y IN range(1, 9) | x * y]]",
    "RETURN any(x IN [1] WHERE all(y IN [1] WHERE x = y))",
    "RETURN [x IN [1] WHERE single(y IN [x] WHERE y = 1)]",
    "RETURN 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaa!' =~ '(a+)+b'",
    "RETURN 'a' =~ '(a|a)(a|a)(a|a)(a|a)(a|a)'",
    "RETURN 'a' =~ 'a*a*a*a*a*b'",
    "RETURN 'a' =~ $x",
    "RETURN 'a' =~ '(a' + '+)+b'",
    "RETURN 'a' =~ ('a')",
    "RETURN regexp_matches('a', 'a')",
    "RETURN repeat('x', 1000000000)",
    "RETURN lpad('x', 1000000000, 'y')",
    "RETURN gds.util.asNode(1)",
    "RETURN file('/etc/passwd')",
]


@pytest.mark.parametrize("cypher", COSTS)
def test_what_no_clock_stops_is_refused(cypher: str) -> None:
    with pytest.raises(GraphError) as error:
        check_query(cypher)
    assert error.value.remedy


@pytest.mark.parametrize("cypher", [
    "UNWIND range(0, size(['a', 'b']) - 1) AS i RETURN [x IN range(1, i) | x], any(x IN [i] WHERE x > 0)",
    "MATCH (p:Product) WHERE p.title =~ '.*green.*tea.*' RETURN p",
    "MATCH p = (a)-[*1..2]-(b) RETURN reduce(s = 0, n IN nodes(p) | s + 1), [n IN nodes(p) | n.id]",
])  # fmt: skip
def test_what_ends_is_let_through(cypher: str) -> None:
    if "range(1, i)" in cypher:
        with pytest.raises(GraphError, match="'i' cannot stand in a range"):
            check_query(cypher)
        cypher = cypher.replace("range(1, i)", "range(1, 3)")
    assert check_query(cypher) == cypher


def _many_rows(store: Store) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    found = store.run(
        check_query("UNWIND range(1, 1000000) AS x UNWIND range(1, 10) AS y RETURN x, y"), {}, timeout_s=60, max_rows=7
    )
    assert len(found.rows) == 7
    assert found.truncated
    assert time.monotonic() - began < 60
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 1500, f"{grown:.0f} MiB"


def test_ten_million_rows_of_an_embedded_database(embedded_file: Path) -> None:
    with open_store(str(embedded_file)) as store:
        _many_rows(store)


@pytest.mark.neo4j
def test_ten_million_rows_of_a_server(server: Store) -> None:
    _many_rows(server)


PIECES = [
    "MATCH", "(n)", "(u:User)", "(u)", "-[r]->", "()", "RETURN", "u.id", "n", "1", "count(*)", "WITH", "*", "u", "AS x",
    "UNWIND [1, 2]", "WHERE", "true", "CALL", "{", "}", "(", ")", "[", "]", "UNION", "ALL", "ORDER BY", "LIMIT 1",
    "SET u.id = 'H'", "DELETE", "DETACH DELETE u", "CREATE (:User {id: 'H'})", "MERGE (:User {id: 'H'})", "REMOVE",
    "COPY (MATCH (u:User) RETURN u.id) TO 'H.csv'", "EXPORT DATABASE 'H'", "DROP TABLE SIMILAR", "LOAD FROM 'H'",
    "CREATE NODE TABLE H(id STRING PRIMARY KEY)", "ALTER TABLE User ADD h STRING", "INSTALL json", "show_tables()",
    "BEGIN TRANSACTION", "COMMIT", ";", ",", ".", ":", "|", "=", "`", "'", '"', "/*", "*/", "//", "\n", "\\", "\\u0060",
    "$", "--", "EXISTS", "COUNT", "CASE WHEN", "END", "x", "IN TRANSACTIONS", "EXPLAIN", "PROFILE", "OPTIONAL",
    "\u00a0",
]  # fmt: skip


@pytest.fixture(scope="module")
def harmable(embedded_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raw]:
    folder = tmp_path_factory.mktemp("fuzzed")
    shutil.copy(embedded_file, folder / "graph.lbug")
    opened = Raw(folder / "graph.lbug")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield opened
    opened.close()


def _harmless(raw: Raw, text: str) -> None:
    """What the guard lets through changes nothing, though the database may be written."""
    try:
        run = check_query(text)
    except GraphError:
        return
    before = raw.state()
    with suppress(RuntimeError):  # no statement of the store's language
        raw.run(run)
    assert raw.state() == before, run


@settings(max_examples=1500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=14), gap=st.sampled_from([" ", "", "\n", "/**/"]))
def test_no_text_of_pieces_changes_the_graph(harmable: Raw, pieces: list[str], gap: str) -> None:
    _harmless(harmable, gap.join(pieces))


@settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    harm=st.sampled_from(EMBEDDED_HARM),
    before=st.sampled_from(["", "MATCH (n) RETURN n ", "RETURN 1 ", "MATCH (u:User) WITH u ", "CALL show_tables() "]),
    cut=st.integers(0, 60),
    put=st.sampled_from(["", "`", "'", '"', "/*", "//", "\\", ";", "\n", "{", "(", ".", ":", "$", "AS ", "\u200b"]),
)
def test_no_disguise_changes_the_graph(harmable: Raw, harm: str, before: str, cut: int, put: str) -> None:
    harm = harm.replace("FOLDER/", "")
    _harmless(harmable, before + harm[:cut] + put + harm[cut:])


@pytest.mark.neo4j
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    harm=st.sampled_from(NEO4J_HARM),
    before=st.sampled_from(["", "MATCH (n) RETURN n ", "RETURN 1 ", "MATCH (u:User) WITH u ", "CALL db.labels() "]),
    cut=st.integers(0, 60),
    put=st.sampled_from(["", "`", "'", '"', "/*", "//", "\\", ";", "\n", "{", "(", ".", ":", "$", "AS ", "\u200b"]),
)
def test_no_disguise_changes_a_server(server: Store, writer: Any, harm: str, before: str, cut: int, put: str) -> None:
    """In WRITE access mode, where the guard alone stands before the graph."""
    try:
        run = check_query(before + harm[:cut] + put + harm[cut:])
    except GraphError:
        return
    counted = writer("MATCH (n) RETURN count(n), min(n.id)")
    writer(run)
    assert writer("MATCH (n) RETURN count(n), min(n.id)") == counted, run


@pytest.fixture(scope="module")
def writer(server: Store, neo4j_server: Any) -> Iterator[Callable[[str], Any]]:
    with session_with(neo4j_server, WRITE_ACCESS) as session:

        def run(cypher: str) -> Any:
            try:
                return json.dumps(session.run(cypher).values(), default=str)
            except Neo4jError as error:
                return error.code

        yield run
