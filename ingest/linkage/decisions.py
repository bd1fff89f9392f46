"""decisions.csv: what a person has decided about pairs of accounts, which confirms links or undoes them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa

from ingest.errors import IngestError
from ingest.linkage.links import add_links
from ingest.names import identifier
from ingest.read_csv import stage_csv
from ingest.staging import LINE_BITS, ColumnRegister

DECISIONS_FILE = "decisions.csv"
DECISIONS = "link_decisions"
"""Table of the decisions between known accounts: account_a < account_b, same."""

_COLUMNS = ("account_a", "account_b", "same")
_REMEDY = "correct the file; it has the columns account_a, account_b, same (true or false)"
_SHOWN = 5


@dataclass(frozen=True)
class Decisions:
    """What the file says.

    Attributes:
        used: decisions between two known accounts.
        unknown: decisions that name an account which the accounts table lacks.
    """

    used: int
    unknown: int


def read_decisions(connection: duckdb.DuckDBPyConnection, path: Path | None, accounts: str, scratch: Path) -> Decisions:
    """Create `DECISIONS` and add the links that it confirms.

    Raises:
        IngestError: a column is missing, a line says nothing, or lines contradict each other; the message names them.
    """
    connection.execute(f"CREATE OR REPLACE TABLE {DECISIONS} (account_a VARCHAR, account_b VARCHAR, same BOOLEAN)")
    if path is None:
        return Decisions(0, 0)
    rows = _rows(connection, path, scratch)
    _check(rows)
    connection.register("read_decisions", pa.Table.from_pylist(
        [{"account_a": min(a, b), "account_b": max(a, b), "same": same} for _, a, b, same in rows],
        pa.schema([("account_a", pa.string()), ("account_b", pa.string()), ("same", pa.bool_())]),
    ))  # fmt: skip
    known = f"(SELECT account_id FROM {identifier(accounts)})"
    connection.execute(
        f"INSERT INTO {DECISIONS} SELECT DISTINCT * FROM read_decisions "
        f"WHERE account_a IN {known} AND account_b IN {known}"
    )
    unknown = connection.execute(
        f"SELECT count(*) FROM read_decisions WHERE NOT (account_a IN {known} AND account_b IN {known})"
    ).fetchall()[0][0]
    connection.unregister("read_decisions")
    add_links(connection, "decision", f"SELECT account_a, account_b, 1.0 AS confidence FROM {DECISIONS} WHERE same")
    return Decisions(len(rows) - int(unknown), int(unknown))


def _rows(connection: duckdb.DuckDBPyConnection, path: Path, scratch: Path) -> list[tuple[int, str, str, bool]]:
    """(line, account, account, same) of every decision."""
    register = ColumnRegister()
    target = scratch / "decisions.parquet"
    file = stage_csv(path, path.name, 0, target, register, "utf-8", ",")
    lacking = [c for c in _COLUMNS if c not in file.columns]
    if lacking:
        found = ", ".join(file.columns) or "none"
        raise IngestError(f"the decisions have no column {lacking[0]!r}; columns found: {found}", path.name, _REMEDY)
    a, b, same = (identifier(register.sql(c)) for c in _COLUMNS)
    rows = connection.execute(
        f"SELECT __ord & {(1 << LINE_BITS) - 1}, sg_id({a}), sg_id({b}), sg_boolean(sg_word({same})), "
        "__ragged IS NOT NULL FROM read_parquet(?) ORDER BY __ord",
        [str(target)],
    ).fetchall()
    for line, left, right, value, ragged in rows:
        if ragged or left is None or right is None or value is None or left == right:
            raise IngestError(f"line {line} says nothing about two accounts", path.name, _REMEDY)
    return [(int(line), left, right, bool(value)) for line, left, right, value, _ in rows]


def _check(rows: list[tuple[int, str, str, bool]]) -> None:
    """Accounts that are the same, directly or by way of others, must not be said to be different."""
    import networkx as nx

    same: nx.Graph[str] = nx.Graph()
    for line, a, b, value in rows:
        if value and not same.has_edge(a, b):
            same.add_edge(a, b, line=line)
    for line, a, b, value in rows:
        if not value and a in same and b in same and nx.has_path(same, a, b):
            way = nx.shortest_path(same, a, b)
            lines = [same.edges[edge]["line"] for edge in pairwise(way)]
            shown = ", ".join(map(str, sorted(lines)[:_SHOWN])) + (" and more" if len(lines) > _SHOWN else "")
            what = f"line {line} tells two accounts apart that line{'s' * (len(lines) > 1)} {shown} make one"
            raise IngestError(f"the decisions contradict each other: {what}", DECISIONS_FILE, "remove one of the lines")
