"""Labels of users and products, made of their purchases: segments, cadence, price bands, life cycles.

They are for analysts. They are made of all events, those of a later test period included, so no model may read them
(`ingest.contract.DERIVED`). The definitions are in docs/labels.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import duckdb

from ingest.clean_files import LoadedTable
from ingest.columns import SQL_TYPES
from ingest.contract import DERIVED
from ingest.enrich.product_labels import product_labels
from ingest.enrich.user_labels import user_labels
from ingest.errors import IngestError
from ingest.names import identifier
from ingest.rules import instant

PREFIX = "label_"
"""Names of labels begin with it."""


@dataclass(frozen=True)
class LabelSettings:
    """Labels of users and products, for analysts; models never read them.

    Attributes:
        on: whether they are made.
        new_days: who bought for the first time, and what was first sold, within the last so many days is new; also
            the length of the two spans that a product's sales are compared by.
        min_products: priced products that a category needs for price bands of its own; with fewer, the level above
            counts, and at last the whole shop.
        min_repeats: repeat purchases that a product needs for a repurchase interval.
    """

    on: bool = True
    new_days: int = 30
    min_products: int = 10
    min_repeats: int = 5

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            IngestError: a number out of its range.
        """
        if min(self.new_days, self.min_products, self.min_repeats) < 1:
            what = "new_days, min_products and min_repeats must be 1 or more"
            raise IngestError(what, "ingest.labels", "correct the setting")


def prepare_purchases(connection: duckdb.DuckDBPyConnection, events: str | None, reference: datetime | None) -> None:
    """Create the tables that the labels are made of.

    `label_purchases`: user_id, product_id, purchase (what makes lines one order), day, money, price. `label_date`: one
    row with `today`, the day of `reference`, else of the last event; null without times.

    Args:
        connection: the working database.
        events: relation of the clean events; None without.
        reference: the date that the labels are as of.
    """
    if events is None:
        source = (
            "SELECT NULL::VARCHAR AS user_id, NULL::VARCHAR AS product_id, NULL::VARCHAR AS event, "
            "NULL::VARCHAR AS event_id, NULL::VARCHAR AS order_id, NULL::TIMESTAMPTZ AS time, "
            "NULL::DOUBLE AS quantity, NULL::DOUBLE AS price WHERE false"
        )
    else:
        source = f"FROM {identifier(events)}"
    # money is exact: a sum of floating numbers would depend on their order
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE label_purchases AS SELECT user_id, product_id, "
        "coalesce(order_id, CAST(epoch_us(time) AS VARCHAR), event_id) AS purchase, CAST(time AS DATE) AS day, "
        f"TRY_CAST(price * coalesce(quantity, 1) AS DECIMAL(18, 4)) AS money, price FROM ({source}) "
        "WHERE event = 'purchase' AND product_id IS NOT NULL"
    )
    today = instant(reference) if reference is not None else f"(SELECT max(time) FROM ({source}))"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE label_date AS SELECT CAST({today} AS DATE) AS today")


def label_table(connection: duckdb.DuckDBPyConnection, table: LoadedTable, settings: LabelSettings) -> LoadedTable:
    """Users or products with their labels, after `prepare_purchases`."""
    if table.name == "users":
        key, statement = "user_id", user_labels(table.relation, settings.new_days)
    else:
        spans = (settings.new_days, settings.min_products, settings.min_repeats)
        key, statement = "product_id", product_labels(table.relation, *spans)
    labels = {c.name: SQL_TYPES[c.kind] for c in DERIVED[table.name] if c.name.startswith(PREFIX)}
    made, relation = f"labels_of_{table.name}", f"labelled_{table.name}"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {made} AS {statement}")
    picked = ", ".join(f"l.{identifier(name)}" for name in labels)
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {relation} AS SELECT t.*, {picked} "
        f"FROM {table.relation} t LEFT JOIN {made} l ON l.{key} = t.{key}"
    )
    return replace(table, relation=relation, extras={**table.extras, **labels})
