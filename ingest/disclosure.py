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
    }
)
"""Columns, of the contract or extra, whose values are never examples, commonest values or categories of a report."""


def may_show(table: str, column: str) -> bool:  # noqa: ARG001 - a marking per table takes the place of the list
    """Whether a report may show values of a column."""
    return column not in PERSONAL
