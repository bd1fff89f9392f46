"""Missing brands and categories of products, inferred from their titles, each with a confidence that was measured.

A method guesses the value of every product, of those that have one too, for which that one is hidden, and says by what
margin (in nats: the logarithm of the odds, or of the ratio to the second best guess). How often the guesses about
known products were right, per band of margins, is the confidence of the guesses about unknown ones. A shop with too
few known products to measure that fills nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import duckdb

from ingest.clean_files import LoadedTable
from ingest.cleaning_rule import Action, CleaningRule
from ingest.columns import SQL_TYPES
from ingest.contract import DERIVED
from ingest.enrich.infer_brand import guess_brands
from ingest.enrich.infer_category import guess_categories
from ingest.errors import IngestError
from ingest.names import identifier

BAND = 0.5
"""Width of a band of margins, in nats."""

LAST_BAND = 40
"""Larger margins share it."""


@dataclass(frozen=True)
class InferSettings:
    """Missing brands and categories of products, filled from their titles.

    Attributes:
        brand: whether missing brands are filled: by a name of one of the shop's own brands that stands in the title.
        category: whether missing categories are filled: by those of products with like titles.
        min_confidence: guesses below it are left out; the share of right guesses about products whose value is known.
    """

    brand: bool = True
    category: bool = True
    min_confidence: float = 0.95

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            IngestError: a number out of its range.
        """
        if not 0 < self.min_confidence <= 1:
            raise IngestError("min_confidence must be above 0, at most 1", "ingest.infer", "correct the setting")


FillCheck = Callable[[duckdb.DuckDBPyConnection, str], str]
"""Working database, relation of the products -> the relation that it made: product_id, known, guess, margin."""

FILL_RULES: dict[str, CleaningRule[FillCheck]] = {
    "brand": CleaningRule(
        "inferred_brand",
        Action.FILL,
        ("products",),
        "a missing brand whose name stands in the title (settings in [ingest.infer])",
        guess_brands,
    ),
    "category": CleaningRule(
        "inferred_category",
        Action.FILL,
        ("products",),
        "a missing category, told by products with like titles (settings in [ingest.infer])",
        guess_categories,
    ),
}
"""Column -> its rule."""


def infer_products(
    connection: duckdb.DuckDBPyConnection, table: LoadedTable, settings: InferSettings
) -> tuple[LoadedTable, dict[str, int]]:
    """Products with what is inferred, and what is said of it in columns of its own.

    Returns:
        The table and the number of fields filled per column.
    """
    filled: dict[str, int] = {}
    for column in (c for c in FILL_RULES if getattr(settings, c)):
        source = identifier(table.relation)
        lacking = f"SELECT count(*) FROM {source} WHERE {identifier(column)} IS NULL AND title IS NOT NULL"
        found = connection.execute(lacking).fetchone()
        if found and found[0]:
            measure(connection, FILL_RULES[column].check(connection, table.relation), f"inferred_{column}")
        else:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE inferred_{column} AS {_NOTHING}")
        table = _with_column(connection, table, column, settings.min_confidence)
        count = connection.execute(f"SELECT count(*) FILTER ({column}_inferred) FROM {table.relation}").fetchone()
        filled[column] = int(count[0]) if count else 0
    return table, {column: n for column, n in filled.items() if n}


_NOTHING = "SELECT NULL::VARCHAR AS product_id, NULL::VARCHAR AS guess, NULL::DOUBLE AS confidence WHERE false"


def measure(connection: duckdb.DuckDBPyConnection, guesses: str, target: str) -> None:
    """Create the table `target` (product_id, guess, confidence) of the guesses about products whose value is unknown.

    The confidence of a band is (right + 1) / (guesses + 2): the mean of the posterior from a flat prior.
    """
    band = f"least({LAST_BAND}, greatest(0, CAST(floor(margin / {BAND}) AS INTEGER))) AS band"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {target} AS "
        f"WITH banded AS (SELECT *, {band} FROM {identifier(guesses)}), "
        "measured AS (SELECT band, (count(*) FILTER (guess = known) + 1) / (count(*) + 2) AS confidence "
        "FROM banded WHERE known IS NOT NULL GROUP BY band) "
        "SELECT product_id, guess, confidence FROM banded JOIN measured USING (band) WHERE known IS NULL"
    )


def _with_column(connection: duckdb.DuckDBPyConnection, table: LoadedTable, column: str, least: float) -> LoadedTable:
    """`table` with the column filled where the confidence reaches `least`."""
    relation, made = f"filled_{column}", f"inferred_{column}"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {relation} AS SELECT p.* REPLACE (coalesce(p.{column}, i.guess) AS {column}), "
        f"p.{column} IS NULL AND i.guess IS NOT NULL AS {column}_inferred, i.confidence AS {column}_confidence "
        f"FROM {identifier(table.relation)} p LEFT JOIN (FROM {made} WHERE confidence >= {least!r}) i "
        "ON i.product_id = p.product_id"
    )
    kinds = {c.name: SQL_TYPES[c.kind] for c in DERIVED["products"]}
    added = {name: kinds[name] for name in (f"{column}_inferred", f"{column}_confidence")}
    return replace(table, relation=relation, extras={**table.extras, **added})
