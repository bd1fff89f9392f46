"""Publishes a run into the embedded store: a copy of the file is written, checked and renamed over the old one."""

from __future__ import annotations

from pathlib import Path

import ladybug

from ingest.progress import Progress
from kg.ladybug_store.build import check_edges, edge_table
from kg.ladybug_store.copying import load_edges, pool_bytes
from kg.ladybug_store.replacing import MAX_FILE_BYTES, piece_path, replacement
from kg.runs import RunFiles


def publish(path: Path, files: RunFiles, progress: Progress) -> None:
    """Put the run in the place of the one before.

    Vectors are left to the process that computed them: the embedded store has no vector index without a download, and
    a search over the model's own memory-mapped vectors is faster than one over a column.

    Raises:
        GraphError: the folder cannot be written, or a relationship of the run has an end that the graph has not.
    """
    with replacement(path, "publishing", "run shopgraph publish again", copy=True) as fresh:
        _write(fresh, files, progress)


def _write(fresh: Path, files: RunFiles, progress: Progress) -> None:
    """Each statement is a transaction of its own; the rename is the commit of all of them."""
    rows = sum(edge.rows for edge in files.edges)
    pool = pool_bytes(max(edge.rows for edge in files.edges))
    with (
        progress.station("write run", total=rows, unit="rows") as station,
        ladybug.Database(fresh, buffer_pool_size=pool, max_db_size=MAX_FILE_BYTES) as database,
        ladybug.Connection(database) as connection,
    ):
        for edge in files.edges:
            connection.execute(f"DROP TABLE `{edge.type}`")
            connection.execute(edge_table([edge]))
            load_edges(connection, edge, piece_path(fresh), pool, alone=True)
            check_edges(connection, edge, fresh)
            station.advance(edge.rows)
        run = files.run
        values = {
            "id": run.id, "created": run.created, "model": run.model, "version": run.version, "config": run.config,
            "metrics": run.metrics, "cutoff": run.cutoff, "fingerprint": run.fingerprint,
        }  # fmt: skip
        connection.execute("MATCH (r:`Run`) SET r.`current` = false")
        given = {name: value for name, value in values.items() if value is not None}
        # CREATE, since SET takes no parameter for a time
        connection.execute("MATCH (r:`Run` {id: $id}) DELETE r", {"id": run.id})
        fields = ", ".join(f"`{name}`: ${name}" for name in given)
        connection.execute(f"CREATE (:`Run` {{{fields}, `current`: true}})", given)
        connection.execute("CHECKPOINT")
