"""Which pairs of accounts are compared at all: rules chosen from the columns' own selectivity, within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import duckdb

from ingest.linkage.evidence import RECORDS, Field
from ingest.linkage.settings import LinkSettings

_MOST_COLUMNS = 3


@dataclass(frozen=True)
class Rule:
    """Accounts that agree in all of `columns` are compared.

    Attributes:
        columns: record columns.
        pairs: pairs that agree in them.
    """

    columns: tuple[str, ...]
    pairs: int

    def sql(self, apart: str) -> str:
        """The condition over `l` and `r`; `apart` is a further one, '' for none."""
        return " AND ".join([*(f'l."{c}" = r."{c}"' for c in self.columns), *([apart] if apart else [])])


def choose_rules(
    connection: duckdb.DuckDBPyConnection, fields: Sequence[Field], accounts: int, settings: LinkSettings
) -> list[Rule]:
    """The least sets of columns that are selective enough, the most selective first.

    A column that yields at most `pairs_per_account` pairs per account is a rule of its own. Columns that yield more
    are tried in twos, then threes; sets that hold a smaller rule add nothing and are left out (the search of frequent
    item sets, turned round). Rules are taken while their pairs stay within `max_pairs` together.
    """
    bound = settings.pairs_per_account * accounts
    rules = [Rule((f.name,), f.pairs) for f in fields if f.pairs <= bound]
    broad = [f.name for f in fields if f.pairs > bound]
    wide: list[tuple[str, ...]] = [(name,) for name in broad]
    for size in range(2, _MOST_COLUMNS + 1):
        tried = [c for c in combinations(broad, size) if all(s in wide for s in combinations(c, size - 1))]
        if not tried:
            break
        counted = _pairs(connection, tried)
        rules += [Rule(c, n) for c, n in zip(tried, counted, strict=True) if 0 < n <= bound]
        wide = [c for c, n in zip(tried, counted, strict=True) if n > bound]
    taken: list[Rule] = []
    left = settings.max_pairs
    for rule in sorted(rules, key=lambda r: (r.pairs, r.columns)):
        if rule.pairs > left:
            break
        taken.append(rule)
        left -= rule.pairs
    return taken


def _pairs(connection: duckdb.DuckDBPyConnection, sets: Sequence[tuple[str, ...]]) -> list[int]:
    counts = " UNION ALL ".join(
        f"SELECT {i} AS i, coalesce(sum(k * (k - 1) // 2), 0)::BIGINT FROM (SELECT count(*) AS k FROM {RECORDS} "
        f"WHERE {' AND '.join(f'{c} IS NOT NULL' for c in columns)} GROUP BY {', '.join(columns)})"
        for i, columns in enumerate(sets)
    )
    return [int(n) for _, n in connection.execute(f"{counts} ORDER BY i").fetchall()]
