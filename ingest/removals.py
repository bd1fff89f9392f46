"""What a shop takes back: rows that the removals table names leave the clean tables, whichever delivery they came in.

A removal names a table and an id. It takes the row of that id, and the rows of other tables that say something of it:
with a user go the user's events and redemptions, with a product its events and coupons. One without a time stands for
good. One with a time takes only what happened up to then, or at an unknown time, and nothing of tables without times.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import duckdb

from ingest.clean_files import LoadedTable
from ingest.columns import ROW_TIME
from ingest.contract import TABLES
from ingest.names import identifier, literal

REMOVED = "removed_ids"
"""Relation: what (table), id, whole (for good), until (else up to this time)."""

_PRODUCT_HEAD = "coalesce(lower({0}_type), 'product') = 'product'"
_PERSON_HEAD = "lower({0}_type) = 'user'"
UNDER: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "products": (("products", "product_id", ""),),
    "users": (("users", "user_id", ""),),
    "events": (
        ("events", "event_id", ""),
        ("users", "user_id", ""),
        ("products", "product_id", ""),
    ),
    "triples": tuple(
        (table, end, condition.format(end))
        for end in ("head", "tail")
        for table, condition in (("products", _PRODUCT_HEAD), ("users", _PERSON_HEAD))
    ),
    "campaigns": (("campaigns", "campaign_id", ""), ("users", "user_id", "")),
    "coupons": (
        ("coupons", "coupon_id", ""),
        ("products", "product_id", ""),
        ("campaigns", "campaign_id", ""),
    ),
    "redemptions": (
        ("users", "user_id", ""),
        ("coupons", "coupon_id", ""),
        ("campaigns", "campaign_id", ""),
    ),
    "promotions": (("products", "product_id", ""),),
    "accounts": (("accounts", "account_id", ""), ("users", "user_id", "")),
}
"""Table -> (table that a removal names, column that holds its id, condition on the row) of every removal it heeds."""


@dataclass(frozen=True)
class Removals:
    """The removals of a run.

    Attributes:
        named: tables whose ids they name.
    """

    named: frozenset[str] = frozenset()

    @classmethod
    def of(cls, connection: duckdb.DuckDBPyConnection, removals: str) -> Removals:
        """Read the clean removals and create the relation `REMOVED`."""
        connection.execute(
            f'CREATE OR REPLACE TABLE {REMOVED} AS SELECT lower("table") AS what, id, '
            f'bool_or("time" IS NULL) AS whole, max("time") AS until FROM {identifier(removals)} GROUP BY ALL'
        )
        found = connection.execute(f"SELECT DISTINCT what FROM {REMOVED}").fetchall()
        return cls(frozenset(str(what) for (what,) in found))

    def apply(self, connection: duckdb.DuckDBPyConnection, table: LoadedTable) -> tuple[LoadedTable, int]:
        """`table` without what was removed, and how many rows that were."""
        keys = [key for key in UNDER.get(table.name, ()) if key[0] in self.named]
        if not keys:
            return table, 0
        timed = any(c.name == ROW_TIME for c in TABLES[table.name].columns)
        up_to = f" OR t.{identifier(ROW_TIME)} IS NULL OR t.{identifier(ROW_TIME)} <= r.until" if timed else ""
        tests = [
            f"EXISTS (SELECT 1 FROM {REMOVED} r WHERE r.what = {literal(named)} AND r.id = t.{identifier(column)} "
            f"AND (r.whole{up_to})){f' AND {condition}' if condition else ''}"
            for named, column, condition in keys
        ]
        kept, gone = f"kept_{table.name}", " OR ".join(f"({test})" for test in tests)
        connection.execute(
            f"CREATE OR REPLACE VIEW {kept} AS SELECT * FROM {identifier(table.relation)} t WHERE ({gone}) IS NOT TRUE"
        )
        counted = f"SELECT count(*) FROM {identifier(table.relation)} t WHERE {gone}"
        found = connection.execute(counted).fetchone()
        return replace(table, relation=kept), int(found[0]) if found else 0
