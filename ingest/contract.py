"""The input contract: tables, columns and their kinds. The one home of these names.

Clean tables are Parquet files `tables/TABLE.parquet`. Every contract column of a table that is present stands in
its clean file (null where the source had none), followed by the extra columns under their normalised names.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a column holds, and with it the Arrow type of the clean column."""

    ID = "string"  # trimmed, NFC; missing words are null
    TEXT = "string "
    FLOAT = "double"
    INTEGER = "int64"
    BOOLEAN = "bool"
    TIME = "timestamp[us, UTC]"


class Personal(Enum):
    """How a column speaks of a person, and with it what of it may leave the run (see `ingest.disclosure`)."""

    CONTACT = "contact"  # reaches the person: never in the graph, a log or a report
    ID = "identifier"  # stands for the person, or leads there in the shop's own systems
    TEXT = "free text"  # written by the person, about anything


@dataclass(frozen=True)
class Column:
    """A contract column.

    Attributes:
        name: its name in source and clean table.
        kind: what it holds.
        required: whether the table is unusable without the column and a row without a value is quarantined.
        personal: how it speaks of a person; None where it does not.
    """

    name: str
    kind: Kind
    required: bool = False
    personal: Personal | None = None


@dataclass(frozen=True)
class TableSpec:
    """A contract table.

    Attributes:
        name: file stem of the table.
        columns: its contract columns, in the order of the clean file.
        key: columns that identify a row; rows of one key are merged, later value per column wins. Empty: a row is
            identified by all of its columns.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the required columns."""
        return tuple(c.name for c in self.columns if c.required)


EVENTS = ("impression", "click", "view", "cart", "purchase", "review", "wishlist", "return", "search")
MISSING = frozenset({"", "null", "none", "nan", "n/a"})
LEVEL_SEPARATOR = " > "
PATH_SEPARATOR = ";"


def _ids(*names: str, personal: Personal | None = None) -> tuple[Column, ...]:
    return tuple(Column(n, Kind.ID, personal=personal) for n in names)


TABLES: dict[str, TableSpec] = {
    t.name: t
    for t in (
        TableSpec(
            "products",
            (
                Column("product_id", Kind.ID, required=True),
                Column("title", Kind.TEXT),
                Column("description", Kind.TEXT),
                Column("brand", Kind.ID),
                Column("category", Kind.TEXT),
                Column("price", Kind.FLOAT),
                Column("cost", Kind.FLOAT),
                Column("stock", Kind.FLOAT),
                Column("image", Kind.TEXT),
                Column("parent_id", Kind.ID),
                Column("recommendable", Kind.BOOLEAN),  # default true, never null in the clean table
                Column("available_from", Kind.TIME),
                Column("available_until", Kind.TIME),
            ),
            key=("product_id",),
        ),
        TableSpec("users", (Column("user_id", Kind.ID, required=True, personal=Personal.ID),), key=("user_id",)),
        TableSpec(
            "events",
            (
                Column("event_id", Kind.ID, personal=Personal.ID),  # always filled in the clean table
                # or account_id, where accounts are resolved
                Column("user_id", Kind.ID, required=True, personal=Personal.ID),
                Column("product_id", Kind.ID, required=True),  # but for searches
                Column("event", Kind.ID, required=True),
                Column("time", Kind.TIME),
                Column("sequence", Kind.INTEGER),
                Column("quantity", Kind.FLOAT),  # whole numbers expected; the graph has INTEGER
                Column("price", Kind.FLOAT),
                Column("rating", Kind.FLOAT),
                Column("text", Kind.TEXT, personal=Personal.TEXT),
                Column("channel", Kind.ID),
                Column("store", Kind.ID),
                *_ids("order_id", "session_id", personal=Personal.ID),
                Column("query", Kind.TEXT, personal=Personal.TEXT),
                *_ids("list_id", personal=Personal.ID),
                Column("slot", Kind.INTEGER),
                Column("propensity", Kind.FLOAT),
                *_ids("account_id", personal=Personal.ID),
                *_ids("split"),
            ),
            key=("event_id",),
        ),
        TableSpec(
            "triples",
            (
                Column("head", Kind.ID, required=True, personal=Personal.ID),  # where head_type says that it is a user
                Column("relation", Kind.ID, required=True),
                Column("tail", Kind.ID, required=True, personal=Personal.ID),  # likewise
                *_ids("head_type", "tail_type"),
                Column("time", Kind.TIME),
            ),
        ),
        TableSpec(  # a row with user_id says that the campaign targeted the user; one without describes the campaign
            "campaigns",
            (
                Column("campaign_id", Kind.ID, required=True),
                *_ids("user_id", personal=Personal.ID),
                Column("start_time", Kind.TIME),
                Column("end_time", Kind.TIME),
            ),
            key=("campaign_id", "user_id"),
        ),
        TableSpec(
            "coupons",
            (
                Column("coupon_id", Kind.ID, required=True),
                Column("product_id", Kind.ID, required=True),
                *_ids("campaign_id"),
            ),
            key=("coupon_id", "product_id", "campaign_id"),
        ),
        TableSpec(
            "redemptions",
            (
                Column("user_id", Kind.ID, required=True, personal=Personal.ID),
                Column("coupon_id", Kind.ID, required=True),
                *_ids("campaign_id"),
                Column("time", Kind.TIME),
            ),
        ),
        TableSpec("promotions", (Column("product_id", Kind.ID, required=True),)),
        TableSpec(
            "removals",
            (
                Column("table", Kind.ID, required=True),
                Column("id", Kind.ID, required=True, personal=Personal.ID),  # where the table is one of people
                Column("time", Kind.TIME),
            ),
        ),
        TableSpec(
            "accounts",
            (
                Column("account_id", Kind.ID, required=True, personal=Personal.ID),
                *_ids("channel"),
                *_ids("user_id", personal=Personal.ID),
                *_ids("loyalty_id", "email", "phone", "name", "postcode", "device_id", personal=Personal.CONTACT),
            ),
            key=("account_id",),
        ),
    )
}

REMOVABLE = ("products", "users", "events", "campaigns", "coupons", "accounts")
"""Tables whose rows a removal may name: those that have ids."""

DERIVED: dict[str, tuple[Column, ...]] = {
    "products": (
        Column("brand_inferred", Kind.BOOLEAN),
        Column("brand_confidence", Kind.FLOAT),
        Column("category_inferred", Kind.BOOLEAN),
        Column("category_confidence", Kind.FLOAT),
        Column("label_price_band", Kind.TEXT),
        Column("label_repurchase_days", Kind.FLOAT),
        Column("label_lifecycle", Kind.TEXT),
    ),
    "users": (
        Column("label_orders", Kind.INTEGER),
        Column("label_spent", Kind.FLOAT),
        Column("label_recency_days", Kind.INTEGER),
        Column("label_cadence_days", Kind.FLOAT),
        Column("label_recency_score", Kind.INTEGER),
        Column("label_frequency_score", Kind.INTEGER),
        Column("label_monetary_score", Kind.INTEGER),
        Column("label_segment", Kind.TEXT),
        Column("label_lifecycle", Kind.TEXT),
    ),
}
"""Columns that the build adds to a table beside its contract: table -> columns.

Those named `label_…` are made of all events and know the test period: no model, no text that is encoded and no
grouping of an evaluation may read them. The names are reserved: a source's own column of one of them becomes an
extra column with the prefix `x_`.
"""


def derived_names(table: str) -> tuple[str, ...]:
    """Names of the columns that the build may add to a table."""
    return tuple(c.name for c in DERIVED.get(table, ()))
