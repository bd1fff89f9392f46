"""Loads graph files into Neo4j: constraints, then batches with their ledger, then the check of the counts."""

from __future__ import annotations

from collections import Counter

import neo4j

from ingest.progress import Progress
from kg.errors import GraphError
from kg.neo4j_store import ledger
from kg.neo4j_store.batches import BATCH_ROWS, batch_ids, edge_batches, node_batches
from kg.neo4j_store.counts import count_all
from kg.neo4j_store.ledger import BuildState
from kg.neo4j_store.writing import write_batches
from kg.property_names import property_name
from kg.schema import LABELS, LEDGER_LABELS, RELATIONSHIPS
from kg.stores import EdgeFile, GraphFiles, NodeFile

_DELETE_ROWS = 20_000
_INDEXES = (
    "CREATE FULLTEXT INDEX shopgraph_product_text IF NOT EXISTS FOR (n:Product) ON EACH [n.title, n.description]",
    "CREATE INDEX shopgraph_brand_name IF NOT EXISTS FOR (n:Brand) ON (n.name)",
    "CREATE INDEX shopgraph_category_name IF NOT EXISTS FOR (n:Category) ON (n.name)",
    "CREATE INDEX shopgraph_order_day IF NOT EXISTS FOR (n:Order) ON (n.day)",
)
"""What analysts look things up by. Relationships get none: an index of 1.5 million would slow every load."""


class Loading:
    """One load of graph files into the database of a session.

    Args:
        driver: connected.
        database: its name, None for the account's home database.
        url: for messages.
    """

    def __init__(self, driver: neo4j.Driver, database: str | None, url: str) -> None:
        self._driver, self._database, self._url = driver, database, url

    def run(self, graph: GraphFiles, progress: Progress) -> bool:
        """Make the database hold `graph`; False when it did already.

        Raises:
            GraphError: it holds nodes of others, or in the end other counts than the files.
        """
        with self._session() as session:
            state = session.execute_read(ledger.read_state)
            if state and (state.build, state.state) == (graph.fingerprint, "complete"):
                return False
            self._refuse_foreign(session, state)
            if state and self._is_import_of(session, state, graph):
                self._finish_import(session, state)
                return True
            if state and not _can_resume(state, graph):
                self._wipe(session, progress)
                state = None
            self._constrain(session)
            if state is None:
                session.execute_write(ledger.begin, graph)
            done = session.execute_read(ledger.written, graph.fingerprint)
        self._write_batches(graph, done, progress)
        with self._session() as session:
            self._check_counts(session, graph)
            self._complete(session)
        return True

    def can_be_replaced(self, graph: GraphFiles) -> bool:
        """Whether an import may replace the whole database; False when it holds `graph` already.

        Raises:
            GraphError: it holds nodes that no build of ours wrote, under whatever label.
        """
        with self._session() as session:
            state = session.execute_read(ledger.read_state)
            if state and (state.build, state.state) == (graph.fingerprint, "complete"):
                return False
            self._refuse_foreign(session, state)
            ours = [f"(n:`{label}`)" for label in LABELS]
            every, *known = count_all(session, ["(n)", *ours])
            if every > sum(known):
                raise GraphError(
                    f"the database holds {every - sum(known):,} nodes of labels that are none of shopgraph's, "
                    "and an import replaces it whole",
                    self._url,
                    "build without --offline, which leaves them alone",
                )
        return True

    def finish_import(self, graph: GraphFiles) -> None:
        """Check what the offline importer wrote, and make constraints and indexes.

        Raises:
            GraphError: it did not write the graph, or not all of it.
        """
        with self._session() as session:
            state = session.execute_read(ledger.read_state)
            if state is None or (state.build, state.state) != (graph.fingerprint, ledger.IMPORTING):
                raise GraphError("the database holds no import of this graph", self._url, "run the build again")
            self._check_counts(session, graph)
            self._finish_import(session, state)

    def _finish_import(self, session: neo4j.Session, state: BuildState) -> None:
        self._constrain(session)
        self._mend(session, state)
        self._complete(session)

    def _constrain(self, session: neo4j.Session) -> None:
        for label in LABELS:
            _run(
                session,
                f"CREATE CONSTRAINT shopgraph_{label.lower()}_id IF NOT EXISTS "
                f"FOR (n:`{label}`) REQUIRE n.id IS UNIQUE",
            )

    def _complete(self, session: neo4j.Session) -> None:
        for index in _INDEXES:
            _run(session, index)
        _run(session, "CALL db.awaitIndexes(300)")
        session.execute_write(ledger.set_state, "complete")

    def _is_import_of(self, session: neo4j.Session, state: BuildState, graph: GraphFiles) -> bool:
        """Whether the offline importer wrote all of `graph`; what is left of another, or half of it, is not."""
        if (state.build, state.state) != (graph.fingerprint, ledger.IMPORTING):
            return False
        try:
            self._check_counts(session, graph)
        except GraphError:
            return False
        return True

    def _mend(self, session: neo4j.Session, state: BuildState) -> None:
        """Put the lists that the importer could not carry in the place of their markers."""
        for mend in state.mends:
            pattern = f"(n:`{mend['name']}`)" if mend["node"] else f"()-[n:`{mend['name']}`]->()"
            held = f"n.{property_name(mend['property'])}"
            session.run(
                f"MATCH {pattern} WHERE {held} = $marker CALL (n) {{ SET {held} = $value }} "
                f"IN TRANSACTIONS OF {_DELETE_ROWS} ROWS",
                marker=mend["marker"],
                value=mend["value"],
            ).consume()

    def _session(self) -> neo4j.Session:
        return self._driver.session(database=self._database)

    def _refuse_foreign(self, session: neo4j.Session, state: BuildState | None) -> None:
        """Refuse a database with nodes of our labels that no build of ours wrote: they would be lost."""
        if state is not None and state.state != "complete":
            return  # how many of ours are there is not known in the midst of a build
        labels = [label for label in LABELS if state is None or label not in LEDGER_LABELS]
        for label, found in zip(labels, count_all(session, [f"(n:`{label}`)" for label in labels]), strict=True):
            ours = state.counts.get(label, 0) if state else 0
            if found > ours:
                raise GraphError(
                    f"the database holds {found - ours:,} {label} nodes that shopgraph did not write",
                    self._url,
                    "name an empty database in NEO4J_DATABASE or another server, or remove those nodes yourself",
                )

    def _wipe(self, session: neo4j.Session, progress: Progress) -> None:
        """Delete the graph of another build, and the ledger's build node last; other labels are left alone."""
        session.execute_write(ledger.set_state, "deleting")
        rows = f"IN TRANSACTIONS OF {_DELETE_ROWS} ROWS"
        pairs = [(s, r.name, t) for r in RELATIONSHIPS.values() for s, t in r.endpoints]
        with progress.station("remove old graph", total=len(pairs) + len(LABELS), unit="tables") as station:
            for source, name, target in pairs:
                _run(session, f"MATCH (:`{source}`)-[r:`{name}`]->(:`{target}`) CALL (r) {{ DELETE r }} {rows}")
                station.advance()
            for label in LABELS:
                keep = f"WHERE n.id <> '{ledger.BUILD_ID}' " if label == "Batch" else ""
                _run(session, f"MATCH (n:`{label}`) {keep}CALL (n) {{ DETACH DELETE n }} {rows}")
                station.advance()
        _run(session, f"MATCH (n:Batch {{id: '{ledger.BUILD_ID}'}}) DELETE n")

    def _write_batches(self, graph: GraphFiles, done: frozenset[str], progress: Progress) -> None:
        nodes = (batch for file in graph.nodes for batch in node_batches(file, done))
        edges = (batch for file in graph.edges for batch in edge_batches(file, done))
        with progress.station("load graph", total=graph.rows, unit="rows") as station:
            station.advance(_rows_done(graph, done))
            for batches in (nodes, edges):  # every node is there before the first relationship
                write_batches(self._driver, self._database, graph.fingerprint, batches, station)

    def _check_counts(self, session: neo4j.Session, graph: GraphFiles) -> None:
        """Compare with the files; questions of this form are answered from the server's own counts at once."""
        expected: Counter[str] = Counter()
        for node in graph.nodes:
            if node.label not in LEDGER_LABELS:
                expected[f"(n:`{node.label}`)"] += node.rows
        for edge in graph.edges:
            expected[f"(:`{edge.source}`)-[n:`{edge.type}`]->()"] += edge.rows
            expected[f"()-[n:`{edge.type}`]->(:`{edge.target}`)"] += edge.rows
        for (pattern, rows), found in zip(expected.items(), count_all(session, list(expected)), strict=True):
            if found != rows:
                remedy = "run the build again; if it stays so, something else writes to this database"
                raise GraphError(f"the database holds {found:,} {pattern}, the files {rows:,}", self._url, remedy)


def _can_resume(state: BuildState, graph: GraphFiles) -> bool:
    wanted = (graph.fingerprint, "loading", BATCH_ROWS)
    return (state.build, state.state, state.batch_rows) == wanted


def _rows_done(graph: GraphFiles, done: frozenset[str]) -> int:
    files: list[NodeFile | EdgeFile] = [*graph.nodes, *graph.edges]
    return sum(
        min(BATCH_ROWS, file.rows - number * BATCH_ROWS)
        for file in files
        for number, identity in enumerate(batch_ids(file))
        if identity in done
    )


def _run(session: neo4j.Session, statement: str) -> None:
    session.run(statement).consume()
