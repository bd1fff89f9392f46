"""The links that need no model: given users and exact keys, which are compared as hashes."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from ingest.linkage.evidence import email, phone, text
from ingest.names import identifier, literal

LINKS = "link_candidates"
"""Table of the links: account_a < account_b, method, confidence (0 to 1), rank (0 is the strongest method)."""

METHODS = ("given", "decision", "loyalty", "email", "phone", "probabilistic")
"""What links two accounts, the strongest first."""

_HASHED = "[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}"
_COLUMNS = {"loyalty": "loyalty_id", "email": "email", "phone": "phone"}


def start_links(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the empty table of links."""
    connection.execute(
        f"CREATE OR REPLACE TABLE {LINKS} (account_a VARCHAR, account_b VARCHAR, method VARCHAR, confidence DOUBLE, "
        "rank TINYINT)"
    )


def add_links(connection: duckdb.DuckDBPyConnection, method: str, pairs: str) -> None:
    """Add links of one method; `pairs` is a SELECT of account_a, account_b, confidence."""
    connection.execute(
        f"INSERT INTO {LINKS} SELECT least(account_a, account_b), greatest(account_a, account_b), {literal(method)}, "
        f"confidence, {METHODS.index(method)} FROM ({pairs})"
    )


def link_given(connection: duckdb.DuckDBPyConnection, accounts: str) -> None:
    """Link each account with a given user to the first account of that user."""
    add_links(
        connection,
        "given",
        "SELECT account_id AS account_a, first AS account_b, 1.0 AS confidence FROM (SELECT account_id, "
        f"min(account_id) OVER (PARTITION BY user_id) AS first FROM {identifier(accounts)} WHERE user_id IS NOT NULL) "
        "WHERE account_id <> first",
    )


def link_keys(connection: duckdb.DuckDBPyConnection, accounts: str, keys: Sequence[str], most: int) -> dict[str, int]:
    """Link accounts that share a key; a key of more than `most` accounts links nobody.

    A key is the SHA-256 of the normalised value. A value that is a hash already (of 32, 40 or 64 hexadecimal digits)
    is compared as it is, so that a shop need hand out nothing in clear.

    Returns:
        Per method, how many keys were left out since too many accounts share them.
    """
    shared: dict[str, int] = {}
    for method in (m for m in _COLUMNS if m in keys):
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE link_keys AS SELECT account_id, key, count(*) OVER (PARTITION BY key) AS n "
            f"FROM (SELECT account_id, {_key(method)} AS key FROM {identifier(accounts)}) WHERE key IS NOT NULL"
        )
        found = connection.execute(f"SELECT count(DISTINCT key) FROM link_keys WHERE n > {int(most)}").fetchall()
        if found[0][0]:
            shared[method] = int(found[0][0])
        add_links(
            connection,
            method,
            "SELECT a.account_id AS account_a, b.account_id AS account_b, 1.0 AS confidence FROM link_keys a "
            f"JOIN link_keys b ON a.key = b.key AND a.account_id < b.account_id WHERE a.n <= {int(most)}",
        )
        connection.execute("DROP TABLE link_keys")
    return shared


def _key(method: str) -> str:
    column = _COLUMNS[method]
    word = f"lower(trim(CAST({identifier(column)} AS VARCHAR)))"
    value = {"email": email, "phone": phone}.get(method, _card)(column)
    return f"CASE WHEN regexp_full_match({word}, {literal(_HASHED)}) THEN {word} ELSE sha256({value}) END"


def _card(column: str) -> str:
    """SQL of a loyalty number without its separators."""
    return f"replace({text(identifier(column))}, ' ', '')"
