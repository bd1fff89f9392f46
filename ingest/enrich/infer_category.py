"""A product's category by the words of its title: naive Bayes over the shop's own products.

Multinomial naive Bayes over the different words of a title, smoothed towards the words of all titles (Zhai and Lafferty
2004, A study of smoothing methods for language models, Dirichlet prior). Only its order of categories and the
distance between the first two are used: how far that can be trusted is measured (`ingest.enrich.infer`), since the
probabilities of naive Bayes are known to be too sure of themselves.
"""

from __future__ import annotations

import duckdb

from ingest.enrich.title_words import WORDS_MACRO
from ingest.names import identifier

SMOOTHING = 100
"""Words of all titles that are added to each category's own."""

SAMPLE = 3000
"""Products with a category that the guesses are measured by, drawn by a hash of their ids."""

WIDEST = 20.0
"""Margin of a guess without a second one."""

_MICRO = 1_000_000
"""Logarithms are summed as whole millionths: sums of floating numbers would depend on their order."""


def guess_categories(connection: duckdb.DuckDBPyConnection, products: str) -> str:
    """Create `category_guesses`: product_id, known, guess and margin of products without a category, and of a sample.

    For a product whose category is known, everything is counted without it.
    """
    connection.execute(f"CREATE OR REPLACE MACRO {WORDS_MACRO}")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE title_words AS SELECT product_id, category, "
        f"unnest(list_distinct(sg_words(title))) AS word FROM {identifier(products)} WHERE title IS NOT NULL"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE category_words AS SELECT word, category, count(*) AS n FROM title_words "
        "WHERE category IS NOT NULL GROUP BY ALL"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE category_sizes AS SELECT category, count(DISTINCT product_id) AS products, "
        "count(*) AS words FROM title_words WHERE category IS NOT NULL GROUP BY category"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE judged_words AS WITH judged AS ("
        "SELECT DISTINCT product_id FROM title_words WHERE category IS NULL UNION "
        "(SELECT product_id FROM (SELECT DISTINCT product_id FROM title_words WHERE category IS NOT NULL) "
        f"ORDER BY md5(product_id), product_id LIMIT {SAMPLE})) "
        "SELECT product_id, category AS known, word, count(*) OVER (PARTITION BY product_id) AS length "
        "FROM title_words WHERE product_id IN (FROM judged)"
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE category_guesses AS {_guesses()}")
    return "category_guesses"


def _guesses() -> str:
    """Log P(c) + Σ log((n_wc + a·P(w)) / (N_c + a)), up to what is the same for every category of a product."""
    own = "CAST(known IS NOT DISTINCT FROM category AS INTEGER)"
    return f"""
        WITH total AS (SELECT sum(n)::BIGINT AS total FROM category_words),
        overall AS (SELECT word, sum(n)::BIGINT AS everywhere FROM category_words GROUP BY word),
        votes AS (
            SELECT j.product_id, j.known, j.length, c.category, c.n - {own.replace("known", "j.known")} AS n,
                o.everywhere
            FROM judged_words j JOIN category_words c USING (word) JOIN overall o USING (word)),
        evidence AS (
            SELECT product_id, known, length, category,
                sum(CAST(round({_MICRO} * ln(1 + n * total / ({SMOOTHING} * everywhere))) AS BIGINT)) AS evidence
            FROM votes, total WHERE n > 0 GROUP BY product_id, known, length, category),
        scored AS (
            SELECT product_id, known, category, evidence + CAST(round({_MICRO} * (ln(products - {own})
                - length * ln(words - {own} * length + {SMOOTHING}))) AS BIGINT) AS score
            FROM evidence JOIN category_sizes USING (category) WHERE products > {own}),
        ranked AS (
            SELECT *, row_number() OVER ordered AS place, lead(score) OVER ordered AS second
            FROM scored WINDOW ordered AS (PARTITION BY product_id ORDER BY score DESC, category))
        SELECT product_id, known, category AS guess,
            least(coalesce(CAST(score - second AS DOUBLE) / {_MICRO}, {WIDEST}), {WIDEST}) AS margin
        FROM ranked WHERE place = 1"""
