"""The tables of one build, cleaned one after the other; users and products are completed at the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb

from ingest.accounts import ACCOUNT_USERS, OWNERS, name_owners, resolve_accounts
from ingest.clean_files import (
    PRODUCT_TABLES,
    USER_TABLES,
    LoadedTable,
    case_variants,
    create_missing,
    write_rows,
    write_table,
)
from ingest.cleaning import CleanedTable, clean_table, write_quarantine
from ingest.linkage.clusters import KEPT
from ingest.linkage.decisions import DECISIONS_FILE
from ingest.linkage.report import LinkReport
from ingest.linkage.resolve import link_accounts
from ingest.linkage.settings import LinkSettings
from ingest.merge import MergedTable, merge_rows
from ingest.progress import Station
from ingest.quality import TableQuality
from ingest.rules import RuleContext
from ingest.sources import Source
from ingest.staging import StagedTable, quiet

_FIRST = ("products", "accounts")
"""Tables that the rules of others look into."""

_ID_COLUMNS = (("products", "product_id"), ("products", "brand"), ("users", "user_id"), ("campaigns", "campaign_id"))
_EXAMPLES = 5
_ACCOUNT_LINKS = "account_links"


class TableRun:
    """Cleans tables into `scratch/tables`.

    Args:
        connection: the working database, with its macros.
        source: where tables come from.
        scratch: folder for what is temporary, and for the tables.
        as_of: events may lie at most a day after it.
        earliest: no time lies before it.
        dangling: `quarantine` or `create`.
        link: how accounts are resolved to users.

    Attributes:
        target: folder of the clean tables.
        quality: what became of each table so far.
        case_variants: `table.column` -> ids that differ only by case, after `complete`.
        linkage: what became of the accounts; None without an accounts table.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: Source,
        scratch: Path,
        as_of: datetime,
        earliest: datetime,
        dangling: str,
        link: LinkSettings,
    ) -> None:
        self._connection, self._source, self._scratch = connection, source, scratch
        self._create_products = dangling == "create" or "products" not in source.tables
        known = None if self._create_products else "loaded_products"
        self._context = RuleContext(as_of, earliest, known)
        self._link = link
        self._loaded: dict[str, LoadedTable] = {}
        self.target = scratch / "tables"
        (self.target / "quarantine").mkdir(parents=True)
        self.quality: dict[str, TableQuality] = {}
        self.case_variants: dict[str, list[list[str]]] = {}
        self.linkage: LinkReport | None = None

    def order(self) -> list[str]:
        """The source's tables, those first that the rules of others look into."""
        return sorted(self._source.tables, key=lambda name: name not in _FIRST)

    def clean(self, name: str, station: Station) -> None:
        """Clean one table; products and users are written by `complete`."""
        staged = self._source.stage(self._connection, name, self._scratch)
        owners = OWNERS if "accounts" in self._loaded else None
        cleaned = clean_table(self._connection, staged, self._context, owners)
        quarantine = self.target / "quarantine" / f"{name}.parquet"
        write_quarantine(self._connection, staged, cleaned, quarantine)
        merged = merge_rows(self._connection, cleaned)
        self._loaded[name] = LoadedTable.of(cleaned, merged)
        self.quality[name] = _quality(staged, cleaned, merged, self._examples(quarantine))
        if name == "accounts":
            self._link_accounts(merged.relation)
        if name not in ("products", "users"):
            write_table(self._connection, self._loaded[name], self._file(name))
        station.advance(cleaned.rows_in)
        station.note(_remark(self.quality[name], self.linkage if name == "accounts" else None))

    def complete(self, station: Station) -> None:
        """Create the users and products that other tables name, and write both."""
        users = [f"SELECT user_id FROM {self._loaded[n].relation}" for n in USER_TABLES if n in self._loaded]
        if self._resolve_accounts():
            users.append(f"SELECT user_id FROM {ACCOUNT_USERS}")
        self._finish("users", "user_id", users)
        named = [f"SELECT product_id FROM {self._loaded[n].relation}" for n in PRODUCT_TABLES if n in self._loaded]
        self._finish("products", "product_id", named if self._create_products else [])
        for table, column in _ID_COLUMNS:
            if self._file(table).exists() and (groups := case_variants(self._connection, self._file(table), column)):
                self.case_variants[f"{table}.{column}"] = groups
        station.note(f"{self.quality['users'].created:,} users created" if "users" in self.quality else "")

    def _finish(self, name: str, key: str, references: list[str]) -> None:
        """Write users or products with the rows that the references name and the source lacks."""
        if name not in self._loaded and not references:
            return
        table, created = create_missing(self._connection, name, key, self._loaded.get(name), references)
        dangling = write_table(self._connection, table, self._file(name))
        quality = self.quality.get(name, TableQuality())
        if dangling:
            mends = {**quality.mends, "parent_id": {**quality.mends.get("parent_id", {}), "dangling_parent": dangling}}
            quality = replace(quality, mends=mends, mended=quality.mended + dangling)
        self.quality[name] = replace(quality, created=created)

    def _link_accounts(self, accounts: str) -> None:
        """Resolve the accounts of the accounts table to users, and write the links between them."""
        linking = self._connection.cursor()  # of its own, since splink leaves tables and results behind
        try:
            linking.execute("SET TimeZone = 'UTC'")
            quiet(linking)
            decisions = self._source.files().get(DECISIONS_FILE)
            self.linkage = link_accounts(linking, accounts, self._link, decisions, self._scratch)
            columns = "account_a, account_b, method, confidence, kept"
            target = self._file(_ACCOUNT_LINKS)
            write_rows(linking, f"SELECT {columns} FROM {KEPT} ORDER BY account_a, account_b", target)
        finally:
            linking.close()
        resolve_accounts(self._connection, linked=True, events=None)
        name_owners(self._connection, accounts)

    def _resolve_accounts(self) -> bool:
        """Write account_users where there are accounts; whether there are."""
        events = self._loaded["events"].relation if "events" in self._loaded else None
        resolve_accounts(self._connection, linked=self.linkage is not None, events=events)
        found = self._connection.execute(f"SELECT count(*) FROM {ACCOUNT_USERS}").fetchone()
        if self.linkage is None and not (found and found[0]):
            return False
        write_rows(self._connection, f"FROM {ACCOUNT_USERS} ORDER BY account_id", self._file(ACCOUNT_USERS))
        return True

    def _file(self, name: str) -> Path:
        return self.target / f"{name}.parquet"

    def _examples(self, quarantine: Path) -> dict[str, list[list[str | int | None]]]:
        """The commonest offending values per rule."""
        found = self._connection.execute(
            "SELECT rule, left(value, 80) AS v, count(*) AS n FROM read_parquet(?) GROUP BY rule, v "
            f"QUALIFY row_number() OVER (PARTITION BY rule ORDER BY n DESC, v) <= {_EXAMPLES} ORDER BY rule, n DESC, v",
            [str(quarantine)],
        ).fetchall()
        examples: dict[str, list[list[str | int | None]]] = {}
        for rule, value, n in found:
            examples.setdefault(rule, []).append([value, n])
        return examples


def _quality(
    staged: StagedTable, cleaned: CleanedTable, merged: MergedTable, examples: dict[str, list[list[str | int | None]]]
) -> TableQuality:
    rules: dict[str, int] = {}
    for index, n in cleaned.quarantined.items():
        rules[cleaned.rules[index].name] = rules.get(cleaned.rules[index].name, 0) + n
    mends: dict[str, dict[str, int]] = {}
    for (rule, column), n in cleaned.mended.items():
        mends.setdefault(column, {})[rule] = n
    return TableQuality(
        rows_in=cleaned.rows_in,
        loaded=merged.loaded,
        merged=merged.merged,
        quarantined=sum(cleaned.quarantined.values()),
        mended=sum(cleaned.mended.values()),
        conflicts=merged.conflicts,
        rules=rules,
        mends=mends,
        conflict_columns=merged.conflict_columns,
        extras={c.name: c.source for c in cleaned.columns if c.extra and c.source is not None},
        files=[f.name for f in staged.files],
        examples=examples,
    )


def _remark(quality: TableQuality, linkage: LinkReport | None) -> str:
    parts = [f"{quality.loaded:,} loaded"]
    parts += [f"{n:,} {what}" for n, what in ((quality.merged, "merged"), (quality.quarantined, "quarantined")) if n]
    if linkage is not None:
        parts.append(f"of {linkage.users:,} users")
        parts += (
            [f"decisions about unknown accounts: {linkage.unknown_decisions:,}"] if linkage.unknown_decisions else []
        )
    return ", ".join(parts)
