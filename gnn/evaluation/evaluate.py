"""Reads the held-out part with the model and the baselines beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnn.config import EvalConfig
from gnn.errors import GnnError
from gnn.evaluation.facts import Facts
from gnn.evaluation.figures import Question, report, user_columns
from gnn.evaluation.per_user_file import PerUserFile
from gnn.evaluation.reach import refuse_if_reached
from gnn.evaluation.readings import Reading, read_task
from gnn.measure.bootstrap import Bootstrap
from gnn.model.align import make_split, parts_at
from gnn.model.bundle import Bundle
from gnn.protocol.recommender import Fitted
from gnn.protocol.splits import Split, describe
from gnn.protocol.tasks import Task, TaskName, make_task, make_tasks, recommendable
from ingest.progress import Progress, Station
from kg.snapshot import Snapshot


def evaluate(
    folder: Path,
    snapshot: Snapshot,
    product_vectors: NDArray[np.float32] | None,
    progress: Progress,
    *,
    reference: str | None = None,
    per_user: Path | None = None,
    config: EvalConfig | None = None,
) -> dict[str, Any]:
    """Evaluate the bundle in `folder` on test (valid where the split has no test).

    Args:
        folder: a bundle.
        snapshot: the graph, usually that of training.
        product_vectors: unit text vectors of its products, needed on another graph or without test rows.
        progress: where work reports.
        reference: the recommender that the others are compared with; None: the one that is served.
        per_user: file to which every user's metrics go (`gnn.evaluation.per_user_file`).
        config: what to report; None: as the bundle was trained with.

    Returns:
        JSON-able: `split`, `stage`, `k`, and per task `users`, `candidates`, `reference`, `recommenders` (metrics with
        intervals, list figures, slices, gaps between groups of users) and `differences` (the reference minus each
        other, paired).

    Raises:
        GnnError: there is no such bundle, reference or attribute of users, or `per_user` cannot be written.
    """
    bundle = Bundle.load(folder)
    config = config or bundle.config.eval
    split = make_split(snapshot, bundle.config)
    refuse_if_reached(bundle, split, snapshot)
    facts = Facts.of(snapshot, config.user_groups)
    with progress.station("make the recommenders ready"):
        parts = parts_at(bundle, snapshot, product_vectors, split, split.stage)
    session = _Session(bundle, parts, split, snapshot, facts, config)
    out: dict[str, Any] = {"split": describe(split), "stage": split.stage, "k": list(config.k), "tasks": {}}
    tasks = session.tasks()
    title, size = "evaluate", sum(len(t.users) for t in tasks)
    with PerUserFile(per_user) as file, progress.station(title, size, "users") as station:
        for task in tasks:
            readings, question = session.read(task, station), Question(task, facts)
            against = _reference(reference, bundle.model, list(readings))
            tables = {name: user_columns(question, reading, config.k) for name, reading in readings.items()}
            file.add(task, tables, snapshot)
            found = report(question, readings, tables, config, against)
            session.add_cold_users(found, task.name)
            out["tasks"][task.name] = found
    return out


class _Session:
    """One bundle's recommenders over one graph."""

    def __init__(
        self,
        bundle: Bundle,
        parts: Mapping[str, Fitted],
        split: Split,
        snapshot: Snapshot,
        facts: Facts,
        config: EvalConfig,
    ) -> None:
        self.bundle, self.parts, self.split, self.facts, self.config = bundle, parts, split, facts, config
        self.allowed = recommendable(snapshot)

    def tasks(self) -> list[Task]:
        """The tasks that the split allows."""
        return make_tasks(self.split, self.split.stage, self.allowed, self.bundle.config.split.min_buyers)

    def read(self, task: Task, station: Station | None = None) -> dict[str, Reading]:
        """Every recommender's reading."""
        fused = self.bundle.fused(self.parts, task.candidates, task.name)
        return read_task(task, self.parts, fused, self.config, station)

    def add_cold_users(self, found: dict[str, Any], name: TaskName) -> None:
        """Put Recall and NDCG of users without history beside the slices of each recommender."""
        cold = make_task(
            name, self.split, self.split.stage, self.allowed, self.bundle.config.split.min_buyers, cold=True
        )
        if not len(cold.users):
            return
        k, boot = max(self.config.k), Bootstrap(len(cold.users), self.config)
        question = Question(cold, self.facts)
        for recommender, reading in self.read(cold).items():
            table = user_columns(question, reading, (k,))
            recall, ndcg = boot.intervals(np.stack([table[f"{m}@{k}"] for m in ("recall", "ndcg")], axis=1))
            found["recommenders"][recommender]["slices"]["cold users"] = {
                "relevant": len(cold.relevant),
                f"recall@{k}": recall.to_dict(),
                f"ndcg@{k}": ndcg.to_dict(),
            }


def _reference(asked: str | None, served: str, known: list[str]) -> str | None:
    """The recommender to compare with; None where the served one has no reading."""
    if asked is not None and asked not in known:
        raise GnnError(f"there is no recommender {asked!r}", "reference", f"this model has {', '.join(known)}")
    name = asked or served
    return name if name in known else None
