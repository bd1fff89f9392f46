"""The linkage model of Fellegi and Sunter with splink: chance agreement, expectation maximisation, match weights."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
from splink import DuckDBAPI, Linker, SettingsCreator
from splink.internals.exceptions import EMTrainingException

from ingest.linkage.blocking import Rule
from ingest.linkage.comparisons import Compared, gamma
from ingest.linkage.evidence import RECORDS
from ingest.names import literal

PAIRS = "link_pairs"
"""Table of the compared pairs: account_a, account_b, weight (bits of evidence, without the prior)."""

_SESSIONS = 3
_PRIOR_MATCHES = 10.0
"""Matches that the prior of m is worth: where there are few accounts, it keeps m away from 0 and 1."""
_PRIOR_EXACT, _PRIOR_DIFFERENT = 0.85, 0.05
_LEARNED = 30.0
"""Matches from which m counts as learned from the data."""
_AGREED = 2
"""Random pairs that agree exactly in so many comparisons are taken for one person, and tell nothing of chance."""

logging.getLogger("splink").addHandler(logging.NullHandler())  # its warnings are dealt with here


@dataclass(frozen=True)
class Model:
    """A trained model.

    Attributes:
        comparisons: with `m_probability` and `u_probability` in every level but the null level.
        rules: blocking rules of the pairs that are compared.
        apart: further condition of every rule, '' for none.
        errors: record column -> how often the values of one person differ wholly in it, where enough was learned.
    """

    comparisons: tuple[Compared, ...]
    rules: tuple[Rule, ...]
    apart: str
    errors: Mapping[str, float]


def train(
    connection: duckdb.DuckDBPyConnection,
    comparisons: Sequence[Compared],
    rules: Sequence[Rule],
    *,
    accounts: int,
    apart: str,
    sample_pairs: int,
    seed: int,
) -> Model:
    """Estimate u from random pairs and m by expectation maximisation.

    Args:
        connection: the working database, with the records.
        comparisons: what is compared.
        rules: blocking rules, the most selective first.
        accounts: number of records.
        apart: further condition of every rule.
        sample_pairs: random pairs for u.
        seed: of their choice.
    """
    chance = _chance(connection, comparisons, accounts, sample_pairs, seed)
    fixed = [_with(c, "u_probability", u) for c, u in zip(comparisons, chance, strict=True)]
    sessions = _training_rules(fixed, rules)
    learned, matches = _learn(connection, fixed, sessions, accounts, apart)
    smoothed = [_with(c, "m_probability", _smooth(c, learned.get(c.name, {}), matches.get(c.name, 0.0))) for c in fixed]
    errors = {
        c.fields[0]: learned[c.name].get(len(c.levels) - 2, 0.0)
        for c in fixed
        if learned.get(c.name) and matches.get(c.name, 0.0) >= _LEARNED
    }
    return Model(tuple(smoothed), tuple(rules), apart, errors)


def _chance(
    connection: duckdb.DuckDBPyConnection, comparisons: Sequence[Compared], accounts: int, wanted: int, seed: int
) -> list[list[float]]:
    """Per comparison how often two persons reach each level, from exact to different.

    The accounts are put in a random order, and each is paired with those 1, 2, … places further on. Splink's own
    estimate takes the few pairs of one person in such a sample for chance, which makes an agreement in a rare value
    look a thousand times likelier by chance than it is; they are left out here. Half a pair is added to each level.
    """
    names = sorted({f for c in comparisons for f in c.fields})
    shifts = max(1, min(math.ceil(wanted / max(1, accounts)), (accounts - 1) // 2))
    levels = ", ".join(f"{gamma(c)} AS g{i}" for i, c in enumerate(comparisons))
    agreed = " + ".join(f"CAST(g{i} = {len(c.levels) - 2} AS INTEGER)" for i, c in enumerate(comparisons))
    sides = ", ".join(f"l.{n} AS {n}_l, r.{n} AS {n}_r" for n in names)
    place = f"row_number() OVER (ORDER BY md5(account_id || {literal(f':{seed}')}), account_id) - 1"
    rows = connection.execute(
        f"WITH placed AS MATERIALIZED (SELECT {', '.join(names)}, {place} AS k FROM {RECORDS}), "
        f"shifted AS MATERIALIZED (SELECT *, (k + unnest(range(1, {shifts + 1}))) % {accounts} AS partner "
        "FROM placed), "
        f"pairs AS (SELECT {sides} FROM shifted l JOIN placed r ON r.k = l.partner), "
        f"reached AS (SELECT {levels} FROM pairs) "
        f"SELECT {', '.join(f'g{i}' for i in range(len(comparisons)))}, count(*) FROM reached "
        f"WHERE {agreed} < {_AGREED} GROUP BY ALL"
    ).fetchall()
    shares = []
    for i, compared in enumerate(comparisons):
        counts = [0.5] * (len(compared.levels) - 1)
        for row in rows:
            if row[i] >= 0:
                counts[len(counts) - 1 - row[i]] += row[-1]
        shares.append([n / sum(counts) for n in counts])
    return shares


def _training_rules(comparisons: Sequence[Compared], rules: Sequence[Rule]) -> list[Rule]:
    """The most selective rules that leave every comparison free in one of them, at most `_SESSIONS`.

    A comparison cannot be learned from pairs that were chosen by its columns. Rules with something personal come first:
    pairs that share a place hold whole households, which the two classes of the model would take for one person.
    """
    personal = {c.fields[0] for c in comparisons if c.personal}
    chosen: list[Rule] = []
    for rule in sorted(rules, key=lambda r: personal.isdisjoint(r.columns)):
        if any(set(rule.columns) & set(c.columns) for c in chosen) or all(
            set(rule.columns) & set(c.fields) for c in comparisons
        ):
            continue
        chosen.append(rule)
        free = [any(not set(c.fields) & set(r.columns) for r in chosen) for c in comparisons]
        if len(chosen) == _SESSIONS or (len(chosen) > 1 and all(free)):
            break
    return chosen


def _learn(
    connection: duckdb.DuckDBPyConnection,
    comparisons: Sequence[Compared],
    rules: Sequence[Rule],
    accounts: int,
    apart: str,
) -> tuple[dict[str, dict[int, float]], dict[str, float]]:
    """The m per comparison and level number, and the number of matches each was learned from."""
    linker = _linker(connection, comparisons, [], 1 / max(2, accounts))
    matches: dict[str, float] = {}
    for rule in rules:
        try:
            session = linker.training.estimate_parameters_using_expectation_maximisation(
                rule.sql(apart), estimate_without_term_frequencies=True
            )
        except EMTrainingException:  # no pair, or none with a value to compare
            continue
        found = session.core_model_settings.probability_two_random_records_match * rule.pairs
        for compared in comparisons:
            if not set(compared.fields) & set(rule.columns):
                matches[compared.name] = matches.get(compared.name, 0.0) + found
    model: dict[str, Any] = linker.misc.save_model_to_json()
    _tidy(linker)
    learned = {
        made["output_column_name"]: {
            n: float(level["m_probability"])
            for n, level in enumerate(made["comparison_levels"][1:])
            if isinstance(level.get("m_probability"), float)
        }
        for made in model["comparisons"]
    }
    return learned, matches


def _smooth(compared: Compared, learned: dict[int, float], matches: float) -> list[float]:
    """The m with the prior's share, rounded: sums of floats may differ in their last digit from run to run."""
    levels = len(compared.levels) - 1
    between = (1 - _PRIOR_EXACT - _PRIOR_DIFFERENT) / max(1, levels - 2)
    prior = [_PRIOR_EXACT, *[between] * (levels - 2), _PRIOR_DIFFERENT]
    mixed = [
        (learned.get(n, 0.0) * matches + p * _PRIOR_MATCHES) / (matches + _PRIOR_MATCHES) for n, p in enumerate(prior)
    ]
    return [round(value / sum(mixed), 6) or 1e-6 for value in mixed]


def _with(compared: Compared, key: str, values: Sequence[float]) -> Compared:
    null, *levels = compared.levels
    filled = [{**level, key: value} for level, value in zip(levels, values, strict=True)]
    return replace(compared, levels=(null, *filled))


def _linker(
    connection: duckdb.DuckDBPyConnection, comparisons: Sequence[Compared], rules: Sequence[str], prior: float
) -> Linker:
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="account_id",
        comparisons=[
            {"output_column_name": c.name, "comparison_levels": [dict(level) for level in c.levels]}
            for c in comparisons
        ],
        blocking_rules_to_generate_predictions=[{"blocking_rule": rule} for rule in rules],
        probability_two_random_records_match=prior,
        retain_matching_columns=False,
        retain_intermediate_calculation_columns=True,  # the weight of each comparison is looked at afterwards
    )
    return Linker(DuckDBAPI(connection=connection).register(RECORDS), settings, log_level=None, validate_settings=False)


def score(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Create `PAIRS`: every pair of the blocking rules that agrees in something personal, with its weight in bits.

    Members of a household agree in surname, address and phone, and differ in given name and birth. The model, which
    takes comparisons for independent, would add the former up to a match; so at least one comparison that speaks for
    the person must agree, wherever the accounts have one.
    """
    linker = _linker(connection, model.comparisons, [r.sql(model.apart) for r in model.rules], 0.5)
    predicted = linker.inference.predict(warning_mode="never")
    personal = [f"mw_{c.name} > 0" for c in model.comparisons if c.personal]
    connection.execute(
        f"CREATE OR REPLACE TABLE {PAIRS} AS SELECT least(account_id_l, account_id_r) AS account_a, "
        f"greatest(account_id_l, account_id_r) AS account_b, round(match_weight, 4) AS weight "
        f"FROM {predicted.physical_name} WHERE {' OR '.join(personal) or 'true'}"
    )
    _tidy(linker)


def _tidy(linker: Linker) -> None:
    """Drop the tables that splink made."""
    linker.table_management.delete_tables_created_by_splink_from_db()  # type: ignore[no-untyped-call]
