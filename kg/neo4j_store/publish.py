"""Publishes a run into Neo4j: relationships beside those of the run before, then one transaction turns readers over.

All users' relationships do not fit into one transaction. They carry their run, and readers go by `Run {current: true}`:
the new ones are written in batches with a ledger, so that a killed publish goes on where it stood; then one transaction
makes the new run current; then the old run's relationships are deleted, after which a plain MATCH on the type is right
too. Batches are the build's: CREATE with a ledger node in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import neo4j

from ingest.progress import Progress, Station
from kg.errors import GraphError
from kg.neo4j_store import batches, ledger, vectors
from kg.neo4j_store.batches import Batch, edge_batches
from kg.neo4j_store.writing import write_batches
from kg.runs import RunFiles
from kg.stores import EdgeFile

_DELETE_ROWS = 20_000


class Publishing:
    """One run on its way into the database of a session.

    Args:
        driver: connected.
        database: its name, None for the account's home database.
        url: for messages.
        files: the run.
    """

    def __init__(self, driver: neo4j.Driver, database: str | None, url: str, files: RunFiles) -> None:
        self._driver, self._database, self._url, self._files = driver, database, url, files
        self._run = files.run
        self._build = f"{ledger.RUN_PREFIX}{files.run.id}:{batches.BATCH_ROWS}"

    def run(self, progress: Progress) -> bool:
        """Make the run current; False when it was already, and whole.

        Raises:
            GraphError: there is no complete graph, it was built anew meanwhile, or it lacks an end of a relationship.
        """
        with self._session() as session:
            state = session.execute_read(ledger.read_state)
            if state is None or state.state != "complete":
                raise GraphError("there is no finished graph", self._url, "run shopgraph graph-build first")
            current = session.execute_read(_current)
            if current == self._run.id:
                return self._tidy(session, current, progress)
            done = session.execute_read(ledger.written, self._build)
            self._tidy(session, current, progress, begun=bool(done))
            session.execute_write(self._begin)
        self._write(done, progress)
        with self._session() as session:
            change = vectors.prepare(session, self._files.vectors, progress)
            self._check(session)
            session.execute_write(self._turn, state.build, change)
            self._tidy(session, self._run.id, progress)
        return True

    def _session(self) -> neo4j.Session:
        return self._driver.session(database=self._database)

    def _begin(self, tx: neo4j.ManagedTransaction) -> None:
        """Write the run's node, which no reader looks at yet."""
        run = self._run
        tx.run(
            "MERGE (r:Run {id: $id}) SET r.current = false, r.created = $created, r.model = $model, "
            "r.version = $version, r.config = $config, r.metrics = $metrics, r.cutoff = $cutoff, "
            "r.fingerprint = $fingerprint",
            id=run.id, created=run.created, model=run.model, version=run.version, config=run.config,
            metrics=run.metrics, cutoff=run.cutoff, fingerprint=run.fingerprint,
        ).consume()  # fmt: skip

    def _write(self, done: frozenset[str], progress: Progress) -> None:
        total = sum(edge.rows for edge in self._files.edges)
        with progress.station("write run", total=total, unit="rows") as station:
            write_batches(self._driver, self._database, self._build, self._batches(done, station), station)

    def _batches(self, done: frozenset[str], station: Station) -> Iterator[Batch]:
        """The batches that are not in the graph yet, under names that no build uses."""
        known = frozenset(name.removeprefix(f"{self._build}/") for name in done)
        for edge in self._files.edges:
            left = 0
            for batch in edge_batches(edge, known):
                left += batch.rows
                yield replace(batch, id=f"{self._build}/{batch.id}")
            station.advance(edge.rows - left)

    def _check(self, session: neo4j.Session) -> None:
        for edge in self._files.edges:
            found = session.execute_read(_count, edge, self._run.id)
            if found != edge.rows:
                what = f"the database holds {found:,} {edge.type} of the run, its file {edge.rows:,}"
                raise GraphError(what, self._url, "something else writes to this database; publish again")

    def _turn(self, tx: neo4j.ManagedTransaction, build: str, change: vectors.Change) -> None:
        """The commit of the whole: the run is current, its vectors are in place, the build counter moves.

        Raises:
            GraphError: the graph was built anew since this publish began.
        """
        state = ledger.read_state(tx)
        if state is None or (state.build, state.state) != (build, "complete"):
            raise GraphError("the graph was built anew meanwhile", self._url, "publish again")
        tx.run("MATCH (r:Run) WHERE r.current AND r.id <> $id SET r.current = false", id=self._run.id).consume()
        vectors.apply(tx, change)
        turned = tx.run(
            "MATCH (r:Run {id: $id}) SET r.current = true, r.vector_property = $property, r.vector_index = $index "
            "RETURN count(r) AS n",
            id=self._run.id, property=change.property, index=change.index,
        ).single(strict=True)  # fmt: skip
        if turned["n"] != 1:
            raise GraphError("the run's node is gone", self._url, "something else writes to this database; try again")
        ledger.set_state(tx, "complete")

    def _tidy(self, session: neo4j.Session, current: str | None, progress: Progress, *, begun: bool = False) -> bool:
        """Remove what is not of the current run, nor, where its ledger has `begun`, of this one; whether there was any.

        What this run wrote in batches of another size is not in its ledger, and goes too.
        """
        keep = [name for name in (current, self._run.id if begun else None) if name]
        found = sum(session.execute_read(_count_other, edge, keep) for edge in self._files.edges)
        if found:
            with progress.station("remove the old run", total=found, unit="rows"):
                for edge in self._files.edges:
                    session.run(
                        f"MATCH (:`{edge.source}`)-[r:`{edge.type}`]->(:`{edge.target}`) "
                        "WHERE r.run IS NULL OR NOT r.run IN $keep "
                        f"CALL (r) {{ DELETE r }} IN TRANSACTIONS OF {_DELETE_ROWS} ROWS",
                        keep=keep,
                    ).consume()
        builds = [self._build] if begun else []
        session.run(
            "MATCH (b:Batch) WHERE b.build STARTS WITH $prefix AND NOT b.build IN $builds DELETE b",
            prefix=ledger.RUN_PREFIX,
            builds=builds,
        ).consume()
        vectors_too = not begun and vectors.tidy(session)  # those that this run has written already stay
        return vectors_too or found > 0


def _current(tx: neo4j.ManagedTransaction) -> str | None:
    record = tx.run("MATCH (r:Run) WHERE r.current RETURN r.id AS id").single()
    return str(record["id"]) if record else None


def _count(tx: neo4j.ManagedTransaction, edge: EdgeFile, run: str) -> int:
    query = f"MATCH (:`{edge.source}`)-[r:`{edge.type}`]->(:`{edge.target}`) WHERE r.run = $run RETURN count(r) AS n"
    return int(tx.run(query, run=run).single(strict=True)["n"])


def _count_other(tx: neo4j.ManagedTransaction, edge: EdgeFile, keep: list[str]) -> int:
    query = f"MATCH ()-[r:`{edge.type}`]->() WHERE r.run IS NULL OR NOT r.run IN $keep RETURN count(r) AS n"
    return int(tx.run(query, keep=keep).single(strict=True)["n"])
