"""Quantities and prices of events that lie far beyond the product's own: a rule that looks at the whole table.

Measured on logarithms, since quantities and prices spread by factors: a value is far beyond where its distance from
the product's median is more than `deviations` times the spread (1.4826 times the median absolute deviation, which for
normal data is the standard deviation) and the factor between them is at least `least_factor`. Median and MAD stand
firm where up to half of the values are wrong (Rousseeuw and Croux 1993, Alternatives to the median absolute
deviation). Of a product with too few events the price in the products table speaks, else its category, else the whole
shop; but what lies near the median of its own few values is no outlier, however odd the product is among others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ingest.cleaning_rule import Action, CleaningRule
from ingest.errors import IngestError
from ingest.names import identifier

_NORMAL = 1.4826
_OWN = 3
"""Values of a product that make a median of its own."""

_BOTH_SIDES = frozenset({"price"})
"""Columns where a value far below is as odd as one far above; a quantity of one never is."""


@dataclass(frozen=True)
class OutlierSettings:
    """Events whose quantity or price lies far beyond the product's own are quarantined.

    Attributes:
        on: whether the rule holds.
        columns: what is looked at: quantity, price.
        deviations: how many spreads (of logarithms) from the median a value may lie.
        least_factor: a value that differs from the median by less than this factor is never an outlier, however
            narrow the spread is; greater than one.
        min_observations: values that a product needs to be measured by itself; with fewer its price in the products
            table counts, else its category's values, and where these are too few, the shop's.
    """

    on: bool = False
    columns: tuple[str, ...] = ("quantity", "price")
    deviations: float = 6.0
    least_factor: float = 30.0
    min_observations: int = 20

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            IngestError: an unknown column, or a number out of its range.
        """
        unknown = [c for c in self.columns if c not in ("quantity", "price")]
        if unknown:
            raise IngestError(f"outliers of {unknown[0]!r} are not looked for", "ingest.outliers", "quantity or price")
        if self.deviations <= 0 or self.least_factor <= 1 or self.min_observations < 2:
            what = "deviations must be above 0, least_factor above 1, min_observations 2 or more"
            raise IngestError(what, "ingest.outliers", "correct the setting")


OutlierCheck = Callable[[OutlierSettings, str, str | None], str]
"""Settings, relation of the events not yet set aside, relation of the products -> SELECT of the offenders' __ord."""


def _outliers(column: str) -> OutlierCheck:
    def check(settings: OutlierSettings, events: str, products: str | None) -> str:
        far = "abs(v - {})" if column in _BOTH_SIDES else "v - {}"
        allowed = f"{settings.deviations!r} * {_NORMAL} * usual.mad"
        factor = f"ln({settings.least_factor!r})"
        least = settings.min_observations
        return f"""
            WITH judged AS (
                SELECT __ord, event_id, product_id, ln(abs({identifier(column)})) AS v FROM {events}
                WHERE {identifier(column)} <> 0 AND product_id IS NOT NULL),
            -- a row that stands twice in the source is one observation
            seen AS (SELECT DISTINCT event_id, product_id, v FROM judged),
            about AS ({_about(column, products)}),
            {_level("own", "product_id", "seen", _OWN)},
            {_level("kin", "category", "seen JOIN about USING (product_id)", least)},
            {_level("shop", "1", "seen", least)}
            SELECT __ord FROM (
                SELECT __ord, v, own.m AS own_m,
                    CASE WHEN own.n >= {least:d} THEN struct_pack(m := own.m, mad := own.mad)
                        WHEN listed IS NOT NULL THEN struct_pack(m := listed, mad := 0.0)
                        WHEN kin.n IS NOT NULL THEN struct_pack(m := kin.m, mad := kin.mad)
                        ELSE struct_pack(m := shop.m, mad := shop.mad) END AS usual
                FROM judged LEFT JOIN own ON own.key = judged.product_id LEFT JOIN about USING (product_id)
                LEFT JOIN kin ON kin.key = about.category LEFT JOIN shop ON true)
            WHERE {far.format("usual.m")} > greatest({allowed}, {factor})
                AND coalesce({far.format("own_m")} > {factor}, true)"""

    return check


def _about(column: str, products: str | None) -> str:
    """product_id, category, and the logarithm of the price that the products table tells, where that is asked."""
    if products is None:
        return "SELECT NULL::VARCHAR AS product_id, NULL::VARCHAR AS category, NULL::DOUBLE AS listed WHERE false"
    listed = "CASE WHEN price > 0 THEN ln(price) END" if column == "price" else "NULL::DOUBLE"
    return f"SELECT product_id, category, {listed} AS listed FROM {identifier(products)}"


def _level(name: str, key: str, source: str, least: int) -> str:
    """Values, median and MAD per key, where there are enough values."""
    return f"""{name}_median AS (
                SELECT {key} AS key, count(*) AS n, median(v) AS m FROM {source} GROUP BY key
                HAVING count(*) >= {least:d}),
            {name} AS (
                SELECT key, n, m, median(abs(v - m)) AS mad
                FROM {name}_median JOIN (SELECT {key} AS key, v FROM {source}) USING (key) GROUP BY key, n, m)"""


OUTLIER_RULES: dict[str, CleaningRule[OutlierCheck]] = {
    column: CleaningRule(
        f"outlier_{column}",
        Action.QUARANTINE,
        ("events",),
        f"a {column} far beyond what is usual for the product (settings in [ingest.outliers])",
        _outliers(column),
        optional=True,
    )
    for column in ("quantity", "price")
}
"""Column -> its rule."""
