"""The rules that cost a row its place, each judged by the row alone; the first that holds is the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.cleaning_rule import Action, CleaningRule
from ingest.columns import ROW_TIME, BoundColumn
from ingest.contract import EVENTS, REMOVABLE, TABLES, TableSpec
from ingest.names import identifier, literal

HAS_PRODUCT = ("events", "coupons", "promotions")
"""Tables whose product_id must be a product."""

_TIMED = tuple(name for name, spec in TABLES.items() if any(c.name == ROW_TIME for c in spec.columns))
_PRICED = tuple(name for name, spec in TABLES.items() if any(c.name == "price" for c in spec.columns))


@dataclass(frozen=True)
class Rule:
    """A quarantine rule as it is applied to one table.

    Attributes:
        name: of the rule in the catalogue.
        column: the column at fault, None where it is the whole row.
        predicate: SQL over the clean columns that holds for an offending row; a rule that looks at the whole table
            has none here.
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


Faults = list[tuple[str | None, str]]
"""(column at fault, predicate) pairs of one rule on one table."""

RowCheck = Callable[[TableSpec, frozenset[str], RuleContext], Faults]
"""Table, its columns that the source has, context -> what the rule looks for; nothing where it does not apply."""


def _missing_key(spec: TableSpec, _present: frozenset[str], _context: RuleContext) -> Faults:
    searches = " AND event IS DISTINCT FROM 'search'"
    return [
        (name, f"{identifier(name)} IS NULL{searches if (spec.name, name) == ('events', 'product_id') else ''}")
        for name in spec.required
    ]


def _dangling_product(_spec: TableSpec, _present: frozenset[str], context: RuleContext) -> Faults:
    if context.known_products is None:
        return []
    known = f"(SELECT product_id FROM {identifier(context.known_products)})"
    return [("product_id", f"product_id IS NOT NULL AND product_id NOT IN {known}")]


def _of(column: str, predicate: str | Callable[[RuleContext], str]) -> RowCheck:
    """A check of one column, where the source has it."""

    def check(_spec: TableSpec, present: frozenset[str], context: RuleContext) -> Faults:
        if column not in present:
            return []
        return [(column, predicate if isinstance(predicate, str) else predicate(context))]

    return check


def _rule(name: str, tables: tuple[str, ...], meaning: str, check: RowCheck) -> CleaningRule[RowCheck]:
    return CleaningRule(name, Action.QUARANTINE, tables, meaning, check)


ROW_RULES: tuple[CleaningRule[RowCheck], ...] = (
    _rule(
        "ragged_row",
        (),
        "more or fewer fields than the header has, a quote left open, or a line that is no JSON object",
        lambda *_: [(None, "__ragged IS NOT NULL")],
    ),
    _rule(
        "missing_key",
        (),
        "a column without which the row means nothing is empty or a word such as null, none, nan, n/a",
        _missing_key,
    ),
    _rule(
        "unknown_event",
        ("events",),
        "the event is none of the contract's; map it with event_values in mapping.toml",
        lambda *_: [("event", f"event NOT IN ({', '.join(map(literal, EVENTS))})")],
    ),
    _rule(
        "unknown_table",
        ("removals",),
        "the table is none whose rows have an id: products, users, events, campaigns, coupons, accounts",
        lambda *_: [("table", f'lower("table") NOT IN ({", ".join(map(literal, REMOVABLE))})')],
    ),
    _rule(
        "dangling_product",
        HAS_PRODUCT,
        'the product is not in the products table; set dangling = "create" to create it',
        _dangling_product,
    ),
    _rule(
        "unreadable_time",
        _TIMED,
        "the time is neither ISO 8601 nor epoch seconds, nor as time_format in mapping.toml says",
        _of(ROW_TIME, '"time" IS NULL AND __time_given'),
    ),
    _rule(
        "time_too_early",
        _TIMED,
        "the time lies before 1990 (milliseconds or another unit? see units in mapping.toml)",
        _of(ROW_TIME, lambda context: f'"time" < {instant(context.earliest)}'),
    ),
    _rule(
        "time_too_late",
        _TIMED,
        "the time lies more than a day after the as-of date",
        _of(ROW_TIME, lambda context: f'"time" > {instant(context.as_of + timedelta(days=1))}'),
    ),
    _rule(
        "no_quantity",
        ("events",),
        "a purchase of quantity zero or less",
        _of("quantity", "event = 'purchase' AND quantity <= 0"),
    ),
    _rule(
        "negative_quantity",
        ("events",),
        "a negative quantity of something other than a return",
        _of("quantity", "event <> 'return' AND quantity < 0"),
    ),
    _rule("negative_price", _PRICED, "a negative price", _of("price", "price < 0")),
)
"""In the order in which they are tried: a ragged row comes first, since no column of it can be trusted."""


def rules_of(spec: TableSpec, columns: Sequence[BoundColumn], context: RuleContext) -> list[Rule]:
    """The rules of a table, in the order in which they are tried."""
    present = frozenset(c.name for c in columns if c.raw != "NULL" and not c.extra)
    return [
        Rule(rule.name, column, predicate)
        for rule in ROW_RULES
        if rule.holds_for(spec.name)
        for column, predicate in rule.check(spec, present, context)
    ]


def instant(time: datetime) -> str:
    """SQL literal of an aware time."""
    return f"CAST({literal(time.isoformat())} AS TIMESTAMPTZ)"
