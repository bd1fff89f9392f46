"""Cluster measures against tables worked out by hand."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cluster_measures import Measure, b_cubed, pairwise

TRUTH = {"a": 1, "b": 1, "c": 1, "d": 2, "e": 2, "f": 3}


def test_pairs_by_hand() -> None:
    """Found {a b}, {c d e}, {f}: pairs ab cd ce de, of which ab and de are right; true pairs ab ac bc de."""
    found = {"a": "x", "b": "x", "c": "y", "d": "y", "e": "y", "f": "z"}
    assert pairwise(found, TRUTH) == Measure(2 / 4, 2 / 4)
    assert pairwise(found, TRUTH).f1 == 0.5


def test_b_cubed_by_hand() -> None:
    """Precision of a, b 2/2, of c 1/3, of d, e 2/3, of f 1; recall of a, b 2/3, of c 1/3, of d, e 2/2, of f 1."""
    found = {"a": "x", "b": "x", "c": "y", "d": "y", "e": "y", "f": "z"}
    made = b_cubed(found, TRUTH)
    assert made.precision == pytest.approx((1 + 1 + 1 / 3 + 2 / 3 + 2 / 3 + 1) / 6)
    assert made.recall == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1 + 1 + 1) / 6)
    assert made.f1 == pytest.approx(2 * made.precision * made.recall / (made.precision + made.recall))


def test_all_apart_and_all_together() -> None:
    apart = {item: item for item in TRUTH}
    assert pairwise(apart, TRUTH) == Measure(1.0, 0.0)
    assert pairwise(apart, TRUTH).f1 == 0.0
    assert b_cubed(apart, TRUTH) == Measure(1.0, pytest.approx((3 * 1 / 3 + 2 * 1 / 2 + 1) / 6))
    together = dict.fromkeys(TRUTH, 0)
    assert pairwise(together, TRUTH) == Measure(4 / 15, 1.0)
    assert b_cubed(together, TRUTH) == Measure(pytest.approx((3 * 3 / 6 + 2 * 2 / 6 + 1 / 6) / 6), 1.0)


def test_other_items_are_refused() -> None:
    with pytest.raises(ValueError, match="same items"):
        pairwise({"a": 1}, {"b": 1})


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12))
def test_against_counting_pair_by_pair(labels: list[tuple[int, int]]) -> None:
    found = {str(i): a for i, (a, _) in enumerate(labels)}
    truth = {str(i): b for i, (_, b) in enumerate(labels)}
    pairs = list(itertools.combinations(found, 2))
    linked = {p for p in pairs if found[p[0]] == found[p[1]]}
    real = {p for p in pairs if truth[p[0]] == truth[p[1]]}
    made = pairwise(found, truth)
    assert made.precision == pytest.approx(len(linked & real) / len(linked) if linked else 1.0)
    assert made.recall == pytest.approx(len(linked & real) / len(real) if real else 1.0)
    cubed = b_cubed(found, truth)
    shares = [
        sum(found[j] == found[i] and truth[j] == truth[i] for j in found) / sum(found[j] == found[i] for j in found)
        for i in found
    ]
    assert cubed.precision == pytest.approx(sum(shares) / len(shares))
    assert (b_cubed(truth, found).recall, b_cubed(truth, found).precision) == pytest.approx(
        (cubed.precision, cubed.recall)
    )
