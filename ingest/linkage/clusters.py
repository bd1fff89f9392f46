"""Links to users: connected accounts are one user unless they contradict each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from ingest.linkage.constrained import Limits, split
from ingest.linkage.decisions import DECISIONS
from ingest.linkage.evidence import RECORDS, contradiction
from ingest.linkage.links import LINKS
from ingest.names import identifier, literal

CLUSTERS = "link_clusters"
"""Table of all accounts: account_id, cluster (its smallest account)."""

KEPT = "link_kept"
"""Table of the links, one per pair of accounts: account_a, account_b, method, confidence, rank, kept."""

LINKED_USERS = "link_users"
"""Table of all accounts: account_id, user_id, method, confidence."""

_BIRTH = ("date_of_birth", "birth_date", "dob")


def strongest_links(connection: duckdb.DuckDBPyConnection) -> None:
    """Keep of each pair its strongest link, and mark those that a decision undoes; `kept` is settled by `settle`."""
    connection.execute(
        f"CREATE OR REPLACE TABLE {KEPT} AS SELECT l.*, d.account_a IS NULL OR l.rank = 0 AS kept FROM "
        f"(SELECT account_a, account_b, arg_min(method, rank) AS method, arg_min(confidence, rank) AS confidence, "
        f"min(rank) AS rank FROM {LINKS} GROUP BY account_a, account_b) l "
        f"LEFT JOIN (SELECT * FROM {DECISIONS} WHERE NOT same) d USING (account_a, account_b)"
    )


def connect_accounts(connection: duckdb.DuckDBPyConnection) -> None:
    """Create `CLUSTERS`, the connected components of the kept links."""
    found = connection.execute(f"SELECT count(*) FROM {KEPT} WHERE kept").fetchall()
    if not found[0][0]:
        connection.execute(
            f"CREATE OR REPLACE TABLE {CLUSTERS} AS SELECT account_id, account_id AS cluster FROM {RECORDS}"
        )
        return
    from splink import DuckDBAPI
    from splink.clustering import cluster_pairwise_predictions_at_threshold

    linked = (
        f"(SELECT account_a, account_b FROM {KEPT} WHERE kept)",
        f"(SELECT account_a AS account_id FROM {KEPT} WHERE kept UNION SELECT account_b FROM {KEPT} WHERE kept)",
    )
    for name, statement in zip(("link_edges", "link_nodes"), linked, strict=True):
        connection.execute(f"CREATE OR REPLACE TABLE {name} AS {statement}")
    api = DuckDBAPI(connection=connection)
    edges, nodes = api.register("link_edges"), api.register("link_nodes")
    made = cluster_pairwise_predictions_at_threshold(nodes, edges, api, "account_id", "account_a", "account_b")
    connection.execute(
        f"CREATE OR REPLACE TABLE {CLUSTERS} AS SELECT account_id, min(account_id) OVER (PARTITION BY cluster_id) "
        "AS cluster FROM (SELECT r.account_id, coalesce(c.cluster_id, r.account_id) AS cluster_id "
        f"FROM {RECORDS} r LEFT JOIN {made.physical_name} c USING (account_id))"
    )
    for name in (made.physical_name, "link_edges", "link_nodes"):
        connection.execute(f"DROP TABLE IF EXISTS {identifier(name)}")


def settle(
    connection: duckdb.DuckDBPyConnection, contradictions: Sequence[str], duplicate_free: Sequence[str]
) -> Counter[str]:
    """Split the clusters that contradict themselves, and mark the links within the clusters that are left as kept.

    Args:
        connection: the working database.
        contradictions: columns in which one user has one value.
        duplicate_free: channels of which one user has one account at most.

    Returns:
        How many links were left out, per column (or `decision`) that forbade them.
    """
    columns = {"user_id": "user_id"} | {c: contradiction(c) for c in contradictions}
    channels = f"({', '.join(map(literal, duplicate_free))})" if duplicate_free else "('')"
    once = f"CASE WHEN channel IN {channels} THEN channel END"
    tests = [f"count(DISTINCT {sql}) > 1" for sql in columns.values()]
    tests.append(f"count({once}) > count(DISTINCT {once})")
    connection.execute(
        f"CREATE OR REPLACE TABLE link_disputed AS SELECT cluster FROM {CLUSTERS} JOIN {RECORDS} USING (account_id) "
        f"GROUP BY cluster HAVING {' OR '.join(tests)} UNION SELECT a.cluster FROM {DECISIONS} d "
        f"JOIN {CLUSTERS} a ON a.account_id = d.account_a JOIN {CLUSTERS} b ON b.account_id = d.account_b "
        "WHERE NOT d.same AND a.cluster = b.cluster"
    )
    refused = _split_disputed(connection, {**columns, "channel": once})
    connection.execute(
        f"CREATE OR REPLACE TABLE {KEPT} AS SELECT k.* REPLACE (k.kept AND a.cluster = b.cluster AS kept) "
        f"FROM {KEPT} k JOIN {CLUSTERS} a ON a.account_id = k.account_a JOIN {CLUSTERS} b ON b.account_id = k.account_b"
    )
    connection.execute("DROP TABLE link_disputed")
    return refused


def _split_disputed(connection: duckdb.DuckDBPyConnection, columns: Mapping[str, str]) -> Counter[str]:
    """Cluster the disputed accounts anew; only they are looked at one by one, since SQL has no constrained clusters."""
    disputed = f"{CLUSTERS} c JOIN link_disputed USING (cluster)"
    values = ", ".join(f"{sql} AS {identifier(name)}" for name, sql in columns.items())
    rows = connection.execute(
        f"SELECT account_id, {values} FROM {RECORDS} JOIN {disputed} USING (account_id)"
    ).fetchall()
    if not rows:
        return Counter()
    accounts = {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows}
    links = connection.execute(
        f"SELECT account_a, account_b, rank FROM {KEPT} k JOIN {disputed} ON c.account_id = k.account_a WHERE kept "
        "ORDER BY rank, confidence DESC, account_a, account_b"
    ).fetchall()
    apart = connection.execute(f"SELECT account_a, account_b FROM {DECISIONS} WHERE NOT same").fetchall()
    limits = Limits(
        tuple(c for c in columns if c != "channel"), "user_id", "channel", _alike(connection, columns), frozenset(apart)
    )
    clusters, refused = split(accounts, links, limits)
    connection.register("split_accounts", pa.table({
        "account_id": pa.array(list(clusters), pa.string()), "cluster": pa.array(list(clusters.values()), pa.string()),
    }))  # fmt: skip
    connection.execute(
        f"CREATE OR REPLACE TABLE {CLUSTERS} AS SELECT account_id, coalesce(s.cluster, c.cluster) AS cluster "
        f"FROM {CLUSTERS} c LEFT JOIN split_accounts s USING (account_id)"
    )
    connection.unregister("split_accounts")
    return refused


def _alike(connection: duckdb.DuckDBPyConnection, columns: Mapping[str, str]) -> frozenset[tuple[str, str, str]]:
    """Dates of birth of disputed accounts that differ by a slip of the hand, and so do not contradict each other."""
    alike: set[tuple[str, str, str]] = set()
    for name in (c for c in columns if c in _BIRTH):
        values = f"(SELECT DISTINCT cluster, {columns[name]} AS v FROM {RECORDS} JOIN {CLUSTERS} USING (account_id) " \
                 f"JOIN link_disputed USING (cluster) WHERE {columns[name]} IS NOT NULL)"  # fmt: skip
        slip = "link_date_slip(TRY_CAST(a.v AS INTEGER), TRY_CAST(b.v AS INTEGER))"
        rows = connection.execute(
            f"SELECT DISTINCT a.v, b.v FROM {values} a JOIN {values} b ON a.cluster = b.cluster AND a.v < b.v "
            f"WHERE link_edits(a.v, b.v) <= 1 OR {slip}"
        ).fetchall()
        alike |= {(name, a, b) for a, b in rows}
    return frozenset(alike)


def name_users(connection: duckdb.DuckDBPyConnection) -> None:
    """Create `LINKED_USERS`: a cluster is its given user, else its smallest account.

    An account's method and confidence are those of the weakest link on its strongest way to an account with a given
    user, or else to the smallest account.
    """
    connection.execute(
        "CREATE OR REPLACE TABLE link_reached AS SELECT account_id, "
        "CASE WHEN user_id IS NULL THEN 'own' ELSE 'given' END AS method, "
        f"1.0::DOUBLE AS confidence FROM {RECORDS} JOIN (SELECT account_id, cluster, min(user_id) OVER "
        f"(PARTITION BY cluster) IS NOT NULL AS named FROM {CLUSTERS} JOIN {RECORDS} USING (account_id)) "
        "USING (account_id) WHERE user_id IS NOT NULL OR (NOT named AND account_id = cluster)"
    )
    both = (
        f"SELECT account_a AS source, account_b AS target, method, confidence, rank FROM {KEPT} WHERE kept UNION ALL "
        f"SELECT account_b, account_a, method, confidence, rank FROM {KEPT} WHERE kept"
    )
    step = (
        "SELECT account_id, method, confidence, -1 AS rank FROM link_reached UNION ALL "
        "SELECT target, CASE WHEN k.confidence <= r.confidence THEN k.method ELSE r.method END, "
        f"least(k.confidence, r.confidence), k.rank FROM ({both}) k JOIN link_reached r ON r.account_id = k.source"
    )
    changed = 1
    while changed:
        connection.execute(
            f"CREATE OR REPLACE TABLE link_next AS SELECT account_id, method, confidence FROM ({step}) QUALIFY "
            "row_number() OVER (PARTITION BY account_id ORDER BY confidence DESC, rank, method) = 1"
        )
        difference = "SELECT count(*) FROM (FROM link_next EXCEPT FROM link_reached)"
        changed = connection.execute(difference).fetchall()[0][0]
        connection.execute("CREATE OR REPLACE TABLE link_reached AS FROM link_next")
    connection.execute(
        f"CREATE OR REPLACE TABLE {LINKED_USERS} AS SELECT account_id, coalesce(min(r.user_id) OVER (PARTITION BY "
        f"cluster), cluster) AS user_id, method, confidence FROM {CLUSTERS} JOIN {RECORDS} r USING (account_id) "
        "JOIN link_reached USING (account_id)"
    )
    connection.execute("DROP TABLE link_reached")
    connection.execute("DROP TABLE link_next")
