"""Sets properties of events in Neo4j, batch by batch: set twice is set once, so that no ledger is needed."""

from __future__ import annotations

import neo4j

from ingest.progress import Progress
from kg.errors import GraphError
from kg.neo4j_store import ledger
from kg.neo4j_store.batches import Batch
from kg.neo4j_store.change_batches import valued_edge_batches
from kg.stores import EdgeFile


def annotate(driver: neo4j.Driver, database: str | None, url: str, file: EdgeFile, progress: Progress) -> None:
    """Give the relationships that `file` names by ends and `id` its values.

    Raises:
        GraphError: there is no complete graph, or it has not all of the relationships.
    """
    names = ", ".join(name for name in file.properties if name != "id")
    with (
        driver.session(database=database) as session,
        progress.station(f"write {names}", total=file.rows, unit="relationships") as station,
    ):
        state = session.execute_read(ledger.read_state)
        if state is None or state.state != "complete":
            raise GraphError("there is no finished graph", url, "run shopgraph graph-build first")
        for batch in valued_edge_batches(file):
            found = session.execute_write(_set, batch)
            if found != batch.rows:
                what = f"the database has {found:,} of {batch.rows:,} {file.type} that values are for"
                raise GraphError(what, url, "run the command again")
            station.advance(found)


def _set(tx: neo4j.ManagedTransaction, batch: Batch) -> int:
    return int(tx.run(batch.statement, batch.parameters).single(strict=True)["n"])
