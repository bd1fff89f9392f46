"""What a graph gains, loses and changes when its clean tables do: the difference as files, the same for every store.

Events are compared where the update says that they changed, and so are the orders that these are part of; all else is
made of both the old and the new tables and compared whole, which costs little beside loading it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ingest.names import identifier, literal
from ingest.progress import Progress
from ingest.staging import quiet
from kg.clean_tables import SQL_TYPE, CleanTables, open_views, table_files
from kg.schema import EVENT_TYPES, LABELS, LEDGER_LABELS, RELATIONSHIPS, WRITTEN_BACK, Type
from kg.shape import MEMORY, properties_of, write_sorted
from kg.shape_edges import EdgeKey, edge_queries
from kg.shape_nodes import node_queries, prepare
from kg.stores import EdgeFile, NodeFile

_FORMAT = 2
_MANIFEST = "delta.json"
_EVENTS = frozenset(EVENT_TYPES.values())


@dataclass(frozen=True)
class NodeDelta:
    """Nodes of one label that differ.

    Attributes:
        added: new nodes.
        changed: nodes of whose properties any differs, with all of them as they become.
        removed: nodes that go; their `id`.
    """

    added: NodeFile
    changed: NodeFile
    removed: NodeFile


@dataclass(frozen=True)
class EdgeDelta:
    """Relationships of one type and label pair that differ.

    Attributes:
        added: relationships to be created once `removed` are gone.
        removed: `source` and `target` of pairs all of whose relationships of this type go, since one of them did (the
            others are created again); of events also `id`, and only the one of that id goes.
        lost: relationships that this removes.
    """

    added: EdgeFile
    removed: EdgeFile
    lost: int


@dataclass(frozen=True)
class GraphDelta:
    """The difference of two graphs.

    Attributes:
        base: fingerprint of the graph that it is applied to.
        fingerprint: of the graph that comes of it; the same as `base` where nothing differs.
        nodes: per label.
        edges: per type and label pair.
    """

    base: str
    fingerprint: str
    nodes: tuple[NodeDelta, ...]
    edges: tuple[EdgeDelta, ...]

    @property
    def rows(self) -> int:
        """Nodes and relationships that are written, changed or removed."""
        nodes = sum(n.added.rows + n.changed.rows + n.removed.rows for n in self.nodes)
        return nodes + sum(e.added.rows + e.removed.rows for e in self.edges)

    def summary(self) -> dict[str, int]:
        """Nodes and relationships added, changed and removed; nothing where nothing differs."""
        counts = {
            "nodes added": sum(n.added.rows for n in self.nodes),
            "nodes changed": sum(n.changed.rows for n in self.nodes),
            "nodes removed": sum(n.removed.rows for n in self.nodes),
            "relationships added": sum(e.added.rows for e in self.edges),
            "relationships removed": sum(e.lost for e in self.edges),
        }
        return {what: n for what, n in counts.items() if n}

    @property
    def node_growth(self) -> dict[str, int]:
        """Label -> nodes more (or fewer) than before."""
        return {n.added.label: n.added.rows - n.removed.rows for n in self.nodes}

    @property
    def edge_growth(self) -> dict[EdgeKey, int]:
        """(source, type, target) -> relationships more (or fewer) than before."""
        return {(e.added.source, e.added.type, e.added.target): e.added.rows - e.lost for e in self.edges}


class OtherTypesError(Exception):
    """A property has another type than before: the graph has to be loaded whole."""


def shape_delta(
    before: Path, after: Path, changed_events: Path, folder: Path, base: str, progress: Progress
) -> GraphDelta:
    """Compare the graphs of two folders of clean tables.

    Args:
        before: clean tables of the graph that stands.
        after: clean tables of the graph to come.
        changed_events: Parquet with the column event_id: events that were added, changed or removed.
        folder: folder of the difference; appears whole or not at all. One of the same tables is used again.
        base: fingerprint of the graph that stands.
        progress: shows one station.

    Raises:
        OtherTypesError: a property has another type than before.
        GraphError: a table cannot be read.
    """
    kept = _kept(folder, base)
    if kept is not None:
        return kept
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    connection = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": str(scratch / "spill")})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        quiet(connection)
        with progress.station("compare graphs", total=len(LABELS) + len(RELATIONSHIPS), unit="tables") as station:
            comparison = _Comparison(connection, before, after, changed_events, scratch)
            entries = comparison.run(station.advance)
        shutil.rmtree(scratch / "spill", ignore_errors=True)
        digest = hashlib.sha256(json.dumps([_FORMAT, base, entries], default=str).encode()).hexdigest()
        differs = any(part["rows"] for entry in entries for part in entry["parts"].values())
        manifest = {"format": _FORMAT, "base": base, "fingerprint": digest if differs else base, "entries": entries}
        (scratch / _MANIFEST).write_text(json.dumps(manifest, indent=1))
        if folder.exists():
            shutil.rmtree(folder)
        scratch.replace(folder)
    finally:
        connection.close()
        shutil.rmtree(scratch, ignore_errors=True)
    return _read(folder, manifest)


class _Comparison:
    """Two folders of clean tables in one working database, as the schemas `before` and `after`."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, before: Path, after: Path, changed: Path, scratch: Path
    ) -> None:
        self._connection, self._scratch = connection, scratch
        files = {"before": table_files(before), "after": table_files(after)}
        self._note_touched(files, changed)
        self._tables: dict[str, CleanTables] = {}
        only = {"events": "event_id IN (FROM memory.main.changed) OR order_id IN (FROM memory.main.orders)"}
        for side, found in files.items():
            connection.execute(f"CREATE SCHEMA {side}; USE {side}")
            self._tables[side] = open_views(connection, found, only)
            prepare(connection)
        connection.execute("USE main")

    def _note_touched(self, files: Mapping[str, Mapping[str, Path]], changed: Path) -> None:
        self._connection.execute(f"CREATE TABLE changed AS SELECT event_id FROM read_parquet({literal(str(changed))})")
        orders = [
            f"SELECT order_id FROM read_parquet({literal(str(found['events']))}) SEMI JOIN changed USING (event_id)"
            for found in files.values()
            if "events" in found
        ]
        self._connection.execute(
            f"CREATE TABLE orders AS SELECT DISTINCT order_id FROM ({' UNION '.join(orders)}) WHERE order_id NOT NULL"
            if orders
            else "CREATE TABLE orders (order_id VARCHAR)"
        )

    def run(self, advance: Any) -> list[dict[str, Any]]:
        """Write the files of the difference; an entry per label and per (source, type, target)."""
        entries = []
        queries = {side: node_queries(tables) for side, tables in self._tables.items()}
        for label in LABELS:
            if label not in LEDGER_LABELS:
                properties = self._properties(label, LABELS[label].properties)
                entries.append({"label": label, "parts": self._nodes(label, properties, queries)})
            advance()
        edges = {side: edge_queries(tables) for side, tables in self._tables.items()}
        for name, relationship in RELATIONSHIPS.items():
            for source, target in relationship.endpoints:
                key = (source, name, target)
                if name not in WRITTEN_BACK:
                    properties = self._properties(name, relationship.properties)
                    entries.append({"key": list(key), **self._edges(key, properties, edges)})
            advance()
        return entries

    def _properties(self, name: str, contract: Mapping[str, Type]) -> dict[str, Type]:
        before, after = (properties_of(name, contract, tables) for tables in self._tables.values())
        if any(after.get(p) is not kind for p, kind in before.items()):
            raise OtherTypesError(name)
        return after

    def _take(
        self, keys: Sequence[str], properties: Mapping[str, Type], queries: Mapping[str, str], known: Sequence[str]
    ) -> None:
        """Tables `old` and `new` of the rows that both sides' queries give."""
        for side, table in (("before", "old"), ("after", "new")):
            typed = [f"{identifier(k)}::VARCHAR AS {identifier(k)}" for k in keys]
            typed += [
                f"{identifier(p) if side == 'after' or p in known else 'NULL'}::{SQL_TYPE[t]} AS {identifier(p)}"
                for p, t in properties.items()
            ]
            self._connection.execute(f"USE {side}")
            self._connection.execute(
                f"CREATE OR REPLACE TABLE memory.main.{table} AS SELECT {', '.join(typed)} FROM ({queries[side]})"
            )
        self._connection.execute("USE main")

    def _known(self, name: str, contract: Mapping[str, Type]) -> list[str]:
        return list(properties_of(name, contract, self._tables["before"]))

    def _nodes(
        self, label: str, properties: Mapping[str, Type], queries: Mapping[str, Mapping[str, str]]
    ) -> dict[str, Any]:
        of_label = {side: found[label] for side, found in queries.items()}
        self._take(["id"], properties, of_label, self._known(label, LABELS[label].properties))
        differs = " OR ".join(f"n.{identifier(p)} IS DISTINCT FROM o.{identifier(p)}" for p in properties) or "false"
        parts = {
            "added": (properties, "SELECT * FROM new ANTI JOIN old USING (id)"),
            "changed": (properties, f"SELECT n.* FROM new n JOIN old o USING (id) WHERE {differs}"),
            "removed": ({}, "SELECT id FROM old ANTI JOIN new USING (id)"),
        }
        return {
            part: write_sorted(self._connection, self._scratch, f"{label}.{part}", ["id"], kinds, query)
            for part, (kinds, query) in parts.items()
        }

    def _edges(
        self, key: EdgeKey, properties: Mapping[str, Type], queries: Mapping[str, Mapping[EdgeKey, str]]
    ) -> dict[str, Any]:
        of_key = {side: found[key] for side, found in queries.items()}
        self._take(["source", "target"], properties, of_key, self._known(key[1], RELATIONSHIPS[key[1]].properties))
        self._connection.execute("CREATE OR REPLACE TABLE gone AS FROM old EXCEPT ALL FROM new")
        if key[1] in _EVENTS:
            removed: dict[str, Type] = {"id": Type.STRING}
            gone, fresh = "SELECT source, target, id FROM gone", "FROM new EXCEPT ALL FROM old"
            lost = "SELECT count(*) FROM gone"
        else:
            removed, pairs = {}, "(SELECT DISTINCT source, target FROM gone)"
            gone = f"FROM {pairs}"
            fresh = (
                f"SELECT * FROM (FROM new EXCEPT ALL FROM old) ANTI JOIN {pairs} USING (source, target) "
                f"UNION ALL SELECT * FROM new SEMI JOIN {pairs} USING (source, target)"
            )
            lost = f"SELECT count(*) FROM old SEMI JOIN {pairs} USING (source, target)"
        stem, ends = ".".join(key), ["source", "target"]
        parts = {
            "added": write_sorted(self._connection, self._scratch, f"{stem}.added", ends, properties, fresh),
            "removed": write_sorted(self._connection, self._scratch, f"{stem}.removed", ends, removed, gone),
        }
        found = self._connection.execute(lost).fetchone()
        return {"parts": parts, "lost": int(found[0]) if found else 0}


def _kept(folder: Path, base: str) -> GraphDelta | None:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    return _read(folder, manifest) if (manifest.get("format"), manifest.get("base")) == (_FORMAT, base) else None


def _read(folder: Path, manifest: Mapping[str, Any]) -> GraphDelta:
    nodes, edges = [], []
    for entry in manifest["entries"]:
        made = {
            part: (folder / e["file"], e["rows"], {p: Type(t) for p, t in e["properties"].items()})
            for part, e in entry["parts"].items()
        }
        if "label" in entry:
            nodes.append(NodeDelta(**{part: NodeFile(entry["label"], *spec) for part, spec in made.items()}))
        else:
            key = tuple(entry["key"])
            added, removed = (EdgeFile(key[0], key[1], key[2], *made[part]) for part in ("added", "removed"))
            edges.append(EdgeDelta(added, removed, entry["lost"]))
    return GraphDelta(manifest["base"], manifest["fingerprint"], tuple(nodes), tuple(edges))
