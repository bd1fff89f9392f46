"""Updates the graph in Neo4j: batches that remove, change and create, each with its node of the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator

import neo4j

from ingest.progress import Progress
from kg.delta import GraphDelta
from kg.errors import GraphError
from kg.neo4j_store import ledger
from kg.neo4j_store.batches import Batch, edge_batches, node_batches
from kg.neo4j_store.change_batches import changed_batches, removed_edge_batches, removed_node_batches
from kg.neo4j_store.counts import count_all
from kg.neo4j_store.ledger import BuildState
from kg.neo4j_store.writing import write_batches
from kg.schema import LABELS


class Updating:
    """One update of the graph in the database of a session.

    Args:
        driver: connected.
        database: its name, None for the account's home database.
        url: for messages.
    """

    def __init__(self, driver: neo4j.Driver, database: str | None, url: str) -> None:
        self._driver, self._database, self._url = driver, database, url

    def run(self, delta: GraphDelta, progress: Progress) -> bool:
        """Apply `delta`; False where the database held its outcome already. One that was killed is gone on with.

        Raises:
            GraphError: the database holds another graph than the update begins from, or in the end other counts.
        """
        with self._session() as session:
            state = session.execute_read(ledger.read_state)
            if state and (state.build, state.state) == (delta.fingerprint, "complete"):
                return False
            begun = state is not None and (state.build, state.state) == (delta.fingerprint, ledger.UPDATING)
            if state is None or not (begun or (state.build, state.state) == (delta.base, "complete")):
                what = "the database holds another graph than the update begins from"
                raise GraphError(what, self._url, "build the graph again without --update")
            if not begun:
                self._begin(session, state, delta)
            done = session.execute_read(ledger.written, delta.fingerprint)
        with progress.station("update graph", total=delta.rows, unit="rows") as station:
            for batches in self._stages(delta, done):
                # one after the other: an update is small, and two transactions would wait for each other's locks
                write_batches(self._driver, self._database, delta.fingerprint, batches, station, workers=1)
        with self._session() as session:
            self._check_counts(session)
            session.execute_write(ledger.set_state, "complete")
        return True

    def _session(self) -> neo4j.Session:
        return self._driver.session(database=self._database)

    def _begin(self, session: neo4j.Session, state: BuildState, delta: GraphDelta) -> None:
        """Write down what the graph will be, so that an update that was killed knows what it must come to."""
        patterns = self._patterns(delta)
        found = dict(zip(patterns, count_all(session, list(patterns)), strict=True))
        expected = {pattern: found[pattern] + growth for pattern, growth in patterns.items()}
        counts = {label: state.counts.get(label, 0) + delta.node_growth.get(label, 0) for label in LABELS}
        session.execute_write(ledger.begin_update, state, delta, counts, json.dumps(expected))

    @staticmethod
    def _patterns(delta: GraphDelta) -> dict[str, int]:
        """Pattern that the server counts at once -> by how much its count changes."""
        growth: dict[str, int] = {f"(n:`{label}`)": n for label, n in delta.node_growth.items()}
        for (source, name, target), n in delta.edge_growth.items():
            for pattern in (f"(:`{source}`)-[n:`{name}`]->()", f"()-[n:`{name}`]->(:`{target}`)"):
                growth[pattern] = growth.get(pattern, 0) + n
        return growth

    @staticmethod
    def _stages(delta: GraphDelta, done: frozenset[str]) -> Iterator[Iterator[Batch]]:
        """What has to be over before the next begins: what goes, then nodes, then what joins them."""
        yield (b for edge in delta.edges for b in removed_edge_batches(edge.removed, done))
        yield (b for node in delta.nodes for b in removed_node_batches(node.removed, done))
        yield (b for node in delta.nodes for b in node_batches(node.added, done))
        yield (b for node in delta.nodes for b in changed_batches(node.changed, done))
        yield (b for edge in delta.edges for b in edge_batches(edge.added, done))

    def _check_counts(self, session: neo4j.Session) -> None:
        expected = session.execute_read(ledger.expected_counts)
        for (pattern, wanted), found in zip(expected.items(), count_all(session, list(expected)), strict=True):
            if found != wanted:
                what = f"the database holds {found:,} {pattern}, not {wanted:,}"
                raise GraphError(what, self._url, "build the graph again without --update")
