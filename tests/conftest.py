from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from ingest.progress import SilentProgress
from kg.errors import GraphError

# a busy machine is no failure: examples have no deadline
settings.register_profile("shopgraph", deadline=None)
settings.load_profile("shopgraph")


@dataclass(frozen=True)
class Neo4jServer:
    """The server of the tests: its own, in a folder of its own, unless SHOPGRAPH_TEST_NEO4J names an empty one."""

    url: str
    username: str
    password: str
    home: Path | None

    def empty(self) -> None:
        """Delete everything in the database."""
        from neo4j import GraphDatabase

        with (
            GraphDatabase.driver(self.url, auth=(self.username, self.password)) as driver,
            driver.session() as session,
        ):
            session.run("MATCH ()-[r]->() CALL (r) { DELETE r } IN TRANSACTIONS OF 20000 ROWS").consume()
            session.run("MATCH (n) CALL (n) { DELETE n } IN TRANSACTIONS OF 20000 ROWS").consume()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def neo4j_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neo4jServer]:
    given = os.environ.get("SHOPGRAPH_TEST_NEO4J")
    if given:
        yield Neo4jServer(given, os.environ.get("NEO4J_USERNAME", "neo4j"), os.environ["NEO4J_PASSWORD"], None)
        return
    from kg.neo4j_store.credentials import password_file
    from kg.neo4j_store.java import find_java, server_jars
    from kg.neo4j_store.server import ServerOptions, start, stop

    try:
        find_java()
        with (Path(tempfile.gettempdir()) / "shopgraph-tests.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two Mavens at once would write the same files
            server_jars(SilentProgress())
    except GraphError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        state = tmp_path_factory.mktemp("state")
        patch.setenv("SHOPGRAPH_STATE", str(state))
        for name in ("NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
            patch.delenv(name, raising=False)
        info = start(SilentProgress(), ServerOptions(bolt_port=free_port(), heap="512m", page_cache="64m"))
        assert info.home is not None
        try:
            yield Neo4jServer(info.url, "neo4j", password_file(info.home).read_text(), info.home)
        finally:
            stop()


@pytest.fixture(scope="session")
def neo4j_url(neo4j_server: Neo4jServer) -> str:
    return neo4j_server.url


@pytest.fixture
def empty_neo4j(neo4j_server: Neo4jServer) -> Iterator[Neo4jServer]:
    neo4j_server.empty()
    yield neo4j_server
    neo4j_server.empty()
