"""The rules that cost a row its place: a name, a column, a SQL predicate each; the first that holds is the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.columns import ROW_TIME, BoundColumn
from ingest.contract import EVENTS, TableSpec
from ingest.names import identifier, literal

EXPLANATIONS = {
    "ragged_row": "more or fewer fields than the header has, a quote left open, or a line that is no JSON object",
    "missing_key": "a column without which the row means nothing is empty or a word such as null, none, nan, n/a",
    "unknown_event": "the event is none of the contract's; map it with event_values in mapping.toml",
    "dangling_product": 'the product is not in the products table; set dangling = "create" to create it',
    "unreadable_time": "the time is neither ISO 8601 nor epoch seconds, nor as time_format in mapping.toml says",
    "time_too_early": "the time lies before 1990 (milliseconds or another unit? see units in mapping.toml)",
    "time_too_late": "the time lies more than a day after the as-of date",
    "no_quantity": "a purchase of quantity zero or less",
    "negative_quantity": "a negative quantity of something other than a return",
    "negative_price": "a negative price",
}
"""Quarantine rule -> what it means, for the report."""

MENDS = {
    "wrong_type": "an optional value that is not of its column's type was left empty",
    "not_utf8": "bytes that are not of the file's encoding were replaced by the replacement character",
    "control_characters": "control characters were removed",
    "too_long": "text over 64 kB was cut, an id over 8 kB left empty",
    "dangling_parent": "a parent_id that names no other product was left empty",
}
"""Mending rule -> what it means, for the report."""

HAS_PRODUCT = frozenset({"events", "coupons", "promotions"})
"""Tables whose product_id must be a product."""


@dataclass(frozen=True)
class Rule:
    """A quarantine rule of one table.

    Attributes:
        name: key of `EXPLANATIONS`.
        column: the column at fault, None where it is the whole row.
        predicate: SQL over the clean columns that holds for an offending row.
    """

    name: str
    column: str | None
    predicate: str


@dataclass(frozen=True)
class RuleContext:
    """What the rules depend on beside the row.

    Attributes:
        as_of: events may lie at most a day after it.
        earliest: no time lies before it.
        known_products: relation with the loaded products, None where any product id will do.
    """

    as_of: datetime
    earliest: datetime
    known_products: str | None


def rules_of(spec: TableSpec, columns: Sequence[BoundColumn], context: RuleContext) -> list[Rule]:
    """The rules of a table in the order in which they are tried.

    A ragged row comes first, since no column of it can be trusted; then the order of the contract.
    """
    present = {c.name for c in columns if c.raw != "NULL" and not c.extra}
    rules = [Rule("ragged_row", None, "__ragged IS NOT NULL")]
    for name in spec.required:
        condition = f"{identifier(name)} IS NULL"
        if spec.name == "events" and name == "product_id":
            condition += " AND event IS DISTINCT FROM 'search'"
        rules.append(Rule("missing_key", name, condition))
    if spec.name == "events":
        rules.append(Rule("unknown_event", "event", f"event NOT IN ({', '.join(map(literal, EVENTS))})"))
    if spec.name in HAS_PRODUCT and context.known_products is not None:
        known = f"(SELECT product_id FROM {identifier(context.known_products)})"
        rules.append(Rule("dangling_product", "product_id", f"product_id IS NOT NULL AND product_id NOT IN {known}"))
    if ROW_TIME in present:
        rules += _time_rules(context)
    if spec.name == "events" and "quantity" in present:
        rules.append(Rule("no_quantity", "quantity", "event = 'purchase' AND quantity <= 0"))
        rules.append(Rule("negative_quantity", "quantity", "event <> 'return' AND quantity < 0"))
    if "price" in present:
        rules.append(Rule("negative_price", "price", "price < 0"))
    return rules


def _time_rules(context: RuleContext) -> list[Rule]:
    latest = context.as_of + timedelta(days=1)
    return [
        Rule("unreadable_time", ROW_TIME, '"time" IS NULL AND __time_given'),
        Rule("time_too_early", ROW_TIME, f'"time" < {instant(context.earliest)}'),
        Rule("time_too_late", ROW_TIME, f'"time" > {instant(latest)}'),
    ]


def instant(time: datetime) -> str:
    """SQL literal of an aware time."""
    return f"CAST({literal(time.isoformat())} AS TIMESTAMPTZ)"
