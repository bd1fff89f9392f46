"""An evaluation as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TITLES = {
    "popularity": "popularity",
    "own-repeats": "own repeats",
    "item-knn": "item-kNN",
    "ease": "EASE",
    "network": "graph network",
    "fused": "fused",
    "recs": "the file",
}
SHOWN = ("recall", "ndcg", "hit_rate", "mrr")
NARROW = ("ndcg",)


def table(
    result: Mapping[str, Any], task: str, k: int | None = None, *, narrow: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Header and rows, one recommender a row: each metric at k with its interval, AUC, coverage, fused minus it.

    Args:
        result: what `evaluate` or `evaluate_recs` returned.
        task: a key of `result["tasks"]`.
        k: cut-off; None: the largest evaluated.
        narrow: NDCG alone, for a terminal of 80 columns.
    """
    k = max(result["k"]) if k is None else k
    part = result["tasks"][task]
    shown = NARROW if narrow else SHOWN
    header = ["recommender", *(f"{name}@{k}" for name in shown)]
    header += [] if narrow else ["AUC", f"coverage@{max(result['k'])}"]
    header += [f"fused minus it, ndcg@{k}"] if part["differences"] else []
    rows = []
    for name, found in part["recommenders"].items():
        metrics = found["metrics"]
        row = [TITLES.get(name, name), *(interval(metrics.get(f"{m}@{k}")) for m in shown)]
        row += [] if narrow else [_mean(metrics.get("auc")), f"{found['lists']['coverage']:.3f}"]
        if part["differences"]:
            row.append(interval(part["differences"].get(name, {}).get(f"ndcg@{k}"), signed=True))
        rows.append(row)
    return header, rows


def interval(value: Mapping[str, float] | None, *, signed: bool = False) -> str:
    """`mean [low, high]`, empty without a value."""
    if not value or value["mean"] != value["mean"]:
        return ""
    sign = "+" if signed else ""
    return f"{value['mean']:{sign}.4f} [{value['low']:{sign}.4f}, {value['high']:{sign}.4f}]"


def _mean(value: Mapping[str, float] | None) -> str:
    return "" if not value or value["mean"] != value["mean"] else f"{value['mean']:.3f}"
