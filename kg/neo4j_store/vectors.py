"""Product vectors in Neo4j: a property with a vector index, changed in one transaction or by turning to another.

Up to `IN_PLACE` changed vectors are written in the transaction that makes a run current. More do not fit well: then all
go to the other of two properties, which its run names (`Run.vector_property`, `Run.vector_index`), and the first is
removed afterwards. Either way a reader that goes by the current run never sees vectors of two runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import neo4j
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.progress import Progress
from kg.runs import VectorFile

IN_PLACE = 20_000
"""Most changed vectors that are written together with the turn to another run."""

_ROWS = 5_000
_PROPERTIES = ("vector_a", "vector_b")
_INDEX_SECONDS = 600


@dataclass(frozen=True)
class Change:
    """What the turn to another run has to do for its vectors.

    Attributes:
        property: the Product property that holds the run's vectors, None without vectors.
        index: its vector index.
        ids: products whose vector changes in place.
        vectors: their vectors.
        hashes: names of their content.
        gone: products that lose theirs in place.
    """

    property: str | None = None
    index: str | None = None
    ids: list[str] = field(default_factory=list)
    vectors: list[list[float]] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


def prepare(session: neo4j.Session, file: VectorFile | None, progress: Progress) -> Change:
    """Write what can be written unseen; what a reader would notice is left to `apply`."""
    if file is None or not file.rows:
        return Change()
    table = pq.read_table(file.path)
    record = session.run("MATCH (r:Run) WHERE r.current RETURN r.vector_property AS p").single()
    now = record["p"] if record else None
    ids, hashes = table["id"].to_pylist(), table["hash"].to_pylist()
    if now and _width(session, now) == file.width:
        known = _hashes(session, now)
        changed = [n for n, (i, h) in enumerate(zip(ids, hashes, strict=True)) if known.get(i) != h]
        gone = sorted(set(known) - set(ids))
        if len(changed) + len(gone) <= IN_PLACE:
            part = table.take(pa.array(changed, pa.int64()))
            columns = (part["id"].to_pylist(), part["vector"].to_pylist(), part["hash"].to_pylist())
            return Change(now, _index(now), *columns, gone)
    other = _PROPERTIES[1] if now == _PROPERTIES[0] else _PROPERTIES[0]
    if _width(session, other) not in (None, file.width):
        _remove(session, other)
    _fill(session, other, table, progress)
    with progress.station("index vectors"):
        session.run(
            f"CREATE VECTOR INDEX {_index(other)} IF NOT EXISTS FOR (p:Product) ON (p.{other}) OPTIONS "
            f"{{indexConfig: {{`vector.dimensions`: {file.width}, `vector.similarity_function`: 'cosine', "
            "`vector.quantization.enabled`: false}}"  # quantised, near products change places
        ).consume()
        session.run("CALL db.awaitIndex($index, $seconds)", index=_index(other), seconds=_INDEX_SECONDS).consume()
    return Change(other, _index(other))


def apply(tx: neo4j.ManagedTransaction, change: Change) -> None:
    """Write the vectors that change in place."""
    if change.ids:
        _set(tx, str(change.property), change.ids, change.vectors, change.hashes)
    if change.gone:
        tx.run(
            f"UNWIND $ids AS id MATCH (p:Product {{id: id}}) REMOVE p.{change.property}, p.{change.property}_hash",
            ids=change.gone,
        ).consume()


def tidy(session: neo4j.Session) -> bool:
    """Remove the vectors of no current run; returns whether there were any."""
    record = session.run("MATCH (r:Run) WHERE r.current RETURN r.vector_property AS p").single()
    used = record["p"] if record else None
    removed = [_remove(session, name) for name in _PROPERTIES if name != used]
    return any(removed)


def _fill(session: neo4j.Session, name: str, table: pa.Table, progress: Progress) -> None:
    """Make the property hold the vectors of the table: those that it holds already, of a killed publish, are kept."""
    known = _hashes(session, name)
    ids, hashes = table["id"].to_pylist(), table["hash"].to_pylist()
    rest = [n for n, (i, h) in enumerate(zip(ids, hashes, strict=True)) if known.get(i) != h]
    gone = sorted(set(known) - set(ids))
    with progress.station("write vectors", total=len(rest), unit="products") as station:
        session.execute_write(apply, Change(name, gone=gone))
        for part in _parts(table.take(pa.array(rest, pa.int64()))):
            columns = (part["id"].to_pylist(), part["vector"].to_pylist(), part["hash"].to_pylist())
            session.execute_write(_set, name, *columns)
            station.advance(len(part))


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, len(table), _ROWS):
        yield table.slice(start, _ROWS)


def _set(
    tx: neo4j.ManagedTransaction, name: str, ids: list[str], vectors: list[list[float]], hashes: list[str]
) -> None:
    tx.run(
        "UNWIND range(0, size($ids) - 1) AS i MATCH (p:Product {id: $ids[i]}) "
        f"SET p.{name}_hash = $hashes[i] WITH p, i CALL db.create.setNodeVectorProperty(p, '{name}', $vectors[i])",
        ids=ids, hashes=hashes, vectors=vectors,
    ).consume()  # fmt: skip


def _hashes(session: neo4j.Session, name: str) -> dict[str, str]:
    found = session.run(
        f"MATCH (p:Product) WHERE p.{name}_hash IS NOT NULL WITH collect(p) AS every "
        f"RETURN [p IN every | p.id] AS ids, [p IN every | p.{name}_hash] AS hashes"
    ).single(strict=True)
    return dict(zip(found["ids"], found["hashes"], strict=True))


def _width(session: neo4j.Session, name: str) -> int | None:
    """Numbers per vector that the property's index takes, None without an index."""
    record = session.run(
        "SHOW VECTOR INDEXES YIELD name, options WHERE name = $index RETURN options", index=_index(name)
    ).single()
    return int(record["options"]["indexConfig"]["vector.dimensions"]) if record else None


def _remove(session: neo4j.Session, name: str) -> bool:
    session.run(f"DROP INDEX {_index(name)} IF EXISTS").consume()
    removed = session.run(
        f"MATCH (p:Product) WHERE p.{name}_hash IS NOT NULL OR p.{name} IS NOT NULL "
        f"CALL (p) {{ REMOVE p.{name}, p.{name}_hash }} IN TRANSACTIONS OF {_ROWS} ROWS"
    ).consume()
    return bool(removed.counters.properties_set)


def _index(name: str) -> str:
    return f"shopgraph_product_{name}"
