"""A product's brand by a name in its title: the dictionary is the shop's own brands.

A name counts where it stands in a title as whole words. How far it is to be trusted is what the shop's own products
say: of those whose title has the name at that place (as the first words, or further on), the share that is of the
brand, drawn towards what holds for all names of as many words at such a place. So names that are common words as well
(Clear, Shea, Smooth) drop out by themselves. The longest name wins, then the one that begins the title; where two
brands are left the product gets none. Names of several brands (spelt differently) are left out.
"""

from __future__ import annotations

import duckdb

from ingest.enrich.title_words import WORDS_MACRO
from ingest.names import identifier

LONGEST_NAME = 6
"""Words of a brand's name at most."""

SHORTEST_NAME = 3
"""Characters of a brand's name at least; shorter ones stand in titles by chance."""

PRIOR = 2
"""How many products the experience with all names counts for beside that with one name."""

TRUSTED = 0.5
"""A name that is right less often at its place is a common word there."""


def guess_brands(connection: duckdb.DuckDBPyConnection, products: str) -> str:
    """Create `brand_guesses`: product_id, known, guess and margin of all products where a name leads to a brand.

    For a product whose brand is known, everything is counted without it.
    """
    connection.execute(f"CREATE OR REPLACE MACRO {WORDS_MACRO}")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE brand_names AS SELECT array_to_string(words, ' ') AS name, len(words) AS length, "
        "any_value(brand) AS brand, sum(n)::BIGINT AS products FROM (SELECT brand, sg_words(brand) AS words, count(*) "
        f"AS n FROM {identifier(products)} WHERE brand IS NOT NULL GROUP BY brand) "
        f"WHERE len(words) BETWEEN 1 AND {LONGEST_NAME} GROUP BY name, length HAVING count(*) = 1 "
        f"AND length(name) >= {SHORTEST_NAME} AND NOT regexp_full_match(name, '[0-9 ]+')"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE brand_titles AS SELECT product_id, brand AS known, sg_words(title) AS words "
        f"FROM {identifier(products)} WHERE title IS NOT NULL"
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE brand_hits AS {_hits()}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE brand_guesses AS {_guesses()}")
    return "brand_guesses"


def _hits() -> str:
    """Names that stand in titles: product_id, known, name, length, brand, begins, alone (brand of no other product)."""
    phrases = " UNION ALL ".join(
        f"SELECT product_id, known, place = 1 AS begins, array_to_string(words[place:place + {n - 1}], ' ') AS name "
        f"FROM (SELECT *, unnest(range(1, len(words) + {2 - n})) AS place FROM brand_titles)"
        for n in range(1, LONGEST_NAME + 1)
    )
    return (
        "SELECT product_id, known, name, length, brand, bool_or(begins) AS begins, "
        "known IS NOT DISTINCT FROM brand AND any_value(products) = 1 AS alone "
        f"FROM ({phrases}) JOIN brand_names USING (name) GROUP BY product_id, known, name, length, brand"
    )


def _guesses() -> str:
    alike = "(PARTITION BY begins, length > 1)"
    return f"""
        WITH counted AS (
            SELECT *, count(known) OVER (PARTITION BY name, begins) AS n,
                count(*) FILTER (known = brand) OVER (PARTITION BY name, begins) AS hits,
                count(known) OVER {alike} AS all_n, count(*) FILTER (known = brand) OVER {alike} AS all_hits
            FROM brand_hits),
        others AS (  -- the same without the product itself
            SELECT product_id, known, length, brand, begins, all_hits / greatest(all_n, 1) AS usual,
                n - CAST(known IS NOT NULL AS INTEGER) AS n,
                hits - CAST(known IS NOT DISTINCT FROM brand AS INTEGER) AS hits
            FROM counted WHERE NOT alone),
        trusted AS (
            SELECT *, (hits + {PRIOR} * usual) / (n + {PRIOR}) AS share FROM others
            WHERE (hits + {PRIOR} * usual) / (n + {PRIOR}) >= {TRUSTED}),
        best AS (
            SELECT * FROM trusted
            QUALIFY rank() OVER (PARTITION BY product_id ORDER BY length DESC, begins DESC) = 1)
        SELECT product_id, any_value(known) AS known, any_value(brand) AS guess,
            ln(any_value(share) / greatest(1 - any_value(share), 1e-9)) AS margin
        FROM best GROUP BY product_id HAVING count(*) = 1"""
