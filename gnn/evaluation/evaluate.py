"""Reads the held-out part with the model and the baselines beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnn.config import EvalConfig
from gnn.measure.bootstrap import Bootstrap
from gnn.measure.lists import hits_of
from gnn.measure.metrics import RANKED, at_k, auc, diversity, gini, novelty
from gnn.measure.ranking import MASKED, blocks, top_k
from gnn.model.align import make_split, parts_at
from gnn.model.bundle import Bundle
from gnn.model.catalogue import FUSED
from gnn.model.fusion import Fused, seen_columns
from gnn.protocol.recommender import Fitted
from gnn.protocol.slices import deepest_category, product_slices
from gnn.protocol.splits import describe
from gnn.protocol.tasks import Task, make_task, make_tasks, recommendable
from ingest.progress import Progress, Station
from kg.snapshot import Snapshot


@dataclass(frozen=True)
class Reading:
    """One recommender's answers to a task.

    Attributes:
        lists: columns of the best candidates per user, -1 where there are none, shape (u, largest k).
        auc: per user, shape (u,); nan where it is not known.
    """

    lists: NDArray[np.int64]
    auc: NDArray[np.float64]


def evaluate(
    folder: Path, snapshot: Snapshot, product_vectors: NDArray[np.float32] | None, progress: Progress
) -> dict[str, Any]:
    """Evaluate the bundle in `folder` on test (valid where the split has no test).

    Args:
        folder: a bundle.
        snapshot: the graph, usually that of training.
        product_vectors: unit text vectors of its products, needed on another graph or without test rows.
        progress: where work reports.

    Returns:
        JSON-able: `split`, `stage`, `k`, and per task `users`, `candidates`, `recommenders` (metrics with intervals,
        slices, list figures) and `differences` (the fused recommender minus each other, paired).
    """
    bundle = Bundle.load(folder)
    split = make_split(snapshot, bundle.config)
    tasks = make_tasks(split, split.stage, recommendable(snapshot), bundle.config.split.min_buyers)
    with progress.station("make the recommenders ready"):
        parts = parts_at(bundle, snapshot, product_vectors, split, split.stage)
    kinds = deepest_category(snapshot)
    out: dict[str, Any] = {"split": describe(split), "stage": split.stage, "k": list(bundle.config.eval.k), "tasks": {}}
    with progress.station("evaluate", sum(len(t.users) for t in tasks), "users") as station:
        for task in tasks:
            fused = bundle.fused(parts, task.candidates, task.name)
            readings = _read(task, parts, fused, bundle.config.eval, station)
            found = report(task, readings, kinds, bundle.config.eval, bundle.model)
            cold = make_task(
                task.name, split, split.stage, recommendable(snapshot), bundle.config.split.min_buyers, cold=True
            )
            if len(cold.users):
                _add_cold_users(found, cold, _read(cold, parts, fused, bundle.config.eval, None), bundle.config.eval)
            out["tasks"][task.name] = found
    return out


def _read(
    task: Task, parts: Mapping[str, Fitted], fused: Fused, config: EvalConfig, station: Station | None
) -> dict[str, Reading]:
    """Every recommender's reading of `task`, in blocks of users."""
    readings: dict[str, list[Reading]] = {}
    for at in blocks(len(task.users), len(task.candidates), config.block):
        for name, reading in _read_block(task, parts, fused, at, max(config.k)):
            readings.setdefault(name, []).append(reading)
        if station is not None:
            station.advance(at.stop - at.start)
    return {name: _joined(blocks_) for name, blocks_ in readings.items()}


def _add_cold_users(found: dict[str, Any], cold: Task, readings: Mapping[str, Reading], config: EvalConfig) -> None:
    """Put Recall and NDCG of users without history beside the slices of each recommender."""
    k, boot = max(config.k), Bootstrap(len(cold.users), config)
    for name, reading in readings.items():
        table = per_user(cold, reading, (k,))
        columns = np.stack([table[f"recall@{k}"], table[f"ndcg@{k}"]], axis=1)
        recall, ndcg = (interval.to_dict() for interval in boot.intervals(columns))
        found["recommenders"][name]["slices"]["cold users"] = {
            "relevant": len(cold.relevant),
            f"recall@{k}": recall,
            f"ndcg@{k}": ndcg,
        }


def _read_block(
    task: Task, parts: Mapping[str, Fitted], fused: Fused, at: slice, k: int
) -> Iterator[tuple[str, Reading]]:
    """Every recommender's reading of the users `at`; each component is scored once."""
    histories = task.history.take(task.users[at])
    seen = seen_columns(histories, task.candidates) if task.masks_seen else None
    relevant = [task.relevant.of(u) for u in range(at.start, at.stop)]
    raw = {name: part.scores(task.users[at], task.candidates) for name, part in parts.items()}
    if fused.name not in parts:
        raw[fused.name] = fused.combine(list(raw.items()), histories, task.candidates, task.candidates)
    for name, scores in raw.items():
        if name not in parts or not (task.masks_seen and parts[name].repeats_only):
            if seen is not None:
                scores[seen] = MASKED
            areas = [auc(row, good) for row, good in zip(scores, relevant, strict=True)]
            yield name, Reading(top_k(scores, k), np.asarray(areas))


def _joined(parts: list[Reading]) -> Reading:
    return Reading(np.concatenate([p.lists for p in parts]), np.concatenate([p.auc for p in parts]))


def report(
    task: Task, readings: Mapping[str, Reading], kinds: NDArray[np.int64], config: EvalConfig, ours_name: str = FUSED
) -> dict[str, Any]:
    """Metrics, slices and differences of readings of one task; JSON-able."""
    boot = Bootstrap(len(task.users), config)
    names, values = [], {}
    for name, reading in readings.items():
        table = per_user(task, reading, config.k)
        names, values[name] = list(table), np.stack(list(table.values()), axis=1) if len(task.users) else None
    out: dict[str, Any] = {
        "users": len(task.users),
        "cold_users": len(task.cold_users),
        "candidates": len(task.candidates),
        "relevant": len(task.relevant),
        "recommenders": {},
        "differences": {},
    }
    for name, reading in readings.items():
        found = values[name]
        metrics = {} if found is None else dict(zip(names, boot.intervals(found), strict=True))
        out["recommenders"][name] = {
            "metrics": {key: interval.to_dict() for key, interval in metrics.items()},
            "lists": _list_figures(task, reading, kinds),
            "slices": _slices(task, reading, boot, max(config.k)),
        }
    ours = values.get(ours_name)
    if ours is not None:
        for name, theirs in values.items():
            if name != ours_name and theirs is not None:
                paired = dict(zip(names, boot.intervals(ours - theirs), strict=True))
                out["differences"][name] = {key: interval.to_dict() for key, interval in paired.items()}
    return out


def per_user(task: Task, reading: Reading, cutoffs: tuple[int, ...]) -> dict[str, NDArray[np.float64]]:
    """`METRIC@K` of every user and cut-off, and `auc`; each of shape (u,)."""
    hits, relevant = hits_of(task, reading.lists), np.diff(task.relevant.indptr)
    table: dict[str, NDArray[np.float64]] = {}
    for k in cutoffs:
        found = at_k(hits, relevant, k)
        table |= {f"{name}@{k}": found[name] for name in RANKED}
    return table | {"auc": reading.auc}


def _list_figures(task: Task, reading: Reading, kinds: NDArray[np.int64]) -> dict[str, float]:
    """What the lists are like: coverage, Gini, novelty (bits), diversity (share of pairs of different categories)."""
    lists = reading.lists
    counts = np.bincount(lists[lists >= 0], minlength=len(task.candidates))
    buyers = task.history.buyers[task.candidates]
    active = max(1, int((np.diff(task.history.indptr) > 0).sum()))
    share = np.maximum(buyers, 0.5) / active  # a product without buyers counts as half a buyer
    n = max(1, len(lists))
    return {
        "coverage": float((counts > 0).mean()) if len(counts) else 0.0,
        "gini": gini(counts),
        "novelty": float(novelty(lists, share).sum() / n),
        "diversity": float(diversity(lists, kinds[task.candidates]).sum() / n),
    }


def _slices(task: Task, reading: Reading, boot: Bootstrap, k: int) -> dict[str, Any]:
    """Recall and NDCG at k where only the relevant products of a slice count."""
    out: dict[str, Any] = {}
    for name, inside in product_slices(task).items():
        part = task.relevant.where(inside)
        keys = np.arange(len(reading.lists))[:, None] * part.n_items + reading.lists
        hits = (reading.lists >= 0) & part.has(keys)
        size = np.diff(part.indptr)
        found = at_k(hits, np.maximum(size, 1), k)
        columns = np.stack([found["recall"], found["ndcg"]], axis=1)
        columns[size == 0] = np.nan
        recall, ndcg = boot.intervals(columns)
        out[name] = {"relevant": len(part), f"recall@{k}": recall.to_dict(), f"ndcg@{k}": ndcg.to_dict()}
    return out
