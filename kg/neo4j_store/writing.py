"""Writes batches with their ledger nodes, some transactions at a time: loads, updates and publishing alike."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import neo4j
from neo4j.exceptions import ConstraintError

from ingest.progress import Station
from kg.neo4j_store import ledger
from kg.neo4j_store.batches import Batch

WORKERS = 2
"""Transactions at a time: one is put together or sent while the server works on the other."""


def write_batches(
    driver: neo4j.Driver,
    database: str | None,
    build: str,
    batches: Iterator[Batch],
    station: Station,
    workers: int = WORKERS,
) -> None:
    """Keep `workers` transactions under way, and no more than one batch waiting for each.

    Args:
        driver: connected.
        database: its name, None for the account's home database.
        build: whose ledger the batches stand in.
        batches: in any order within one call.
        station: advances by the rows written.
        workers: transactions at a time; 1 where two would wait for each other's locks.
    """
    with ThreadPoolExecutor(workers) as pool:
        running: set[Future[int]] = set()
        try:
            for batch in batches:
                running.add(pool.submit(write_batch, driver, database, build, batch))
                if len(running) >= 2 * workers:
                    running = _advance(running, station)
            while running:
                running = _advance(running, station)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def write_batch(driver: neo4j.Driver, database: str | None, build: str, batch: Batch) -> int:
    """Write one batch; one that is there already, since only the answer of its commit was lost, stays as it is."""
    with driver.session(database=database) as session:
        try:
            session.execute_write(ledger.write, build, batch)
        except ConstraintError:
            # the commit of an earlier attempt went through and only its answer was lost
            if batch.id not in session.execute_read(ledger.written, build):
                raise
    return batch.rows


def _advance(running: set[Future[int]], station: Station) -> set[Future[int]]:
    finished, rest = wait(running, return_when=FIRST_COMPLETED)
    for future in finished:
        station.advance(future.result())
    return rest
