"""The Neo4j store: a server reached over Bolt."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import neo4j
import pyarrow as pa
from neo4j.exceptions import ClientError, Neo4jError

from ingest.progress import Progress
from kg.delta import GraphDelta
from kg.errors import GraphError
from kg.neo4j_store import ledger, read
from kg.neo4j_store.annotate import annotate
from kg.neo4j_store.connection import NEO4J_ERRORS, check_login, errors, explain, open_driver
from kg.neo4j_store.counts import count_all
from kg.neo4j_store.credentials import find_credentials
from kg.neo4j_store.ledger import BuildState
from kg.neo4j_store.load import Loading
from kg.neo4j_store.patience import call_within
from kg.neo4j_store.publish import Publishing
from kg.neo4j_store.update import Updating
from kg.neo4j_store.values import parameter, plain
from kg.runs import RunFiles
from kg.schema import LABELS, RELATIONSHIPS, Type
from kg.stores import Capabilities, EdgeFile, GraphFiles, Rows

_GRACE_SECONDS = 10.0
"""How long after the time limit the server may take to end a query; it looks at the clock every two seconds."""

_FETCH_ROWS = 50
"""Records of a query per message of the server."""


class Neo4jStore:
    """A Neo4j 5.26 server; the credentials come from NEO4J_USERNAME, NEO4J_PASSWORD and NEO4J_DATABASE.

    Args:
        url: neo4j://, bolt:// or one of their encrypted forms.

    Raises:
        GraphError: the server is down, the login fails, or the database does not exist.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._credentials = find_credentials(url)
        self._driver = open_driver(url, self._credentials)
        self._numbers: dict[str, tuple[str, read.Numbers]] = {}
        try:
            edition = check_login(self._driver, url, self._credentials)
        except GraphError:
            self._driver.close()
            raise
        # where the account may not know the edition something forbids it, which Community cannot
        self.capabilities = Capabilities(
            vector_index=True, full_text=True, server_transactions=True, roles=edition != "community"
        )

    def load(self, graph: GraphFiles, progress: Progress) -> bool:
        """Make the database hold exactly `graph`; False when it did already. A load that was killed is resumed.

        Raises:
            GraphError: the database holds nodes of others under our labels, the counts differ in the end, or the
                server fails.
        """
        with self._errors():
            return Loading(self._driver, self._credentials.database, self.url).run(graph, progress)

    def update(self, delta: GraphDelta, progress: Progress) -> bool:
        """Make of the graph `delta.base` the graph `delta.fingerprint`; one that was killed is gone on with.

        Raises:
            GraphError: the database holds another graph, other counts in the end, or the server fails.
        """
        with self._errors():
            return Updating(self._driver, self._credentials.database, self.url).run(delta, progress)

    def base_of_update(self) -> str | None:
        """Fingerprint of the graph that an update can begin from, or of the one that it has begun to make."""
        state = self._state()
        return state.build if state and state.state in {"complete", ledger.UPDATING} else None

    def publish(self, files: RunFiles, progress: Progress) -> bool:
        """Make `files` the run that readers see; False when it was already. What was killed is gone on with.

        Raises:
            GraphError: there is no finished graph, it lacks an end of a relationship, or the server fails.
        """
        with self._errors():
            return Publishing(self._driver, self._credentials.database, self.url, files).run(progress)

    def annotate(self, file: EdgeFile, progress: Progress) -> None:
        """Set properties of events.

        Raises:
            GraphError: there is no finished graph, it lacks one of the events, or the server fails.
        """
        with self._errors():
            annotate(self._driver, self._credentials.database, self.url, file, progress)

    def built(self) -> str | None:
        """Fingerprint of the graph that was loaded completely, None without one."""
        state = self._state()
        return state.build if state and state.state == "complete" else None

    def labels(self) -> dict[str, dict[str, Type]]:
        """Property types (but `id`) per label, as the build recorded them."""
        return self._known().labels

    def patterns(self) -> dict[tuple[str, str, str], dict[str, Type]]:
        """Property types per (source label, type, target label), as the build recorded them."""
        return self._known().patterns

    def counts(self) -> dict[str, int]:
        """Nodes per label and relationships per type of the schema."""
        patterns = {label: f"(n:`{label}`)" for label in LABELS}
        patterns |= {name: f"()-[n:`{name}`]->()" for name in RELATIONSHIPS}
        with self._errors(), self._session() as session:
            return dict(zip(patterns, count_all(session, list(patterns.values())), strict=True))

    def nodes(self, label: str, properties: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of `id` and the properties."""
        kinds = self.labels().get(label)
        if kinds is None:
            raise GraphError(f"unknown label {label!r}", self.url, "see the graph schema in the documentation")
        with self._errors():
            yield from read.nodes(self._reading, label, {p: kinds[p] for p in properties})

    def relationships(self, key: tuple[str, str, str], properties: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches of `source`, `target` and the properties."""
        kinds = self.patterns().get(key)
        if kinds is None:
            raise GraphError(f"unknown pattern {'-'.join(key)}", self.url, "see the graph schema in the documentation")
        with self._errors():
            counter = self.build_counter()
            numbers_of = partial(self._numbers_of, counter)
            yield from read.relationships(self._reading, key, {p: kinds[p] for p in properties}, numbers_of)

    def build_counter(self) -> str:
        """Moves with every build that writes."""
        with self._errors(), self._session() as session:
            state = session.execute_read(ledger.read_state)
            (batches,) = count_all(session, ["(n:Batch)"])
        return f"{state.counter if state else ''}-{batches}"

    def run(
        self, cypher: str, parameters: Mapping[str, Any], *, timeout_s: float = 60.0, max_rows: int = 10_000
    ) -> Rows:
        """Run one statement in READ access mode, in a transaction that is rolled back.

        Raises:
            GraphError: the statement is wrong, would write, or takes longer than `timeout_s`.
        """
        values = {name: parameter(value) for name, value in parameters.items()}
        try:
            return call_within(
                timeout_s + _GRACE_SECONDS,
                lambda driver: self._fetch(driver, cypher, values, timeout_s, max_rows),
                self._driver,
            )
        except TimeoutError:
            self._renew()
            what = f"the query took longer than {timeout_s:g} s, and the server is still busy with it"
            raise GraphError(what, "query", "write it another way: the time limit stops no single expression") from None
        except ClientError as error:
            raise self._query_error(error, timeout_s) from error
        except NEO4J_ERRORS as error:
            if isinstance(error, Neo4jError) and "Terminated" in (error.code or ""):
                raise self._query_error(error, timeout_s) from error
            raise explain(error, self.url, self._credentials) from error

    def _fetch(
        self, driver: neo4j.Driver, cypher: str, values: dict[str, Any], timeout_s: float, max_rows: int
    ) -> Rows:
        with (
            self._session(driver) as session,
            session.begin_transaction(timeout=timeout_s) as transaction,
        ):
            result = transaction.run(cypher, values)
            columns = list(result.keys())
            records = result.fetch(max_rows + 1)
            transaction.rollback()
        rows = [[plain(value) for value in record.values()] for record in records[:max_rows]]
        return Rows(columns, rows, truncated=len(records) > max_rows)

    def _renew(self) -> None:
        """Leave a connection that waits for an answer behind; closing it would wait too."""
        old, self._driver = self._driver, open_driver(self.url, self._credentials)
        threading.Thread(target=old.close, daemon=True).start()

    def close(self) -> None:
        """Close the connections."""
        self._numbers.clear()
        self._driver.close()

    def __enter__(self) -> Neo4jStore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _session(self, driver: neo4j.Driver | None = None, fetch_size: int = _FETCH_ROWS) -> neo4j.Session:
        return (driver or self._driver).session(
            database=self._credentials.database, default_access_mode=neo4j.READ_ACCESS, fetch_size=fetch_size
        )

    def _reading(self) -> neo4j.Session:
        return self._session(fetch_size=read.FETCH_RECORDS)

    def _numbers_of(self, counter: str, label: str) -> read.Numbers:
        """Numbers of a label's nodes, read again when a build has written since."""
        known = self._numbers.get(label)
        if known is None or known[0] != counter:
            known = self._numbers[label] = (counter, read.numbers(self._reading, label))
        return known[1]

    def _state(self) -> BuildState | None:
        with self._errors(), self._session() as session:
            return session.execute_read(ledger.read_state)

    def _known(self) -> BuildState:
        state = self._state()
        if state is None or state.state != "complete":
            what = "there is no graph" if state is None else "the graph was not loaded completely"
            raise GraphError(what, self.url, "run shopgraph graph-build")
        return state

    def _errors(self) -> AbstractContextManager[None]:
        return errors(self.url, self._credentials)

    def _query_error(self, error: Neo4jError, timeout_s: float) -> GraphError:
        code = error.code or ""
        if "TransactionTimedOut" in code or "Terminated" in code:
            what = f"the query took longer than {timeout_s:g} s"
            return GraphError(what, "query", "narrow it, or raise the time limit")
        if code.endswith("Statement.AccessMode"):
            return GraphError("the query would write", "query", "only reading is allowed here")
        if code.startswith("Neo.ClientError.Statement"):
            return GraphError(
                " ".join((error.message or "").split()), "query", "see shopgraph query --list for examples"
            )
        return explain(error, self.url, self._credentials)
