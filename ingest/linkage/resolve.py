"""Accounts to users: given users, decisions, exact keys, probabilistic links, clusters without contradictions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from ingest.linkage.clusters import KEPT, LINKED_USERS, connect_accounts, name_users, settle, strongest_links
from ingest.linkage.decisions import read_decisions
from ingest.linkage.evidence import RECORDS, Field, Role, build_records
from ingest.linkage.links import METHODS, add_links, link_given, link_keys, start_links
from ingest.linkage.report import LinkReport
from ingest.linkage.settings import LinkSettings
from ingest.linkage.similarity import create_macros
from ingest.names import literal

if TYPE_CHECKING:
    from ingest.linkage.model import Model
    from ingest.linkage.threshold import Cut

_WORDS = frozenset({Role.GIVEN, Role.SURNAME, Role.BIRTH, Role.IDENTIFIER})
"""Evidence beyond what exact keys compare already."""

_ALMOST_SURE = 0.999999


@dataclass(frozen=True)
class _Compared:
    """What the probabilistic linkage found."""

    fields: list[Field] = field(default_factory=list)
    model: Model | None = None
    cut: Cut | None = None
    pairs: int = 0


def link_accounts(
    connection: duckdb.DuckDBPyConnection, accounts: str, settings: LinkSettings, decisions: Path | None, scratch: Path
) -> LinkReport:
    """Resolve the accounts of a shop's channels to users; creates the tables `LINKED_USERS` and `KEPT`.

    Nothing depends on the order of the accounts nor on the number of threads.

    Args:
        connection: the working database.
        accounts: relation of the clean accounts.
        settings: how.
        decisions: decisions.csv; None without.
        scratch: folder for what is temporary.

    Raises:
        IngestError: a setting out of range, or decisions that cannot be followed.
    """
    settings.check()
    create_macros(connection)
    fields = build_records(connection, accounts, settings.ignore, settings.contradictions)
    count = int(connection.execute(f"SELECT count(*) FROM {accounts}").fetchall()[0][0])
    start_links(connection)
    link_given(connection, accounts)
    decided = read_decisions(connection, decisions, accounts, scratch)
    shared = link_keys(connection, accounts, settings.keys, settings.max_key_accounts)
    compared = _compare(connection, fields, count, settings) if settings.probabilistic else _Compared()
    strongest_links(connection)
    connect_accounts(connection)
    trusted, untrusted = _trusted(connection, compared, settings)
    split = settle(connection, trusted, settings.duplicate_free)
    name_users(connection)
    return LinkReport(
        accounts=count,
        users=int(connection.execute(f"SELECT count(DISTINCT user_id) FROM {LINKED_USERS}").fetchall()[0][0]),
        methods=dict(
            connection.execute(f"SELECT method, count(*) FROM {LINKED_USERS} GROUP BY 1 ORDER BY 1").fetchall()
        ),
        links=_links(connection),
        split=dict(sorted(split.items())),
        shared_keys=shared,
        decisions=decided.used,
        unknown_decisions=decided.unknown,
        compared=sorted({f.source for f in compared.fields}),
        pairs=compared.pairs,
        threshold=round(compared.cut.probability, 6) if compared.cut else None,
        precision=round(compared.cut.precision, 6) if compared.cut else None,
        recall=round(compared.cut.recall, 6) if compared.cut else None,
        untrusted=untrusted,
    )


def _links(connection: duckdb.DuckDBPyConnection) -> dict[str, list[int]]:
    rows = connection.execute(
        f"SELECT method, count(*) FILTER (kept), count(*) FILTER (NOT kept) FROM {KEPT} GROUP BY method"
    ).fetchall()
    return {method: [kept, left] for method, kept, left in sorted(rows, key=lambda row: METHODS.index(row[0]))}


def _compare(
    connection: duckdb.DuckDBPyConnection, fields: list[Field], accounts: int, settings: LinkSettings
) -> _Compared:
    """Add the probabilistic links, where there is enough evidence for any."""
    # splink is imported where it is used, so that a build without accounts starts at once
    from ingest.linkage import model as models
    from ingest.linkage.blocking import choose_rules
    from ingest.linkage.comparisons import compare
    from ingest.linkage.threshold import find_cut

    comparisons = compare(fields)
    rules = choose_rules(connection, fields, accounts, settings)
    if len(comparisons) < 2 or not rules or not any(f.role in _WORDS for f in fields):
        return _Compared()
    apart = ""
    if settings.duplicate_free:
        channels = ", ".join(map(literal, settings.duplicate_free))
        apart = f"(l.channel <> r.channel OR l.channel IS NULL OR r.channel IS NULL OR l.channel NOT IN ({channels}))"
    trained = models.train(
        connection,
        comparisons,
        rules,
        accounts=accounts,
        apart=apart,
        sample_pairs=settings.sample_pairs,
        seed=settings.seed,
    )
    models.score(connection, trained)
    cut = find_cut(connection, accounts, settings.threshold)
    share = f"1 / (1 + pow(2, -(weight + {cut.prior!r})))"
    add_links(
        connection,
        "probabilistic",
        f"SELECT account_a, account_b, least(round({share}, 6), {_ALMOST_SURE}) AS confidence FROM {models.PAIRS} "
        f"WHERE {cut.holds}",
    )
    pairs = int(connection.execute(f"SELECT count(*) FROM {models.PAIRS}").fetchall()[0][0])
    connection.execute(f"DROP TABLE {models.PAIRS}")
    return _Compared(fields, trained, cut, pairs)


def _trusted(
    connection: duckdb.DuckDBPyConnection, compared: _Compared, settings: LinkSettings
) -> tuple[list[str], dict[str, float]]:
    """The columns in which one person has one value, and those that are wrong too often for that, with how often."""
    rows = connection.execute(f"DESCRIBE SELECT * FROM {RECORDS}").fetchall()
    held = {str(row[0]) for row in rows}
    present = [name for name in settings.contradictions if f"c_{name}" in held]
    by_source = {f.source: f.name for f in compared.fields}
    rates = {n: compared.model.errors.get(by_source.get(n, "")) for n in present} if compared.model else {}
    untrusted = {
        n: round(rate, 4) for n, rate in rates.items() if rate is not None and rate >= settings.tolerated_error
    }
    return [n for n in present if n not in untrusted], untrusted
