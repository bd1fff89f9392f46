"""Names that Ladybug keeps for itself."""

from __future__ import annotations

import pytest

from kg.ladybug_store.dialect import quote_names


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("MATCH (n:Order) RETURN count(n) AS n", "MATCH (n:`Order`) RETURN count(n) AS n"),
        ("MATCH (n:`Order`) RETURN n.id ORDER BY n.id", "MATCH (n:`Order`) RETURN n.id ORDER BY n.id"),
        ("MATCH (n:User|Order) RETURN n.end", "MATCH (n:User|`Order`) RETURN n.`end`"),
        ("RETURN CASE WHEN true THEN ':order' END AS x", "RETURN CASE WHEN true THEN ':order' END AS x"),
    ],
)
def test_only_names_are_quoted(given: str, expected: str) -> None:
    assert quote_names(given) == expected
