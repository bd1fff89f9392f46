"""Recall and NDCG of lists, and paired differences between systems, over queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.search.known_item import Queries
from bench.search.systems import K, Ranker
from gnn.config import EvalConfig
from gnn.measure.bootstrap import Bootstrap
from gnn.measure.metrics import at_k

METRICS = ("recall", "ndcg")
GAP = "search minus it"
Values = dict[str, NDArray[np.float64]]
"""`METRICS` at 10 of each query."""


def measure(rank: Ranker, queries: Queries, groups: NDArray[np.int64], asked: NDArray[np.bool_]) -> Values:
    """Metrics of the queries `asked`; variants of a product sought count as that product."""
    rows = np.flatnonzero(asked).tolist()
    hits, sought = np.zeros((len(rows), K), np.bool_), np.zeros(len(rows), np.int64)
    for place, row in enumerate(rows):
        relevant = np.unique(groups[queries.relevant[row]])
        found = groups[np.array(rank(queries.texts[row]), np.int64)]
        hits[place, : len(found)] = np.isin(found, relevant)
        sought[place] = len(relevant)
    metrics = at_k(hits, sought, K)
    return {name: metrics[name] for name in METRICS}


def compare(values: Mapping[str, Values], ours: str, kinds: Sequence[str]) -> dict[str, Any]:
    """Means with intervals, and the difference of `ours` to each other system, paired by query."""
    names = list(values)
    queries = len(next(iter(values[ours].values())))
    bootstrap = Bootstrap(queries, EvalConfig())
    report: dict[str, Any] = {}
    for metric in METRICS:
        columns = np.stack([values[name][metric] for name in names], axis=1)
        gaps = columns[:, [names.index(ours)]] - columns
        means, differences = bootstrap.intervals(columns), bootstrap.differences(gaps)
        for name, mean, gap in zip(names, means, differences, strict=True):
            entry = report.setdefault(name, {})
            entry[f"{metric}@{K}"] = mean.to_dict()
            entry[f"{GAP}, {metric}@{K}"] = asdict(gap) if name != ours else None
    for name in names:
        report[name]["by kind"] = {
            kind: {metric: float(values[name][metric][np.array(kinds) == kind].mean()) for metric in METRICS}
            for kind in dict.fromkeys(kinds)
        }
    return report
