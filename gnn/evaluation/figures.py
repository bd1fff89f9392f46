"""Figures of readings: metrics per user, slices, gaps between groups, and differences, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnn.config import EvalConfig
from gnn.evaluation.facts import Facts, Grouping
from gnn.evaluation.readings import Reading
from gnn.measure.beyond_accuracy import calibration, coverage, diversity, gini, novelty, tail_share
from gnn.measure.bootstrap import Bootstrap, Sample
from gnn.measure.lists import places_of
from gnn.measure.metrics import RANKED, at_k
from gnn.measure.money import PRICED, priced_at_k
from gnn.measure.significance import holm
from gnn.protocol.slices import ACTIVITY, head_products, product_slices, thirds, user_slices
from gnn.protocol.tasks import Task

Columns = dict[str, NDArray[np.float64]]
"""Metric to a number per user of the task, nan where the user does not count; shape (u,) each."""
Key = tuple[str, ...]
SMALLEST = 30
"""Users that a group needs to be compared."""


@dataclass(frozen=True)
class Question:
    """A task with the facts that its figures need.

    Attributes:
        task: the task.
        facts: of products and users.
    """

    task: Task
    facts: Facts

    @cached_property
    def slices(self) -> dict[str, NDArray[np.bool_]]:
        """Relevant pairs of each product slice."""
        return product_slices(self.task)

    @cached_property
    def user_slices(self) -> dict[str, NDArray[np.bool_]]:
        """Users of each user slice."""
        return user_slices(self.task)

    @cached_property
    def tail(self) -> NDArray[np.bool_]:
        """Whether each candidate is a tail product, shape (c,)."""
        return ~head_products(self.task.history)[self.task.candidates]

    @cached_property
    def share(self) -> NDArray[np.float64]:
        """Share of the history's users who had each candidate; no buyer counts as half a one; shape (c,)."""
        active = max(1, int((np.diff(self.task.history.indptr) > 0).sum()))
        return np.asarray(np.maximum(self.task.history.buyers[self.task.candidates], 0.5) / active)

    @cached_property
    def known(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """User of the task and broad category of each pair of their histories."""
        pairs = self.task.history.take(self.task.users)
        return pairs.users, self.facts.broad[pairs.items]

    @cached_property
    def price(self) -> NDArray[np.float64] | None:
        """Price of each candidate, nan without, shape (c,); None where none has one."""
        if self.facts.price is None:
            return None
        price = self.facts.price[self.task.candidates]
        return None if np.isnan(price).all() else price

    @cached_property
    def groupings(self) -> dict[str, Grouping]:
        """How the task's users are parted: by activity and by attributes; `of` has shape (u,)."""
        users = self.task.users
        lengths = np.diff(self.task.history.indptr)[users]
        by_attribute = {name: Grouping(g.names, g.of[users]) for name, g in self.facts.groups.items()}
        return {"activity": Grouping(ACTIVITY, thirds(lengths)), **by_attribute}


def user_columns(question: Question, reading: Reading, cutoffs: tuple[int, ...]) -> Columns:
    """`METRIC@K` of every user and cut-off, `auc`, and what the lists are like at the largest cut-off."""
    task, lists = question.task, reading.lists
    hits, relevant = places_of(task, lists) >= 0, np.diff(task.relevant.indptr)
    table: Columns = {}
    for k in cutoffs:
        found = at_k(hits, relevant, k)
        table |= {f"{name}@{k}": found[name] for name in RANKED}
        if question.price is not None:
            found = priced_at_k(hits, lists, task.relevant.indptr, task.relevant.items, question.price, k)
            table |= {f"{name}@{k}": found[name] for name in PRICED}
    k, facts = max(cutoffs), question.facts
    return table | {
        "auc": reading.auc,
        f"novelty@{k}": novelty(lists, question.share),
        f"diversity@{k}": diversity(lists, facts.deepest[task.candidates]),
        f"tail_share@{k}": tail_share(lists, question.tail),
        f"calibration@{k}": calibration(*question.known, lists, facts.broad[task.candidates]),
    }


def report(
    question: Question,
    readings: Mapping[str, Reading],
    tables: Mapping[str, Columns],
    config: EvalConfig,
    reference: str | None = None,
) -> dict[str, Any]:
    """Metrics, slices, gaps and differences of readings of one task; JSON-able.

    Args:
        question: the task.
        readings: by recommender.
        tables: their `user_columns`.
        config: cut-offs and bootstrap.
        reference: the recommender that the others are compared with; None: no comparison.
    """
    task, k = question.task, max(config.k)
    boot = Bootstrap(len(task.users), config)
    out: dict[str, Any] = {
        "users": len(task.users),
        "cold_users": len(task.cold_users),
        "candidates": len(task.candidates),
        "relevant": len(task.relevant),
        "reference": reference,
        "recommenders": {},
        "differences": {},
    }
    for name, reading in readings.items():
        columns: dict[Key, NDArray[np.float64]] = {("metric", m): column for m, column in tables[name].items()}
        columns |= _slice_columns(question, reading, tables[name], k) | _group_columns(question, tables[name], k)
        if reference not in (None, name):
            ours = tables[str(reference)]
            columns |= {("difference", m): ours[m] - column for m, column in tables[name].items()}
        sample = boot.sample(columns)
        out["recommenders"][name] = {
            "metrics": {m: sample.interval(("metric", m)).to_dict() for m in tables[name]} if len(task.users) else {},
            "lists": _list_figures(question, reading, tables[name], k),
            "slices": _slices(question, sample, k),
            "gaps": _gaps(question, sample, k),
        }
        if reference not in (None, name) and len(task.users):
            found = sample.differences(("difference", m) for m in tables[name])
            out["differences"][name] = {m: d.to_dict() for m, d in zip(tables[name], found, strict=True)}
    _correct(out["differences"])
    return out


def _correct(differences: dict[str, dict[str, dict[str, float | None]]]) -> None:
    """Holm's correction of the randomisation p-values of a metric over the recommenders compared."""
    for metric in next(iter(differences.values()), {}):
        found = [other[metric] for other in differences.values()]
        raw = [np.nan if one["p_randomisation"] is None else one["p_randomisation"] for one in found]
        for one, p in zip(found, holm(np.asarray(raw, dtype=np.float64)), strict=True):
            one["p_holm"] = None if np.isnan(p) else float(p)


def _list_figures(question: Question, reading: Reading, table: Columns, k: int) -> dict[str, float | None]:
    """What the lists are like as a whole, and the means of what each is like."""
    lists = reading.lists
    counts = np.bincount(lists[lists >= 0], minlength=len(question.task.candidates))
    calibrated = table[f"calibration@{k}"]
    real = calibrated[~np.isnan(calibrated)]
    means = {name: table[f"{name}@{k}"] for name in ("novelty", "diversity", "tail_share")}
    return {
        "coverage": coverage(counts),
        "gini": gini(counts),
        **{name: float(column.mean()) if len(column) else 0.0 for name, column in means.items()},
        "calibration": float(real.mean()) if len(real) else None,
    }


def _slice_columns(question: Question, reading: Reading, table: Columns, k: int) -> dict[Key, NDArray[np.float64]]:
    """Recall and NDCG at k where only the relevant products of a slice count, and of the users of a slice."""
    out: dict[Key, NDArray[np.float64]] = {}
    at = places_of(question.task, reading.lists)
    for name, inside in question.slices.items():
        size = np.bincount(question.task.relevant.users[inside], minlength=len(at))
        found = at_k((at >= 0) & inside[np.maximum(at, 0)], np.maximum(size, 1), k)
        for metric in ("recall", "ndcg"):
            out["slice", name, metric] = np.where(size > 0, found[metric], np.nan)
    for name, inside in question.user_slices.items():
        for metric in ("recall", "ndcg"):
            out["slice", name, metric] = np.where(inside, table[f"{metric}@{k}"], np.nan)
    return out


def _slices(question: Question, sample: Sample[Key], k: int) -> dict[str, Any]:
    users = question.task.relevant.users
    size = {name: int(inside.sum()) for name, inside in question.slices.items()}
    size |= {name: int(inside[users].sum()) for name, inside in question.user_slices.items()}
    return {
        name: {"relevant": n} | {f"{m}@{k}": sample.interval(("slice", name, m)).to_dict() for m in ("recall", "ndcg")}
        for name, n in size.items()
    }


def _group_columns(question: Question, table: Columns, k: int) -> dict[Key, NDArray[np.float64]]:
    """Recall and NDCG at k of the users of each group that is large enough to be compared."""
    out: dict[Key, NDArray[np.float64]] = {}
    for title, grouping in question.groupings.items():
        for n, group in enumerate(grouping.names):
            inside = grouping.of == n
            if inside.sum() >= SMALLEST:
                for metric in ("recall", "ndcg"):
                    out["group", title, metric, group] = np.where(inside, table[f"{metric}@{k}"], np.nan)
    return out


def _gaps(question: Question, sample: Sample[Key], k: int) -> dict[str, Any]:
    """Per grouping, the groups' means and the difference between the best and the worst of them."""
    out: dict[str, Any] = {}
    for title in question.groupings:
        out[title] = {}
        for metric in ("recall", "ndcg"):
            keys = [key for key in sample.columns if key[:3] == ("group", title, metric)]
            if len(keys) > 1:
                groups = {key: sample.interval(key) for key in keys}
                best, worst = (pick(keys, key=lambda key: groups[key].mean) for pick in (max, min))
                out[title][f"{metric}@{k}"] = {
                    "groups": {key[3]: groups[key].to_dict() for key in keys},
                    "best": best[3],
                    "worst": worst[3],
                    "gap": sample.gap(best, worst).to_dict(),
                }
    return out
