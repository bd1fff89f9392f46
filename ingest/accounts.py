"""Accounts and the users they belong to: as the accounts table says, else an account is a user of its own."""

from __future__ import annotations

import duckdb

from ingest.names import identifier

ACCOUNT_USERS = "account_users"
"""Relation and clean table: account_id, user_id, method (`given`, `events`, `own`), confidence (0 to 1)."""


def resolve_accounts(connection: duckdb.DuckDBPyConnection, accounts: str | None, events: str | None) -> None:
    """Create the relation `account_users` over the accounts of the accounts table and of the events.

    Args:
        connection: the working database.
        accounts: relation of the clean accounts; None without.
        events: relation of the clean events, whose users are resolved; None without, or before they are.
    """
    parts = ["SELECT NULL::VARCHAR AS account_id, NULL::VARCHAR AS user_id, 0 AS rank WHERE false"]
    if accounts is not None:
        parts.append(f"SELECT account_id, user_id, 0 AS rank FROM {identifier(accounts)}")
    if events is not None:
        # of an account that only events name: the user of most of its events, the smallest id where two tie
        parts.append(
            "SELECT account_id, first(user_id ORDER BY n DESC, user_id) AS user_id, 1 AS rank FROM "
            "(SELECT account_id, user_id, count(*) AS n "
            f" FROM {identifier(events)} WHERE account_id IS NOT NULL GROUP BY ALL) GROUP BY account_id"
        )
    connection.execute(
        f"CREATE OR REPLACE TABLE {ACCOUNT_USERS} AS SELECT account_id, coalesce(user_id, account_id) AS user_id, "
        "CASE WHEN user_id IS NULL OR (rank = 1 AND user_id = account_id) THEN 'own' "
        "WHEN rank = 0 THEN 'given' ELSE 'events' END AS method, CAST(1 AS DOUBLE) AS confidence "
        f"FROM ({' UNION ALL BY NAME '.join(parts)}) "
        "QUALIFY row_number() OVER (PARTITION BY account_id ORDER BY rank) = 1"
    )


def with_users(events: str, accounts: str | None) -> str:
    """SELECT statement of `events` (another) with the account's user, or the account itself, where no user is named."""
    if accounts is None:
        return f"SELECT * REPLACE (coalesce(user_id, account_id) AS user_id) FROM ({events})"
    return (
        f"SELECT e.* REPLACE (coalesce(e.user_id, a.user_id, e.account_id) AS user_id) FROM ({events}) e "
        f"LEFT JOIN {identifier(accounts)} a ON e.account_id = a.account_id"
    )
