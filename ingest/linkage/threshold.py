"""The prior and the threshold of the model, found without labels from the distribution of the match weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import duckdb
import numpy as np
from numpy.typing import NDArray

from ingest.linkage.model import PAIRS

_STEPS = 200
_BETA = 0.5
_LEAST = 0.5


@dataclass(frozen=True)
class Cut:
    """Where links begin.

    Attributes:
        prior: log2 of the odds that two random accounts are one person.
        weight: weight in bits, in hundredths, from which a pair is a link.
        probability: match probability from which a pair is a link.
        precision: expected share of the links that are right.
        recall: expected share of the compared pairs of one person that are links.
    """

    prior: float
    weight: float
    probability: float
    precision: float
    recall: float

    @property
    def holds(self) -> str:
        """SQL that holds for a pair of `PAIRS` that is a link."""
        return f"round(weight, 2) >= {self.weight!r}"


def find_cut(connection: duckdb.DuckDBPyConnection, accounts: int, threshold: float | Literal["auto"]) -> Cut:
    """Prior and threshold for the scored pairs.

    The prior is the fixed point of lambda = sum of match probabilities / number of pairs, as in expectation
    maximisation. The threshold is the match probability with the greatest expected F-measure: of the pairs above it,
    the sum of their probabilities is expected to be right; of all pairs, the sum of all probabilities is expected to be
    one person (Bai, Binette and Reiter, Optimal F-score clustering for bipartite record linkage, arXiv 2311.13923;
    dedupe chooses its threshold in the same way). Precision counts twice as much as recall (beta = .5), since a wrong
    link shows one shopper what another has bought. The best threshold lies at F / (1 + beta^2) (after Lipton, Elkan and
    Naryanaswamy, Optimal thresholding of classifiers to maximize F1 measure, 2014), near .8 for a good model; where
    that is below one half, one half is taken: a pair that is likelier to be two persons is no link.
    """
    rows = connection.execute(
        f"SELECT round(weight, 2) AS w, count(*) FROM {PAIRS} GROUP BY w ORDER BY w DESC"
    ).fetchall()
    weights = np.array([w for w, _ in rows], dtype=np.float64)
    counts = np.array([n for _, n in rows], dtype=np.float64)
    prior = _prior(weights, counts, accounts)
    p = probability(weights, prior)
    right, links = np.cumsum(p * counts), np.cumsum(counts)
    cut = _best(right, links, p) if threshold == "auto" else threshold
    best = int(np.sum(p >= cut)) - 1
    if best < 0:
        return Cut(prior, float(np.ceil(100 * (np.log2(cut / (1 - cut)) - prior)) / 100), cut, 1.0, 0.0)
    return Cut(prior, float(weights[best]), cut, float(right[best] / links[best]), float(right[best] / right[-1]))


def _best(right: NDArray[np.float64], links: NDArray[np.float64], p: NDArray[np.float64]) -> float:
    """The probability, one half or more, from which the expected F-measure is greatest: its theoretical value."""
    if not len(p) or p[0] < _LEAST:
        return _LEAST
    measure = (1 + _BETA**2) * right / (links + _BETA**2 * right[-1])
    return max(_LEAST, round(float(np.max(measure)) / (1 + _BETA**2), 6))


def probability(weights: NDArray[np.float64], prior: float) -> NDArray[np.float64]:
    """Match probabilities of weights in bits, given the prior's log2 odds."""
    odds: NDArray[np.float64] = np.exp2(np.clip(weights + prior, -60, 60))
    return odds / (1 + odds)


def _prior(weights: NDArray[np.float64], counts: NDArray[np.float64], accounts: int) -> float:
    every = accounts * (accounts - 1) / 2
    share = 1 / max(2, accounts)
    for _ in range(_STEPS):
        found = float(np.sum(probability(weights, float(np.log2(share / (1 - share)))) * counts)) / every
        found = min(max(found, 0.1 / every), 0.5)
        if abs(found - share) < 1e-6 * share:
            break
        share = found
    return round(float(np.log2(share / (1 - share))), 4)
