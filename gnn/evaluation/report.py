"""An evaluation as rows of tables."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any

from gnn.model.catalogue import CATALOGUE

TITLES = {name: entry.title for name, entry in CATALOGUE.items()} | {"recs": "the file"}
SHOWN = ("recall", "ndcg", "hit_rate", "mrr")
NARROW = ("ndcg",)
WIDE = ("recall", "precision", "ndcg", "hit_rate", "mrr", "map")
LISTS = {
    "coverage": "coverage",
    "gini": "Gini",
    "novelty": "novelty, bits",
    "diversity": "diversity",
    "tail_share": "long tail",
    "calibration": "calibration",
}
Table = tuple[list[str], list[list[str]]]
"""Header and rows."""


def table(
    result: Mapping[str, Any], task: str, k: int | None = None, *, narrow: bool = False, wide: bool = False
) -> Table:
    """One recommender a row: each metric at k with its interval, AUC, coverage, the reference minus it.

    Args:
        result: what `evaluate` or `evaluate_recs` returned.
        task: a key of `result["tasks"]`.
        k: cut-off; None: the largest evaluated.
        narrow: NDCG alone, for a terminal of 80 columns.
        wide: precision and MAP too, and the p-value of the difference, for one of 240.

    Returns:
        Header and rows.
    """
    k = max(result["k"]) if k is None else k
    part = result["tasks"][task]
    shown = NARROW if narrow else WIDE if wide else SHOWN
    reference = part.get("reference") or "fused"
    header = ["recommender", *(f"{name}@{k}" for name in shown)]
    header += [] if narrow else ["AUC", f"coverage@{max(result['k'])}"]
    if part["differences"]:
        header += [f"{title(reference)} minus it, ndcg@{k}", *(["p (Holm)"] if wide else [])]
    rows = []
    for name, found in part["recommenders"].items():
        metrics = found["metrics"]
        row = [title(name), *(interval(metrics.get(f"{m}@{k}")) for m in shown)]
        row += [] if narrow else [_mean(metrics.get("auc")), f"{found['lists']['coverage']:.3f}"]
        if part["differences"]:
            difference = part["differences"].get(name, {}).get(f"ndcg@{k}")
            row += [interval(difference, signed=True), *([_p(difference)] if wide else [])]
        rows.append(row)
    return header, rows


def slices_table(result: Mapping[str, Any], task: str) -> Table:
    """One slice a row: pairs to be found, and every recommender's NDCG at the largest k within it."""
    k, found = max(result["k"]), result["tasks"][task]["recommenders"]
    slices = {name: part for one in found.values() for name, part in one["slices"].items()}
    header = [f"slice, ndcg@{k}", "to find", *(title(name) for name in found)]
    rows = []
    for name, part in slices.items():
        values = [one["slices"].get(name, {}).get(f"ndcg@{k}") for one in found.values()]
        rows.append([name, f"{part['relevant']:,}", *(_mean(value, 4) for value in values)])
    return header, rows


def beyond_table(result: Mapping[str, Any], task: str) -> Table:
    """One recommender a row: what its lists are like, what they earn, and whom they serve worst."""
    k, found = max(result["k"]), result["tasks"][task]["recommenders"]
    priced = any(f"revenue@{k}" in one["metrics"] for one in found.values())
    groups = {name for one in found.values() for name, gap in one.get("gaps", {}).items() if gap}
    gaps = [name for one in found.values() for name in one.get("gaps", {}) if name in groups]
    gaps = list(dict.fromkeys(gaps))
    header = ["recommender", *LISTS.values()]
    header += [f"revenue@{k}", f"price NDCG@{k}"] if priced else []
    header += [f"gap by {name}, ndcg@{k}" for name in gaps]
    rows = []
    for name, one in found.items():
        row = [title(name), *(_number(one["lists"].get(key)) for key in LISTS)]
        row += [_mean(one["metrics"].get(f"{m}@{k}")) for m in ("revenue", "price_ndcg")] if priced else []
        row += [_gap(one.get("gaps", {}).get(gap, {}).get(f"ndcg@{k}")) for gap in gaps]
        rows.append(row)
    return header, rows


def ratings_table(result: Mapping[str, Any]) -> Table:
    """Errors of predicted ratings beside the biases, over the same pairs."""
    found = result["ratings"]
    names = {"recs": TITLES["recs"], "biases": "mean + user + product"}
    rows = [
        [name, *(_number(found[key][error], 4) for error in ("rmse", "mae"))]
        for key, name in names.items()
        if key in found
    ]
    return ["ratings of", "RMSE", "MAE"], rows


def title(name: str) -> str:
    """A recommender's name in tables."""
    return TITLES.get(name, name)


def interval(value: Mapping[str, float | None] | None, *, signed: bool = False) -> str:
    """`mean [low, high]`, empty without a value."""
    if not value or _missing(value["mean"]):
        return ""
    sign = "+" if signed else ""
    mean, low, high = (float("nan") if value[key] is None else value[key] for key in ("mean", "low", "high"))
    return f"{mean:{sign}.4f} [{low:{sign}.4f}, {high:{sign}.4f}]"


def _gap(found: Mapping[str, Any] | None) -> str:
    """The difference of the groups' means, and which groups they are."""
    if not found:
        return ""
    return f"{found['gap']['mean']:.4f} ({found['best']} over {found['worst']})"


def _p(difference: Mapping[str, float | None] | None) -> str:
    p = (difference or {}).get("p_holm")
    if p is None:
        return ""
    return "<.001" if p < 0.001 else f"{p:.3f}"


def _mean(value: Mapping[str, float | None] | None, digits: int = 3) -> str:
    return _number(value["mean"] if value else None, digits)


def _number(value: float | None, digits: int = 3) -> str:
    return "" if value is None or _missing(value) else f"{value:.{digits}f}"


def _missing(value: float | None) -> bool:
    return value is None or isnan(value)
