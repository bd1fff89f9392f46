"""SQL that makes the relationships of each type and label pair from the views of `kg.clean_tables`."""

from __future__ import annotations

from ingest.contract import LEVEL_SEPARATOR
from ingest.names import identifier
from kg.clean_tables import SQL_TYPE, CleanTables
from kg.schema import EVENT_PROPERTIES, EVENT_TYPES, RELATIONSHIPS, WRITTEN_LATER
from kg.shape_nodes import day_month

EdgeKey = tuple[str, str, str]

_CATEGORY_OF = f"""
    SELECT DISTINCT p.product_id AS source, array_to_string(c.names, '{LEVEL_SEPARATOR}') AS target
    FROM products AS p JOIN product_paths AS c ON c.category = p.category
    WHERE NOT EXISTS (
        SELECT 1 FROM product_paths AS deeper
        WHERE deeper.category = c.category AND len(deeper.names) > len(c.names)
          AND deeper.names[1:len(c.names)] = c.names)"""
_CHILD_OF = f"""
    SELECT DISTINCT array_to_string(names[1:depth], '{LEVEL_SEPARATOR}') AS source,
           array_to_string(names[1:depth - 1], '{LEVEL_SEPARATOR}') AS target
    FROM (SELECT names, unnest(range(2, len(names) + 1)) AS depth FROM product_paths)"""
# Sums of floats depend on their order: the aggregate is ordered so that two builds agree to the last bit.
_CONTAINS = """
    SELECT order_id AS source, product_id AS target, sum(pieces)::BIGINT AS quantity,
           CASE WHEN sum(pieces) FILTER (price IS NOT NULL) <> 0
                THEN sum(price * pieces ORDER BY event_id) / sum(pieces) FILTER (price IS NOT NULL) END AS price
    FROM purchases GROUP BY order_id, product_id"""


def edge_queries(tables: CleanTables) -> dict[EdgeKey, str]:
    """One SELECT per (source label, type, target label); it gives `source`, `target` and the properties."""
    queries = {
        (source, name, target): _empty(name)
        for name, relationship in RELATIONSHIPS.items()
        for source, target in relationship.endpoints
    }
    for event, name in EVENT_TYPES.items():
        queries["User", name, "Product"] = _events(event, tables)
    queries["User", "PLACED", "Order"] = "SELECT DISTINCT user_id AS source, order_id AS target FROM purchases"
    queries["Order", "CONTAINS", "Product"] = _CONTAINS
    queries["Product", "MADE_BY", "Brand"] = (
        "SELECT product_id AS source, brand AS target FROM products WHERE brand IS NOT NULL"
    )
    queries["Product", "IN_CATEGORY", "Category"] = _CATEGORY_OF
    queries["Category", "CHILD_OF", "Category"] = _CHILD_OF
    queries["Product", "VARIANT_OF", "Product"] = """
        SELECT product_id AS source, parent_id AS target FROM products
        WHERE parent_id IS NOT NULL AND parent_id <> product_id"""
    queries.update(_marketing(tables))
    queries["Account", "BELONGS_TO", "User"] = """
        SELECT account_id AS source, user_id AS target, confidence, method FROM account_users"""
    for source, target in RELATIONSHIPS["RELATED"].endpoints:
        queries[source, "RELATED", target] = _related(source, target, tables)
    return queries


def _marketing(tables: CleanTables) -> dict[EdgeKey, str]:
    targeted, applies, redeemed = (_extras(tables, t) for t in ("campaigns", "coupons", "redemptions"))
    return {
        ("Coupon", "APPLIES_TO", "Product"): f"""
            SELECT DISTINCT coupon_id AS source, product_id AS target, campaign_id{applies} FROM coupons""",
        ("Coupon", "PART_OF", "Campaign"): """
            SELECT DISTINCT coupon_id AS source, campaign_id AS target FROM coupons WHERE campaign_id IS NOT NULL""",
        ("User", "TARGETED_BY", "Campaign"): f"""
            SELECT user_id AS source, campaign_id AS target{targeted} FROM campaigns WHERE user_id IS NOT NULL""",
        ("User", "REDEEMED", "Coupon"): f"""
            SELECT user_id AS source, coupon_id AS target, time AS "at", {day_month("time")}, campaign_id{redeemed}
            FROM redemptions""",
    }


def _empty(name: str) -> str:
    typed = [f"NULL::{SQL_TYPE[t]} AS {identifier(p)}" for p, t in RELATIONSHIPS[name].properties.items()]
    return f"SELECT {', '.join(['NULL::VARCHAR AS source', 'NULL::VARCHAR AS target', *typed])} WHERE false"


def _extras(tables: CleanTables, table: str) -> str:
    return "".join(f", {identifier(name)}" for name in tables.extras[table])


def _events(event: str, tables: CleanTables) -> str:
    made = {"id": "event_id AS id", "at": 'time AS "at"', "quantity": "round(quantity)::BIGINT AS quantity"}
    # day and month come together
    columns = [
        day_month("time") if p == "day" else made.get(p, identifier(p)) for p in EVENT_PROPERTIES if p != "month"
    ]
    later = WRITTEN_LATER.get(EVENT_TYPES[event], {})
    columns += [f"NULL::{SQL_TYPE[kind]} AS {identifier(p)}" for p, kind in later.items()]
    return f"""
        SELECT user_id AS source, product_id AS target, {", ".join(columns)}{_extras(tables, "events")}
        FROM events WHERE event = '{event}' AND user_id IS NOT NULL AND product_id IS NOT NULL"""


def _related(source: str, target: str, tables: CleanTables) -> str:
    head, tail = ("" if label == "Product" else "NOT " for label in (source, target))
    extras = "".join(f", t.{identifier(name)}" for name in tables.extras["triples"])
    return f"""
        SELECT t.head AS source, t.tail AS target, t.relation, t.time AS "at"{extras}
        FROM triples AS t
        JOIN ends AS h ON h.id = t.head AND h.type IS NOT DISTINCT FROM t.head_type
        JOIN ends AS e ON e.id = t.tail AND e.type IS NOT DISTINCT FROM t.tail_type
        WHERE {head}h.is_product AND {tail}e.is_product"""
