"""SQL that makes the nodes of each label from the views of `kg.clean_tables`."""

from __future__ import annotations

import duckdb

from ingest.contract import LEVEL_SEPARATOR, PATH_SEPARATOR
from ingest.names import identifier
from kg.clean_tables import SQL_TYPE, CleanTables
from kg.schema import LABELS

PREPARE = f"""
CREATE TABLE product_paths AS
    WITH texts AS (SELECT DISTINCT category FROM products WHERE category IS NOT NULL),
    paths AS (SELECT category, unnest(string_split(category, '{PATH_SEPARATOR}')) AS path FROM texts),
    levels AS (
        SELECT category,
               list_filter(list_transform(string_split(path, '{LEVEL_SEPARATOR}'), lambda s: trim(s)),
                           lambda s: s <> '') AS names
        FROM paths)
    SELECT DISTINCT category, names FROM levels WHERE len(names) > 0;
CREATE TABLE purchases AS
    SELECT user_id, product_id, event_id, time, channel, store, order_id, price,
           coalesce(round(quantity)::BIGINT, 1) AS pieces
    FROM events WHERE event = 'purchase' AND order_id IS NOT NULL AND product_id IS NOT NULL;
CREATE TABLE named_products AS
    SELECT product_id FROM products
    UNION SELECT product_id FROM events WHERE product_id IS NOT NULL AND event <> 'search'
    UNION SELECT product_id FROM coupons;
CREATE TABLE ends AS
    WITH raw AS (
        SELECT head AS id, head_type AS type FROM triples
        UNION SELECT tail, tail_type FROM triples)
    SELECT id, type,
           (type IS NULL OR lower(type) = 'product') AND id IN (SELECT product_id FROM named_products) AS is_product
    FROM raw;
"""
"""Tables that several queries share. `ends`: whether an end of a triple is a product or an outside entity."""


def day_month(time: str) -> str:
    """SQL for `day` (days since 1970) and `month` (yyyymm) of a time column, both in UTC."""
    naive = f"make_timestamp(epoch_us({time}))"
    return (
        f"date_diff('day', DATE '1970-01-01', {naive}::DATE) AS day, "
        f"(year({naive}) * 100 + month({naive}))::BIGINT AS month"
    )


def node_queries(tables: CleanTables) -> dict[str, str]:
    """One SELECT per label; it gives `id` and the properties, contract ones first."""
    queries = {label: _empty(label) for label in LABELS}
    queries["User"] = _users(tables)
    queries["Product"] = _products(tables)
    queries["Brand"] = "SELECT DISTINCT brand AS id, brand AS name FROM products WHERE brand IS NOT NULL"
    queries["Category"] = f"""
        SELECT DISTINCT array_to_string(names[1:depth], '{LEVEL_SEPARATOR}') AS id, names[depth] AS name, depth AS level
        FROM (SELECT names, unnest(range(1, len(names) + 1)) AS depth FROM product_paths)"""
    queries["Order"] = f"""
        SELECT id, "at", {day_month('"at"')}, channel, store
        FROM (SELECT order_id AS id, min(time) AS "at", min(channel) AS channel, min(store) AS store
              FROM purchases GROUP BY order_id)"""
    queries["Campaign"] = _campaigns(tables)
    queries["Coupon"] = "SELECT coupon_id AS id FROM coupons UNION SELECT coupon_id FROM redemptions"
    queries["Account"] = """
        SELECT id, max(channel) AS channel
        FROM (SELECT account_id AS id, channel FROM accounts
              UNION ALL SELECT account_id, NULL FROM account_users
              UNION ALL SELECT DISTINCT account_id, NULL FROM events WHERE account_id IS NOT NULL) GROUP BY id"""
    queries["Entity"] = "SELECT id, min(type) AS type FROM ends WHERE NOT is_product GROUP BY id"
    return queries


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the shared tables of `PREPARE`."""
    connection.execute(PREPARE)


def _empty(label: str) -> str:
    typed = [f"NULL::{SQL_TYPE[t]} AS {identifier(p)}" for p, t in LABELS[label].properties.items()]
    return f"SELECT {', '.join(['NULL::VARCHAR AS id', *typed])} WHERE false"


def _users(tables: CleanTables) -> str:
    extras = "".join(f", u.{identifier(name)}" for name in tables.extras["users"])
    return f"""
        SELECT named.id{extras}
        FROM (SELECT user_id AS id FROM users
              UNION SELECT user_id FROM events WHERE user_id IS NOT NULL
              UNION SELECT user_id FROM campaigns WHERE user_id IS NOT NULL
              UNION SELECT user_id FROM redemptions
              UNION SELECT user_id FROM account_users) AS named
        LEFT JOIN users AS u ON u.user_id = named.id"""


def _products(tables: CleanTables) -> str:
    """Products of the table, then those that only events or coupons name, then parents that are no products.

    A parent that nothing else names groups its variants and cannot be sold: it is not recommendable.
    """
    names = [p for p in LABELS["Product"].properties if p != "recommendable"]
    columns = "".join(f", p.{identifier(name)}" for name in [*names, *tables.extras["products"]])
    ordered = ", ".join(["id", *(identifier(p) for p in [*LABELS["Product"].properties, *tables.extras["products"]])])
    return f"""
        SELECT {ordered} FROM (
            SELECT named.id, coalesce(p.recommendable, named.sold) AS recommendable{columns}
            FROM (SELECT product_id AS id, true AS sold FROM named_products
                  UNION ALL
                  SELECT DISTINCT parent_id, false FROM products
                  WHERE parent_id IS NOT NULL AND parent_id NOT IN (SELECT product_id FROM named_products)) AS named
            LEFT JOIN products AS p ON p.product_id = named.id)"""


def _campaigns(tables: CleanTables) -> str:
    """A campaign's properties come from the rows that describe it (without a user), else from any of its rows."""
    names = [*LABELS["Campaign"].properties, *tables.extras["campaigns"]]
    values = "".join(f", coalesce(max({q}) FILTER (user_id IS NULL), max({q})) AS {q}" for q in map(identifier, names))
    none = "".join(f", NULL AS {identifier(name)}" for name in names)
    columns = "".join(f", {identifier(name)}" for name in names)
    return f"""
        SELECT id{values}
        FROM (SELECT campaign_id AS id, user_id{columns} FROM campaigns
              UNION ALL SELECT DISTINCT campaign_id, NULL{none} FROM coupons WHERE campaign_id IS NOT NULL
              UNION ALL SELECT DISTINCT campaign_id, NULL{none} FROM redemptions WHERE campaign_id IS NOT NULL)
        GROUP BY id"""
