"""SQL of the users' labels: recency, frequency, monetary value and their segments; cadence and life cycle.

Scores are quintiles of rank: 1 + floor(5 · (users who are worse) / users). Users who are equal have the same score,
and the many who bought once have the lowest of frequency.
"""

from __future__ import annotations

from ingest.names import identifier

SEGMENTS = {
    "champions": "recency_score >= 4 AND value >= 4",
    "new": "recency_score >= 4 AND orders = 1",
    "promising": "recency_score >= 4",
    "loyal": "recency_score = 3 AND value >= 4",
    "regular": "recency_score = 3",
    "at_risk": "recency_score <= 2 AND value >= 4",
    "hibernating": "recency_score <= 2",
}
"""Segment -> the condition that makes a user one of it, the first that holds; `value` is the mean of the frequency and
the monetary score, rounded up. Beside them `prospect`: a user who has bought nothing."""


def user_labels(users: str, new_days: int) -> str:
    """SELECT of the labels of every user, from `users`, `label_purchases` and `label_date`.

    Args:
        users: relation of the users.
        new_days: a first purchase within the last so many days makes a user new.
    """
    segment = " ".join(f"WHEN {condition} THEN '{name}'" for name, condition in SEGMENTS.items())
    return f"""
        WITH totals AS (
            SELECT user_id, count(DISTINCT purchase) AS orders, sum(money) AS spent,
                date_diff('day', max(day), any_value(today)) AS recency,
                date_diff('day', min(day), any_value(today)) AS age
            FROM label_purchases, label_date GROUP BY user_id),
        gaps AS (
            SELECT user_id, date_diff('day', lag(day) OVER (PARTITION BY user_id ORDER BY day), day) AS gap
            FROM (SELECT DISTINCT user_id, day FROM label_purchases WHERE day IS NOT NULL)),
        cadences AS (SELECT user_id, median(gap) AS cadence FROM gaps WHERE gap IS NOT NULL GROUP BY user_id),
        typical AS (SELECT median(cadence) AS cadence FROM cadences),
        scored AS (
            SELECT *, {_quintile("recency", "DESC")} AS recency_score, {_quintile("orders", "")} AS frequency_score,
                {_quintile("spent", "")} AS monetary_score
            FROM totals),
        valued AS (
            SELECT scored.*, c.cadence, (frequency_score + coalesce(monetary_score, frequency_score) + 1) // 2 AS value,
                greatest(coalesce(c.cadence, typical.cadence, {new_days:d}), 1) AS usual
            FROM scored LEFT JOIN cadences c USING (user_id), typical)
        SELECT u.user_id, orders AS label_orders, CAST(spent AS DOUBLE) AS label_spent,
            CASE WHEN recency < 0 THEN 0 ELSE recency END AS label_recency_days, cadence AS label_cadence_days,
            recency_score AS label_recency_score, frequency_score AS label_frequency_score,
            monetary_score AS label_monetary_score,
            CASE WHEN NOT EXISTS (FROM label_purchases) THEN NULL WHEN valued.user_id IS NULL THEN 'prospect'
                {segment} END AS label_segment,
            CASE WHEN recency IS NULL THEN NULL WHEN age < {new_days:d} THEN 'new'
                WHEN recency <= 2 * usual THEN 'active' WHEN recency <= 4 * usual THEN 'lapsing'
                ELSE 'lapsed' END AS label_lifecycle
        FROM (SELECT user_id FROM {identifier(users)}) u LEFT JOIN valued ON valued.user_id = u.user_id"""


def _quintile(column: str, direction: str) -> str:
    """1 (worst) to 5; null where the column is."""
    known = f"count({column}) OVER ()"
    rank = f"rank() OVER (ORDER BY {column} {direction} NULLS LAST)"
    return f"CASE WHEN {column} IS NOT NULL THEN 1 + 5 * ({rank} - 1) // {known} END"
