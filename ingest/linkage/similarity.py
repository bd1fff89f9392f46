"""When two values are spellings of one another, in SQL: macros of the working database."""

from __future__ import annotations

import duckdb

CLOSE = 0.9
"""Jaro-Winkler similarity from which names and streets are taken for spellings of one another."""

MACROS = (
    # 1 where two columns of an address are spellings of one another; most pairs differ in the first letter already
    f"""link_same_place(a, b) AS CASE WHEN ascii(a) <> ascii(b) THEN 0 WHEN a = b THEN 1
        WHEN length(a) > 5 AND jaro_winkler_similarity(a, b) >= {CLOSE} THEN 1 ELSE 0 END""",
    # insertions, deletions, substitutions and swaps of neighbours; what is not even alike counts as 9. That is looked
    # at first, since it is ten times quicker: within two edits of five characters the Jaro similarity is .73 or more
    """link_edits(a, b) AS CASE WHEN a = b THEN 0 WHEN jaro_similarity(a, b) < 0.7 THEN 9
        ELSE damerau_levenshtein(a, b) END""",
    "link_initial(a, b) AS (length(a) = 1 AND starts_with(b, a)) OR (length(b) = 1 AND starts_with(a, b))",
    # two of year, month and day agree, or day and month are swapped; over dates as numbers, YYYYMMDD
    """link_date_slip(a, b) AS CASE WHEN a // 10000 = b // 10000
        THEN a // 100 = b // 100 OR a % 100 = b % 100 OR (a // 100 % 100 = b % 100 AND a % 100 = b // 100 % 100)
        ELSE a % 10000 = b % 10000 END""",
)
"""What comparisons need beyond splink's own; as macros they are also quicker for it to parse."""


def create_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the macros (`link_…`) in the working database."""
    for macro in MACROS:
        connection.execute(f"CREATE OR REPLACE MACRO {macro}")
