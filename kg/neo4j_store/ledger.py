"""The build's ledger in Neo4j: one `Batch` node for the build, and one per batch written with its rows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import neo4j

from kg.delta import GraphDelta
from kg.errors import GraphError
from kg.neo4j_store.batches import BATCH_ROWS, Batch
from kg.schema import Type
from kg.stores import GraphFiles

BUILD_ID = "build"
"""Id of the build's own node; those of batches are `FILE#NUMBER`."""

RUN_PREFIX = "run:"
"""Beginning of `build` in the ledger nodes of a published run, which no build or update looks at."""

UPDATING = "updating"
"""State of a build to which an update is being applied."""
IMPORTING = "importing"
"""State of a graph that came through the offline importer and has not been looked at since."""

EdgeKey = tuple[str, str, str]


@dataclass(frozen=True)
class BuildState:
    """What the ledger says of the graph.

    Attributes:
        build: fingerprint of the graph files.
        state: loading, importing, complete, updating or deleting.
        counter: differs for every build that wrote.
        batch_rows: rows per batch; batches of another size cannot be resumed.
        labels: property types per label.
        patterns: property types per (source, type, target).
        counts: nodes per label when complete.
        mends: of an import: what stands for lists that the importer cannot carry, and those lists.
    """

    build: str
    state: str
    counter: str
    batch_rows: int
    labels: dict[str, dict[str, Type]]
    patterns: dict[EdgeKey, dict[str, Type]]
    counts: dict[str, int]
    mends: list[dict[str, Any]]


def read_state(tx: neo4j.ManagedTransaction) -> BuildState | None:
    """The build that the database holds, None where no build wrote to it."""
    record = tx.run("MATCH (b:Batch {id: $id}) WHERE b.schema IS NOT NULL RETURN b", id=BUILD_ID).single()
    if record is None:
        return None
    node = record["b"]
    schema: dict[str, Any] = json.loads(node["schema"])
    labels = {label: _types(properties) for label, properties in schema["labels"].items()}
    patterns = {(s, t, e): _types(properties) for s, t, e, properties in schema["patterns"]}
    return BuildState(
        node["build"], node["state"], node["counter"], schema["batch_rows"], labels, patterns, schema["counts"],
        schema.get("mends", []),
    )  # fmt: skip


def build_node(graph: GraphFiles, state: str, mends: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Properties of the build's node, but its id and when it was made."""
    schema = {
        "batch_rows": BATCH_ROWS,
        "labels": {n.label: _names(n.properties) for n in graph.nodes},
        "patterns": [[e.source, e.type, e.target, _names(e.properties)] for e in graph.edges],
        "counts": {n.label: n.rows for n in graph.nodes},
        **({"mends": list(mends)} if mends else {}),
    }
    counter = uuid.uuid4().hex
    return {
        "build": graph.fingerprint, "state": state, "rows": graph.rows, "counter": counter, "schema": json.dumps(schema)
    }  # fmt: skip


def begin(tx: neo4j.ManagedTransaction, graph: GraphFiles) -> None:
    """Write the build's node in state loading."""
    node = build_node(graph, "loading")
    tx.run("MERGE (b:Batch {id: $id}) SET b += $node, b.created = datetime()", id=BUILD_ID, node=node).consume()


def begin_update(
    tx: neo4j.ManagedTransaction, state: BuildState, delta: GraphDelta, counts: dict[str, int], expected: str
) -> None:
    """Put the build into the state of being updated; the ledger of the build before goes.

    Args:
        tx: the transaction.
        state: of the build before.
        delta: the update.
        counts: nodes per label once it is complete.
        expected: JSON of every count that is checked in the end.
    """
    others = "b.id <> $id AND NOT b.build STARTS WITH $runs"
    tx.run(f"MATCH (b:Batch) WHERE {others} DELETE b", id=BUILD_ID, runs=RUN_PREFIX).consume()
    labels = {**state.labels, **{n.added.label: n.added.properties for n in delta.nodes}}
    patterns = {**state.patterns}
    patterns |= {(e.added.source, e.added.type, e.added.target): dict(e.added.properties) for e in delta.edges}
    schema = {
        "batch_rows": BATCH_ROWS,
        "labels": {label: _names(properties) for label, properties in labels.items()},
        "patterns": [[*key, _names(properties)] for key, properties in patterns.items()],
        "counts": counts,
    }
    tx.run(
        "MATCH (b:Batch {id: $id}) SET b.build = $build, b.state = $state, b.counter = $counter, b.schema = $schema, "
        "b.expected = $expected",
        id=BUILD_ID,
        build=delta.fingerprint,
        state=UPDATING,
        counter=uuid.uuid4().hex,
        schema=json.dumps(schema),
        expected=expected,
    ).consume()


def expected_counts(tx: neo4j.ManagedTransaction) -> dict[str, int]:
    """Pattern -> count that an update must come to."""
    record = tx.run("MATCH (b:Batch {id: $id}) RETURN b.expected AS expected", id=BUILD_ID).single(strict=True)
    counts: dict[str, int] = json.loads(record["expected"])
    return counts


def set_state(tx: neo4j.ManagedTransaction, state: str) -> None:
    """Put the build into another state; its counter moves."""
    tx.run(
        "MATCH (b:Batch {id: $id}) SET b.state = $state, b.counter = $counter",
        id=BUILD_ID,
        state=state,
        counter=uuid.uuid4().hex,
    ).consume()


def written(tx: neo4j.ManagedTransaction, build: str) -> frozenset[str]:
    """Ids of the batches of `build` that were written."""
    found = tx.run("MATCH (b:Batch {build: $build}) WHERE b.id <> $id RETURN b.id AS id", build=build, id=BUILD_ID)
    return frozenset(record["id"] for record in found)


def write(tx: neo4j.ManagedTransaction, build: str, batch: Batch) -> None:
    """Write a batch and its ledger node in one transaction.

    The unique id of the ledger node refuses a batch that was written already.

    Raises:
        GraphError: a relationship of the batch has an end that is no node.
    """
    tx.run(
        "CREATE (:Batch {id: $id, build: $build, state: 'complete', rows: $rows, created: datetime()})",
        id=batch.id,
        build=build,
        rows=batch.rows,
    ).consume()
    counters = tx.run(batch.statement, batch.parameters).consume().counters
    created = counters.relationships_created or counters.nodes_created
    if batch.creates and created != batch.rows:
        what = f"{batch.rows - created:,} of {batch.rows:,} rows did not find both of their ends"
        raise GraphError(what, batch.id, "something else changes this database; build again when it has ended")


def _names(properties: Any) -> dict[str, str]:
    return {name: kind.value for name, kind in properties.items()}


def _types(properties: dict[str, str]) -> dict[str, Type]:
    return {name: Type(value) for name, value in properties.items()}
