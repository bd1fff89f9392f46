"""Which columns may show their values in reports: the one place that says so."""

from __future__ import annotations

PERSONAL = frozenset(
    {
        "user_id",  # a shop may use the e-mail address
        "account_id",
        "loyalty_id",
        "device_id",
        "email",
        "phone",
        "name",
        "postcode",
        "text",  # what people wrote themselves
        "query",
        "removals.id",
    }
)
"""Columns, of the contract or extra, whose values are never examples, commonest values or categories of a report; with
a table's name before it, of that table alone."""


def may_show(table: str, column: str) -> bool:
    """Whether a report may show values of a column."""
    return PERSONAL.isdisjoint((column, f"{table}.{column}"))
