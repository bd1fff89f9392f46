"""Cuts the files of a difference into batches that remove and change; what is created is cut as in a load."""

from __future__ import annotations

from collections.abc import Iterator

from kg.neo4j_store.batches import Batch, batch_slices, property_values
from kg.property_names import property_name
from kg.stores import EdgeFile, NodeFile


def removed_edge_batches(file: EdgeFile, skip: frozenset[str]) -> Iterator[Batch]:
    """Batches that delete relationships: all of a pair, or of an event the one of its `id`."""
    one = " {id: $id[i]}" if file.properties else ""
    for identity, table in batch_slices(file, skip):
        parameters = {name: table[name].to_pylist() for name in table.column_names}
        statement = (
            "UNWIND range(0, size($source) - 1) AS i "
            f"MATCH (a:`{file.source}` {{id: $source[i]}}) MATCH (b:`{file.target}` {{id: $target[i]}}) "
            f"MATCH (a)-[r:`{file.type}`{one}]->(b) DELETE r"
        )
        yield Batch(identity, statement, parameters, len(table), creates=False)


def removed_node_batches(file: NodeFile, skip: frozenset[str]) -> Iterator[Batch]:
    """Batches that delete nodes, with what training runs wrote to them."""
    for identity, table in batch_slices(file, skip):
        statement = f"UNWIND $id AS id MATCH (n:`{file.label}` {{id: id}}) DETACH DELETE n"
        yield Batch(identity, statement, {"id": table["id"].to_pylist()}, len(table), creates=False)


def valued_edge_batches(file: EdgeFile) -> Iterator[Batch]:
    """Batches that set properties of the events that a file names by their ends and `id`."""
    names = [name for name in file.properties if name != "id"]
    assigned = ", ".join(f"r.{property_name(name)} = ${property_name(name)}[i]" for name in names)
    for identity, table in batch_slices(file, frozenset()):
        parameters = {name: table[name].to_pylist() for name in ("source", "target", "id", *names)}
        statement = (
            "UNWIND range(0, size($source) - 1) AS i "
            f"MATCH (a:`{file.source}` {{id: $source[i]}}) MATCH (b:`{file.target}` {{id: $target[i]}}) "
            f"MATCH (a)-[r:`{file.type}` {{id: $id[i]}}]->(b) SET {assigned} RETURN count(r) AS n"
        )
        yield Batch(identity, statement, parameters, len(table), creates=False)


def changed_batches(file: NodeFile, skip: frozenset[str]) -> Iterator[Batch]:
    """Batches that set every property of a node, those that have become empty too."""
    for identity, table in batch_slices(file, skip):
        values, parameters = property_values(table, file.properties)
        parameters["__key"] = table["id"].to_pylist()
        emptied = "".join(
            f", n.{property_name(p)} = null" for p in file.properties if table[p].null_count == len(table)
        )
        statement = (
            f"UNWIND range(0, size($__key) - 1) AS i MATCH (n:`{file.label}` {{id: $__key[i]}}) "
            f"SET n += {{{values}}}{emptied}"
        )
        yield Batch(identity, statement, parameters, len(table), creates=False)
