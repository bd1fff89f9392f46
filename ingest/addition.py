"""What a run that adds a delivery to standing tables does beside cleaning: it joins, keeps and notes what changes."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb

from ingest.accounts import ACCOUNT_USERS
from ingest.clean_files import LoadedTable, write_rows
from ingest.contract import TABLES
from ingest.disclosure import Disclosure
from ingest.linkage.clusters import LINKED_USERS
from ingest.merge import MergedTable
from ingest.names import literal
from ingest.removals import Removals
from ingest.sources import Source
from ingest.standing import Standing, join

_COMPLETED = ("products", "users")
_OF_ACCOUNTS = (ACCOUNT_USERS, "account_links")


class Addition:
    """One addition of a source's rows to clean tables.

    Args:
        connection: the working database.
        source: the delivery.
        standing: the tables that stand.
        disclosure: what of the delivery may be written; rows are disclosed before they are joined, since those that
            stand were.

    Attributes:
        begun: whether `begin` was called.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, source: Source, standing: Standing, disclosure: Disclosure
    ) -> None:
        self._connection, self._source, self._standing = connection, source, standing
        self._disclosure = disclosure
        self._untouched: dict[str, LoadedTable | None] = {}
        self._before_removal: str | None = None
        self._touched: list[str] = []
        self.begun = False

    def begin(self, removals: Removals) -> tuple[Removals, dict[str, LoadedTable], dict[str, int]]:
        """The tables that the delivery has no rows for.

        Args:
            removals: of the delivery and before, where it has any.

        Returns:
            The removals that hold; the tables without what they take; and how many rows that is, per table.
        """
        self.begun = True
        if "removals" not in self._source.tables and (before := self._standing.table(self._connection, "removals")):
            removals = Removals.of(self._connection, before.relation)
        tables: dict[str, LoadedTable] = {}
        removed: dict[str, int] = {}
        for name in TABLES:
            if name in self._source.tables or (table := self._standing.table(self._connection, name)) is None:
                continue
            self._before_removal = table.relation if name == "events" else self._before_removal
            tables[name], gone = removals.apply(self._connection, table)
            self._untouched[name] = tables[name] if gone else None
            if gone:
                removed[name] = gone
            if name == "events":
                self.note_removed(tables[name].relation, gone)
        if "accounts" in tables:
            users = f"read_parquet({literal(str(self._standing.file(ACCOUNT_USERS)))})"
            self._connection.execute(
                f"CREATE OR REPLACE TABLE {LINKED_USERS} AS SELECT u.* FROM {users} u "
                f"SEMI JOIN {tables['accounts'].relation} a ON a.account_id = u.account_id"
            )
        return removals, tables, removed

    def join(self, table: LoadedTable, merged: MergedTable) -> tuple[LoadedTable, MergedTable]:
        """The delivered rows of a table with those that stand, and what became of the delivered ones."""
        delivered = self._disclosure.table(self._connection, table)
        before = self._standing.table(self._connection, table.name)
        if before is None:
            joined, touched = delivered, delivered.relation
        else:
            both = join(self._connection, before, delivered)
            joined, touched = both.table, both.touched
            columns = {
                c: merged.conflict_columns.get(c, 0) + both.conflict_columns.get(c, 0)
                for c in {**merged.conflict_columns, **both.conflict_columns}
            }
            merged = replace(
                merged,
                loaded=merged.loaded - both.merged,
                merged=merged.merged + both.merged,
                conflicts=merged.conflicts + both.conflicts,
                conflict_columns=columns,
            )
        if table.name == "events":
            self._touched.append(f"SELECT event_id FROM {touched}")
            self._before_removal = joined.relation
        return joined, merged

    def note_removed(self, kept: str, removed: int) -> None:
        """Remember the events that removals took, where they took any from those before."""
        if removed:
            gone = f"SELECT event_id FROM {self._before_removal} b ANTI JOIN {kept} k ON k.event_id = b.event_id"
            self._touched.append(gone)

    def write_changes(self, target: Path) -> None:
        """Write the ids of the events that were added, changed or removed, once each: one column, event_id."""
        ids = " UNION ".join(self._touched) or "SELECT NULL::VARCHAR AS event_id WHERE false"
        write_rows(self._connection, f"SELECT event_id FROM ({ids}) ORDER BY event_id", target)

    def kept(self, written: Path) -> dict[str, LoadedTable | None]:
        """Tables that the run has not written: those to be written since rows were removed, None for one as before."""
        own = {n: t for n, t in self._untouched.items() if n not in _COMPLETED}
        beside: dict[str, LoadedTable | None] = {
            name: None
            for name in _OF_ACCOUNTS
            if self._standing.has(name) and not (written / f"{name}.parquet").is_file()
        }
        return own | beside

    def carry_over(self, name: str, target: Path) -> None:
        """Put the clean file of a table as it stands into `target`: as a link, a copy where links are not possible."""
        file = self._standing.file(name)
        try:
            os.link(file, target / file.name)
        except OSError:
            shutil.copyfile(file, target / file.name)
