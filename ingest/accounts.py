"""Accounts and the users they belong to: as the linkage found, else as events say, else an account of its own."""

from __future__ import annotations

import duckdb

from ingest.linkage.clusters import LINKED_USERS
from ingest.names import identifier

ACCOUNT_USERS = "account_users"
"""Relation and clean table: account_id, user_id, method, confidence (0 to 1).

Methods: `given` (by the accounts table); `decision`, `loyalty`, `email`, `phone`, `probabilistic` (of the weakest link
on the account's strongest way to its user); `events` (only events name the account, with this user); `own`.
"""

OWNERS = "account_owners"
"""View for the cleaning of events: account_id, user_id, channel."""


def resolve_accounts(connection: duckdb.DuckDBPyConnection, *, linked: bool, events: str | None) -> None:
    """Create the relation `account_users` over the accounts of the accounts table and of the events.

    Args:
        connection: the working database.
        linked: whether `ingest.linkage` has resolved an accounts table.
        events: relation of the clean events, whose users are resolved; None without, or before they are.
    """
    parts = [
        "SELECT NULL::VARCHAR AS account_id, NULL::VARCHAR AS user_id, NULL::VARCHAR AS method, "
        "NULL::DOUBLE AS confidence, 0 AS rank WHERE false"
    ]
    if linked:
        parts.append(f"SELECT account_id, user_id, method, confidence, 0 AS rank FROM {LINKED_USERS}")
    if events is not None:
        # of an account that only events name: the user of most of its events, the smallest id where two tie
        parts.append(
            "SELECT account_id, first(user_id ORDER BY n DESC, user_id) AS user_id, NULL::VARCHAR AS method, "
            "1.0::DOUBLE AS confidence, 1 AS rank FROM (SELECT account_id, user_id, count(*) AS n "
            f" FROM {identifier(events)} WHERE account_id IS NOT NULL GROUP BY ALL) GROUP BY account_id"
        )
    named = "CASE WHEN user_id IS NULL OR user_id = account_id THEN 'own' ELSE 'events' END"
    connection.execute(
        f"CREATE OR REPLACE TABLE {ACCOUNT_USERS} AS SELECT account_id, coalesce(user_id, account_id) AS user_id, "
        f"coalesce(method, {named}) AS method, confidence "
        f"FROM ({' UNION ALL BY NAME '.join(parts)}) "
        "QUALIFY row_number() OVER (PARTITION BY account_id ORDER BY rank) = 1"
    )


def name_owners(connection: duckdb.DuckDBPyConnection, accounts: str) -> None:
    """Create the view `OWNERS` over `account_users` and the clean accounts: account_id, user_id, channel."""
    connection.execute(
        f"CREATE OR REPLACE VIEW {OWNERS} AS SELECT account_id, u.user_id, a.channel FROM {ACCOUNT_USERS} u "
        f"JOIN {identifier(accounts)} a USING (account_id)"
    )


def with_users(events: str, owners: str | None) -> str:
    """SELECT statement of `events` (another) with the user and the channel of the account, where an event has none.

    Without `owners`, or for an account that they lack, the account itself is the user.
    """
    if owners is None:
        return f"SELECT * REPLACE (coalesce(user_id, account_id) AS user_id) FROM ({events})"
    return (
        "SELECT e.* REPLACE (coalesce(e.user_id, a.user_id, e.account_id) AS user_id, "
        f"coalesce(e.channel, a.channel) AS channel) FROM ({events}) e "
        f"LEFT JOIN {identifier(owners)} a ON e.account_id = a.account_id"
    )
