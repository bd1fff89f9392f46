"""The parts of the linkage: values as they are compared, blocking rules, chance, threshold, constrained clusters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.linkage.blocking import choose_rules
from ingest.linkage.comparisons import compare
from ingest.linkage.constrained import Limits, split
from ingest.linkage.evidence import RECORDS, Role, birth, build_records, email, phone, text
from ingest.linkage.model import PAIRS, train
from ingest.linkage.resolve import link_accounts
from ingest.linkage.settings import LinkSettings
from ingest.linkage.similarity import create_macros
from ingest.linkage.threshold import find_cut
from ingest.values import create_macros as create_value_macros


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        create_macros(opened)
        yield opened


def value(connection: duckdb.DuckDBPyConnection, sql: str, raw: str) -> str | None:
    return connection.execute(f"SELECT {sql} FROM (SELECT ? AS v)", [raw]).fetchall()[0][0]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("  Zoë-Ann  O'Neil ", "zoe ann o neil"), ("...", None), ("北京 3", "北京 3"), ("STRASSE", "strasse")],
)
def test_text(connection: duckdb.DuckDBPyConnection, raw: str, expected: str | None) -> None:
    assert value(connection, text("v"), raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("+49 170 1234567", "701234567"), ("0170/1234567", "701234567"), ("0049-170-1234567", "701234567"),
        ("+44 (0)20 7946 0958", "079460958"), ("020 7946 0958", "079460958"), ("123456", None), ("call me", None),
        ("1" * 16, None), ("5551234", "5551234"),
    ],
)  # fmt: skip
def test_phone(connection: duckdb.DuckDBPyConnection, raw: str, expected: str | None) -> None:
    assert value(connection, phone("v"), raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(" A.B@X.org ", "a.b@x.org"), ("a+news@x.org", "a@x.org"), ("a@x", None), ("a b@x.org", None), ("x.org", None)],
)
def test_email(connection: duckdb.DuckDBPyConnection, raw: str, expected: str | None) -> None:
    assert value(connection, email("v"), raw) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("1980-02-01", "19800201"), ("19800201", "19800201"), ("1.2.1980", "19800201"), ("01/02/1980", "19800201"),
     ("unknown", None)],
)  # fmt: skip
def test_birth(connection: duckdb.DuckDBPyConnection, raw: str, expected: str | None) -> None:
    assert value(connection, birth("v", "VARCHAR"), raw) == expected


def test_names_come_from_their_columns_or_from_the_whole_name(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE TABLE accounts AS SELECT * FROM (VALUES ('1', 'Ann Mary Lee', NULL, NULL), "
        "('2', 'Lee, Ann', NULL, NULL), ('3', NULL, 'Ann', 'Lee'), ('4', 'Cher', NULL, NULL), "
        "('5', 'X Y', 'Bo', NULL)) t(account_id, name, first_name, last_name), "
        "(SELECT NULL::VARCHAR AS channel, NULL::VARCHAR AS user_id)"
    )
    fields = build_records(connection, "accounts", (), ())
    assert [(f.name, f.role) for f in fields] == [("given", Role.GIVEN), ("surname", Role.SURNAME)]
    assert connection.execute(f"SELECT account_id, given, surname FROM {RECORDS} ORDER BY 1").fetchall() == [
        ("1", "ann", "lee"), ("2", "ann", "lee"), ("3", "ann", "lee"), ("4", None, "cher"), ("5", "bo", "y"),
    ]  # fmt: skip


def test_only_columns_that_tell_persons_apart_are_evidence(connection: duckdb.DuckDBPyConnection) -> None:
    """Of 400 accounts in twos: a rare number is evidence, tier and country are not, nor a note that never agrees."""
    connection.execute(
        "CREATE TABLE accounts AS SELECT CAST(i AS VARCHAR) AS account_id, NULL::VARCHAR AS channel, NULL::VARCHAR AS "
        "user_id, i // 2 AS tax_number, CAST(i % 3 AS VARCHAR) AS tier, 'nowhere' AS country, CAST(i // 2 AS VARCHAR) "
        "AS postcode, 'note ' || i AS note, CAST(i // 2 AS DOUBLE) AS spent FROM range(400) t(i)"
    )
    assert {f.source for f in build_records(connection, "accounts", (), ())} == {"tax_number", "postcode"}
    assert {f.source for f in build_records(connection, "accounts", ("tax_number",), ())} == {"postcode"}


def test_blocking_rules_stay_within_bounds(connection: duckdb.DuckDBPyConnection) -> None:
    """1,000 accounts: given name 10 times C(100, 2) pairs, surname and both 20 times C(50, 2), postcode 500."""
    connection.execute(
        "CREATE TABLE accounts AS SELECT CAST(i AS VARCHAR) AS account_id, NULL::VARCHAR AS channel, NULL::VARCHAR AS "
        "user_id, 'g' || (i % 10) AS given_name, 's' || (i % 20) AS surname, CAST(i // 2 AS VARCHAR) AS postcode "
        "FROM range(1000) t(i)"
    )
    fields = build_records(connection, "accounts", (), ())
    rules = choose_rules(connection, fields, 1000, LinkSettings(pairs_per_account=50))
    assert [(r.columns, r.pairs) for r in rules] == [(("place_0",), 500), (("surname",), 24500), (("given",), 49500)]
    few = choose_rules(connection, fields, 1000, LinkSettings(pairs_per_account=25))
    assert [(r.columns, r.pairs) for r in few] == [(("place_0",), 500), (("surname",), 24500)]
    joined = choose_rules(connection, fields, 1000, LinkSettings(pairs_per_account=20))
    assert [r.columns for r in joined] == [("place_0",)]  # given name and surname together are no more selective
    least = choose_rules(connection, fields, 1000, LinkSettings(pairs_per_account=50, max_pairs=20000))
    assert [r.columns for r in least] == [("place_0",)]


def test_broad_columns_are_joined(connection: duckdb.DuckDBPyConnection) -> None:
    """1,000 accounts, i % 10 and i // 10 % 10: each alone 49,500 pairs, together C(10, 2) times 100 = 4,500."""
    connection.execute(
        "CREATE TABLE accounts AS SELECT CAST(i AS VARCHAR) AS account_id, NULL::VARCHAR AS channel, NULL::VARCHAR AS "
        "user_id, 'g' || (i % 10) AS given_name, 's' || (i // 10 % 10) AS surname FROM range(1000) t(i)"
    )
    fields = build_records(connection, "accounts", (), ())
    rules = choose_rules(connection, fields, 1000, LinkSettings(pairs_per_account=10))
    assert [(r.columns, r.pairs) for r in rules] == [(("given", "surname"), 4500)]


def test_chance_leaves_out_the_pairs_of_one_person(connection: duckdb.DuckDBPyConnection) -> None:
    """Two accounts each of 300 persons, whose given names are those of 30 others and whose number is their own.

    By chance two persons agree in the given name once in 30 or so, in the number never: a splink sample would say once
    in 600.
    """
    connection.execute(
        "CREATE TABLE accounts AS SELECT CAST(i AS VARCHAR) AS account_id, NULL::VARCHAR AS channel, NULL::VARCHAR AS "
        "user_id, chr(CAST(97 + p % 5 AS INTEGER)) || 'x' || chr(CAST(97 + p % 6 AS INTEGER)) || 'yz' AS given_name, "
        "md5(CAST(p AS VARCHAR))[1:12] AS member FROM (SELECT i, i // 2 AS p FROM range(600) t(i))"
    )
    fields = build_records(connection, "accounts", (), ())
    comparisons = compare(fields)
    rules = choose_rules(connection, fields, 600, LinkSettings())
    model = train(connection, comparisons, rules, accounts=600, apart="", sample_pairs=200_000, seed=0)
    by_name = {c.name: [level["u_probability"] for level in c.levels[1:]] for c in model.comparisons}
    assert by_name["given"][0] == pytest.approx(9 / 299, rel=0.02)  # of the 299 other persons nine have the name
    assert by_name["identifier_0"][0] < 1 / 100_000
    for shares in by_name.values():
        assert sum(shares) == pytest.approx(1)


def pairs(connection: duckdb.DuckDBPyConnection, *weights: tuple[float, int]) -> None:
    values = ", ".join(f"({w}, {n})" for w, n in weights)
    connection.execute(
        f"CREATE TABLE {PAIRS} AS SELECT 'a' AS account_a, 'b' AS account_b, CAST(w AS DOUBLE) AS weight "
        f"FROM (VALUES {values}) t(w, n), range(n)"
    )


def test_prior_and_threshold_of_clear_cut_weights(connection: duckdb.DuckDBPyConnection) -> None:
    """1,000 accounts, 400 pairs far above and 5,000 far below: 400 of 499,500 match, the threshold is 1/(1+.25)."""
    pairs(connection, (40, 400), (-30, 5000))
    cut = find_cut(connection, 1000, "auto")
    assert 2**cut.prior == pytest.approx(400 / 499_100, rel=1e-3)
    assert cut.probability == pytest.approx(0.8, abs=1e-3)
    assert (cut.precision, cut.recall) == (pytest.approx(1), pytest.approx(1))
    assert connection.execute(f"SELECT count(*) FROM {PAIRS} WHERE {cut.holds}").fetchall() == [(400,)]


def test_a_pair_that_is_likelier_two_persons_is_no_link(connection: duckdb.DuckDBPyConnection) -> None:
    pairs(connection, (5, 100))
    cut = find_cut(connection, 1000, "auto")
    assert cut.probability == 0.5
    assert connection.execute(f"SELECT count(*) FROM {PAIRS} WHERE {cut.holds}").fetchall() == [(0,)]


def test_no_pairs(connection: duckdb.DuckDBPyConnection) -> None:
    pairs(connection, (1, 0))
    assert connection.execute(f"SELECT count(*) FROM {PAIRS} WHERE {find_cut(connection, 10, 'auto').holds}").fetchall()


@pytest.mark.parametrize("threshold", [0.3, 0.9, 0.999])
def test_a_threshold_by_hand(connection: duckdb.DuckDBPyConnection, threshold: float) -> None:
    pairs(connection, (30, 300), *((w, 1) for w in range(5, 25)))
    cut = find_cut(connection, 1000, threshold)
    expected = sum(1 / (1 + 2 ** -(w + cut.prior)) >= threshold for w in range(5, 25)) + 300
    assert connection.execute(f"SELECT count(*) FROM {PAIRS} WHERE {cut.holds}").fetchall() == [(expected,)]


def test_links_that_join_contradictions_are_left_out() -> None:
    accounts = {"a": {"k": "1"}, "b": {"k": None}, "c": {"k": "2"}, "d": {"k": "2"}}
    links = [("b", "c", 3), ("a", "b", 4), ("c", "d", 4)]
    found, refused = split(accounts, links, Limits(("k",), "k"))
    assert found == {"a": "a", "b": "b", "c": "b", "d": "b"}
    assert refused == {"k": 1}


_ACCOUNTS = "abcdefgh"


@given(
    st.lists(st.sampled_from(["1", "2", "3", None]), min_size=8, max_size=8),
    st.lists(st.tuples(st.sampled_from(_ACCOUNTS), st.sampled_from(_ACCOUNTS)), max_size=20),
    st.lists(st.tuples(st.sampled_from(_ACCOUNTS), st.sampled_from(_ACCOUNTS)), max_size=4),
)
def test_no_cluster_contradicts_itself(
    values: list[str | None], links: list[tuple[str, str]], apart: list[tuple[str, str]]
) -> None:
    accounts = {a: {"k": v} for a, v in zip(_ACCOUNTS, values, strict=True)}
    told = frozenset((min(p), max(p)) for p in apart if p[0] != p[1])
    found, refused = split(accounts, [(a, b, 5) for a, b in links if a != b], Limits(("k",), "k", apart=told))
    for cluster in set(found.values()):
        members = [a for a in _ACCOUNTS if found[a] == cluster]
        assert cluster == min(members)
        assert len({accounts[a]["k"] for a in members} - {None}) <= 1
        assert not any(a in members and b in members for a, b in told)
    # a link is left out only where its ends are apart
    assert (sum(refused.values()) == 0) == all(found[a] == found[b] for a, b in links)


@pytest.mark.parametrize(
    ("columns", "changed", "users"),
    [
        # names alone: whatever is blocked on a name leaves nothing to learn from
        ("chr(CAST(97 + i % 8 AS INTEGER)) || 'nn lee' || i % 5 AS name", {}, 60),
        # every pair is within the one channel that has no duplicates
        ("'p' || i // 2 || ' lee' AS name, CAST(i // 2 AS VARCHAR) AS postcode", {"duplicate_free": ("web",)}, 60),
        # extra columns with names that would be something else in SQL
        ("'p' || i // 2 || ' lee' AS name, 'n' || i // 2 AS \"order by\", 'm' || i // 2 AS \"a\"\";drop\"", {}, 30),
    ],
)
def test_what_there_may_be(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, columns: str, changed: dict[str, Any], users: int
) -> None:
    create_value_macros(connection)
    absent = ", ".join(f"NULL::VARCHAR AS {c}" for c in ("user_id", "loyalty_id", "email", "phone", "device_id"))
    connection.execute(
        f"CREATE TABLE accounts AS SELECT CAST(i AS VARCHAR) AS account_id, 'web' AS channel, {absent}, {columns} "
        "FROM range(60) t(i)"
    )
    assert link_accounts(connection, "accounts", LinkSettings(**changed), None, tmp_path).users == users
