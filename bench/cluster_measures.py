"""How well accounts were resolved: pairwise and B-cubed precision, recall and F1 of clusters against the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """Precision and recall of one kind, and their harmonic mean."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def pairwise(found: Mapping[str, Hashable], truth: Mapping[str, Hashable]) -> Measure:
    """Over pairs: those in one found cluster that are one person, and those of one person that are in one cluster.

    Without any found pair the precision is 1, without any true pair the recall is 1.

    Args:
        found: item -> its cluster.
        truth: item -> its person, for the same items.
    """
    cells, clusters, persons = _counts(found, truth)
    both, linked, real = (_pairs(c) for c in (cells, clusters, persons))
    return Measure(both / linked if linked else 1.0, both / real if real else 1.0)


def b_cubed(found: Mapping[str, Hashable], truth: Mapping[str, Hashable]) -> Measure:
    """Over items (Bagga and Baldwin 1998): the share of an item's cluster that is its person, and of its person there.

    Args:
        found: item -> its cluster.
        truth: item -> its person, for the same items.
    """
    cells, clusters, persons = _counts(found, truth)
    precision = sum(n * n / clusters[cluster] for (cluster, _), n in cells.items())
    recall = sum(n * n / persons[person] for (_, person), n in cells.items())
    return Measure(precision / len(found), recall / len(found)) if found else Measure(1.0, 1.0)


def _counts(
    found: Mapping[str, Hashable], truth: Mapping[str, Hashable]
) -> tuple[Counter[tuple[Hashable, Hashable]], Counter[Hashable], Counter[Hashable]]:
    """Items per (cluster, person), per cluster, per person."""
    if found.keys() != truth.keys():
        raise ValueError("clusters and truth are not of the same items")
    return Counter((found[i], truth[i]) for i in found), Counter(found.values()), Counter(truth.values())


def _pairs(counts: Counter[Hashable] | Counter[tuple[Hashable, Hashable]]) -> int:
    return sum(n * (n - 1) // 2 for n in counts.values())
