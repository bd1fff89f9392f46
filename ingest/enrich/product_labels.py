"""SQL of the products' labels: price band within the category, repurchase interval, life cycle."""

from __future__ import annotations

from ingest.contract import LEVEL_SEPARATOR, PATH_SEPARATOR
from ingest.names import identifier, literal

CHANGE = 1.5
"""Sales that grew or shrank by less than this factor are steady."""

LEAST_SALES = 10
"""Purchases in both spans together, with fewer of which sales are steady, since chance moves them."""

DORMANT_SPANS = 3
"""A product without a sale for so many spans is dormant."""


def product_labels(products: str, new_days: int, min_products: int, min_repeats: int) -> str:
    """SELECT of the labels of every product, from `products`, `label_purchases` and `label_date`.

    Args:
        products: relation of the products.
        new_days: span of days; what was first sold within it is new, and sales within it are compared with those
            of the span before.
        min_products: priced products that a category needs for price bands of its own.
        min_repeats: repeat purchases that a product needs for a repurchase interval.
    """
    return f"""
        WITH {_bands(products, min_products)},
        gaps AS (
            SELECT product_id,
                date_diff('day', lag(day) OVER (PARTITION BY user_id, product_id ORDER BY day), day) AS gap
            FROM (SELECT DISTINCT user_id, product_id, day FROM label_purchases WHERE day IS NOT NULL)),
        repeats AS (
            SELECT product_id, median(gap) AS days FROM gaps WHERE gap IS NOT NULL
            GROUP BY product_id HAVING count(*) >= {min_repeats:d}),
        sales AS (
            SELECT product_id, date_diff('day', min(day), any_value(today)) AS age,
                date_diff('day', max(day), any_value(today)) AS since,
                count(*) FILTER (day > today - {new_days:d}) AS recent,
                count(*) FILTER (day > today - {2 * new_days:d} AND day <= today - {new_days:d}) AS before
            FROM label_purchases, label_date GROUP BY product_id)
        SELECT p.product_id, banded.band AS label_price_band, repeats.days AS label_repurchase_days,
            CASE WHEN NOT EXISTS (FROM label_purchases) THEN NULL
                WHEN sales.product_id IS NULL THEN 'unsold'
                WHEN since IS NULL THEN NULL
                WHEN age < {new_days:d} THEN 'new'
                WHEN since >= {DORMANT_SPANS * new_days:d} THEN 'dormant'
                WHEN recent + before < {LEAST_SALES} THEN 'steady'
                WHEN recent >= {CHANGE} * before THEN 'growing'
                WHEN before >= {CHANGE} * recent THEN 'declining'
                ELSE 'steady' END AS label_lifecycle
        FROM (SELECT product_id FROM {identifier(products)}) p LEFT JOIN banded USING (product_id)
        LEFT JOIN repeats USING (product_id) LEFT JOIN sales USING (product_id)"""


def _bands(products: str, least: int) -> str:
    """`banded`: product_id and low, middle or high: the third of its peers that its price stands in.

    Peers are the priced products of the deepest level of its (first) category path that has enough of them, else
    all. A price's place is the share of peers that are cheaper and half of those that cost the same: where all cost
    the same, all stand in the middle.
    """
    separator = literal(LEVEL_SEPARATOR)
    path = f"string_split(string_split(category, {literal(PATH_SEPARATOR)})[1], {separator})"
    return f"""
        paid AS (
            SELECT product_id, median(price) AS price FROM label_purchases
            WHERE product_id IN (SELECT product_id FROM {identifier(products)} WHERE price IS NULL)
            GROUP BY product_id),
        priced AS (
            SELECT product_id, coalesce(p.price, paid.price) AS price,
                coalesce(list_transform({path}, lambda s: trim(s)), []) AS levels
            FROM (SELECT product_id, price, category FROM {identifier(products)}) p LEFT JOIN paid USING (product_id)
            WHERE coalesce(p.price, paid.price) IS NOT NULL),
        placed AS (
            SELECT product_id, price, depth, array_to_string(levels[1:depth], {separator}) AS peers
            FROM (SELECT *, unnest(range(0, len(levels) + 1)) AS depth FROM priced)),
        ranked AS (
            SELECT product_id, depth, count(*) OVER (PARTITION BY depth, peers) AS n,
                2 * (rank() OVER (PARTITION BY depth, peers ORDER BY price) - 1)
                    + count(*) OVER (PARTITION BY depth, peers, price) AS twice
            FROM placed),
        banded AS (
            SELECT product_id, CASE WHEN 3 * twice < 2 * n THEN 'low' WHEN 3 * twice > 4 * n THEN 'high'
                ELSE 'middle' END AS band
            FROM ranked WHERE n >= {least:d} OR depth = 0
            QUALIFY row_number() OVER (PARTITION BY product_id ORDER BY depth DESC) = 1)"""
