"""Updates an embedded database: a copy of the file is changed, checked, closed and renamed over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import ladybug

from ingest.progress import Progress, Station
from kg.delta import EdgeDelta, GraphDelta, NodeDelta
from kg.errors import GraphError
from kg.ladybug_store.answer import answer
from kg.ladybug_store.copying import copy_literal, load_edges, pool_bytes, property_columns
from kg.ladybug_store.replacing import MAX_FILE_BYTES, piece_path, replacement
from kg.ladybug_store.types import LADYBUG_TYPE
from kg.property_names import property_name
from kg.schema import Type
from kg.stores import EdgeFile, NodeFile

Counted = str | tuple[str, str, str]
"""A label, or source label, type and target label."""


def update(path: Path, delta: GraphDelta, progress: Progress) -> None:
    """Apply `delta` to the database at `path`.

    Raises:
        GraphError: the folder cannot be written, or the database holds other counts than it should.
    """
    pool = pool_bytes(max(edge.added.rows for edge in delta.edges))
    with (
        replacement(path, "updating the database", "run the update again", copy=True) as fresh,
        progress.station("update graph", total=delta.rows, unit="rows") as station,
        ladybug.Database(fresh, buffer_pool_size=pool, max_db_size=MAX_FILE_BYTES) as database,
        ladybug.Connection(database) as connection,
    ):
        _Update(connection, fresh, pool, station).run(delta)


class _Update:
    """The statements of one update."""

    def __init__(self, connection: ladybug.Connection, fresh: Path, pool: int, station: Station) -> None:
        self._connection, self._fresh, self._pool, self._station = connection, fresh, pool, station

    def run(self, delta: GraphDelta) -> None:
        counts = self._counts(delta)
        self._add_properties(delta)
        for edge in delta.edges:
            self._remove_edges(edge)
        for node in delta.nodes:
            self._change_nodes(node)
        for edge in delta.edges:
            self._add_edges(edge.added)
        expected: dict[Counted, int] = dict(delta.node_growth.items())
        expected |= dict(delta.edge_growth.items())
        for name, found in self._counts(delta).items():
            wanted = counts[name] + expected[name]
            if found != wanted:
                what = f"the database holds {found:,} {name}, not {wanted:,}"
                raise GraphError(what, str(self._fresh), "build the graph again without --update")
        self._connection.execute(
            "MATCH (b:`Batch` {id: 'build'}) SET b.build = $build, b.rows = b.rows + $more",
            {"build": delta.fingerprint, "more": sum(expected.values())},
        )
        self._connection.execute("CHECKPOINT")

    def _counts(self, delta: GraphDelta) -> dict[Counted, int]:
        queries: dict[Counted, str] = {label: f"MATCH (n:`{label}`) RETURN count(n)" for label in delta.node_growth}
        for key in delta.edge_growth:
            queries[key] = f"MATCH (:`{key[0]}`)-[r:`{key[1]}`]->(:`{key[2]}`) RETURN count(r)"
        return {name: self._count(query) for name, query in queries.items()}

    def _count(self, query: str) -> int:
        with answer(self._connection, query) as result:
            return int(result.get_as_arrow()[0][0].as_py())

    def _add_properties(self, delta: GraphDelta) -> None:
        """Columns for properties that the graph had not: extra columns that came with the new rows."""
        wanted: dict[str, Mapping[str, Type]] = {n.added.label: n.added.properties for n in delta.nodes}
        wanted |= {e.added.type: e.added.properties for e in delta.edges}
        for table, properties in wanted.items():
            with answer(self._connection, f"CALL table_info('{table}') RETURN name") as result:
                known = set(result.get_as_arrow()[0].to_pylist())
            for name, kind in properties.items():
                if name not in known:
                    self._connection.execute(f"ALTER TABLE `{table}` ADD {property_name(name)} {LADYBUG_TYPE[kind]}")

    def _remove_edges(self, edge: EdgeDelta) -> None:
        file = edge.removed
        if not file.rows:
            return
        one = " AND r.id = __id" if file.properties else ""
        named = ", id AS __id" if file.properties else ""
        self._connection.execute(
            f"LOAD FROM {copy_literal(file.path)} WITH source AS __source, target AS __target{named} "
            f"MATCH (a:`{file.source}`)-[r:`{file.type}`]->(b:`{file.target}`) "
            f"WHERE a.id = __source AND b.id = __target{one} DELETE r"
        )
        self._station.advance(file.rows)

    def _change_nodes(self, node: NodeDelta) -> None:
        label = node.added.label
        if node.removed.rows:
            self._connection.execute(
                f"LOAD FROM {copy_literal(node.removed.path)} WITH id AS __id "
                f"MATCH (n:`{label}`) WHERE n.id = __id DETACH DELETE n"
            )
        if node.added.rows:
            columns = property_columns(("id",), node.added.properties)
            self._connection.execute(f"COPY `{label}`({columns}) FROM {copy_literal(node.added.path)}")
        if node.changed.rows:
            self._set_properties(label, node.changed)
        self._station.advance(node.removed.rows + node.added.rows + node.changed.rows)

    def _set_properties(self, label: str, file: NodeFile) -> None:
        values = "".join(f", {property_name(p)} AS `__{p}`" for p in file.properties)
        # a file read in place has times without their zone, unlike one that is copied in
        assigned = ", ".join(
            f"n.{property_name(p)} = " + (f"cast(`__{p}`, 'TIMESTAMP_TZ')" if kind is Type.DATETIME else f"`__{p}`")
            for p, kind in file.properties.items()
        )
        self._connection.execute(
            f"LOAD FROM {copy_literal(file.path)} WITH id AS __id{values} MATCH (n:`{label}`) WHERE n.id = __id "
            f"SET {assigned}"
        )

    def _add_edges(self, file: EdgeFile) -> None:
        if not file.rows:
            return
        # a type with one pair of labels takes no ends
        alone = self._count(f"CALL show_connection('{file.type}') RETURN count(*)") == 1
        load_edges(self._connection, file, piece_path(self._fresh), self._pool, alone=alone)
        self._station.advance(file.rows)
